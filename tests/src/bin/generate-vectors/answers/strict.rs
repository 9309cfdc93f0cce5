//! Answers that are not the JSON that they must be: one strict reading for all languages.

use super::{
    Body, Forge, Then,
    Verdict::{self, Accepted, Refused},
};
use crate::fixtures::Hex;
use serde_json::{Value, json};

type Change = fn(&mut Forge);

const INVALID: Verdict = Refused("answer_invalid");
/// The longest answer, in bytes.
const LONGEST: usize = 1 << 20;

/// What holds for every answer with a `document`, an `index` and a `path`: names, verdicts and changes.
pub(super) fn cases() -> Vec<(String, Verdict, Change)> {
    [bodies(), fields(), byte_strings(), numbers(), shapes(), texts()]
        .concat()
        .into_iter()
        .map(|(name, verdict, change)| (format!("JSON: {name}"), verdict, change))
        .collect()
}

type Case = (&'static str, Verdict, fn(&mut Forge));

fn bodies() -> Vec<Case> {
    vec![
        ("white space wherever it may be", Accepted, |f| {
            f.on_text = |text| {
                format!(" \n\t\r{}\n", text.replace(',', " ,\r\n\t").replace(':', " : ").replace('[', "[ "))
            };
        }),
        ("the name of a field is escaped", Accepted, |f| {
            f.on_text = |text| text.replacen(r#""document""#, r#""\u0064ocument""#, 1);
        }),
        ("2^20 bytes", Accepted, |f| f.on_body = |text| longer(text, LONGEST)),
        ("a byte more than 2^20", INVALID, |f| f.on_body = |text| longer(text, LONGEST + 1)),
        ("nothing", INVALID, |f| f.on_text = |_| String::new()),
        ("null", INVALID, |f| f.on_text = |_| "null".into()),
        ("a list", INVALID, |f| f.on_text = |_| "[]".into()),
        ("a page", INVALID, |f| f.on_text = |_| "<html>".into()),
        ("an answer that is cut off", INVALID, |f| f.on_text = |text| text[..text.len() - 1].into()),
        ("an answer and a comma", INVALID, |f| f.on_text = |text| text + ","),
        ("an answer and another object", INVALID, |f| f.on_text = |text| text + "{}"),
        ("an answer and a zero byte", INVALID, |f| f.on_text = |text| text + "\0"),
        ("an answer in a text", INVALID, |f| f.on_text = |text| Value::from(text).to_string()),
        ("an answer in a list", INVALID, |f| f.on_text = |text| format!("[{text}]")),
        ("a byte order mark", INVALID, |f| f.on_text = |text| format!("\u{feff}{text}")),
        ("a comment", INVALID, |f| f.on_text = |text| format!("/**/{text}")),
        ("single quotes", INVALID, |f| f.on_text = |text| text.replace('"', "'")),
        ("a comma after the last field", INVALID, |f| {
            f.on_text = |text| format!("{},}}", &text[..text.len() - 1]);
        }),
        ("UTF-16", INVALID, |f| {
            f.on_body = |text| Body::Bytes {
                answer_bytes: Hex(text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            };
        }),
        ("a byte that is not UTF-8", INVALID, |f| {
            f.on_body = |text| {
                let (before, after) = text.split_at(text.find(r#""document":""#).unwrap() + 12);
                Body::Bytes { answer_bytes: Hex([before.as_bytes(), &[0xff], after.as_bytes()].concat()) }
            };
        }),
    ]
}

fn fields() -> Vec<Case> {
    vec![
        ("an unknown field", INVALID, |f| f.on_text = |text| text.replacen('{', r#"{"extra":1,"#, 1)),
        ("an unknown field that is null", INVALID, |f| {
            f.on_text = |text| text.replacen('{', r#"{"extra":null,"#, 1);
        }),
        ("a field that is called __proto__", INVALID, |f| {
            f.on_text = |text| text.replacen('{', r#"{"__proto__":{},"#, 1);
        }),
        ("an unknown field beside index", INVALID, |f| {
            f.on_text = |text| text.replacen(r#""index":"#, r#""extra":"","index":"#, 1);
        }),
        ("document twice", INVALID, |f| {
            f.on_text = |text| text.replacen(r#""document":"#, r#""document":"","document":"#, 1);
        }),
        ("document twice, spelt in two ways", INVALID, |f| {
            f.on_text = |text| text.replacen(r#""document":"#, r#""\u0064ocument":"","document":"#, 1);
        }),
        ("index twice, the same", INVALID, |f| {
            f.on_text = |text| text.replacen(r#""index":2"#, r#""index":2,"index":2"#, 1);
        }),
        ("no document", INVALID, |f| f.on_answer = |answer| remove(answer, "document")),
        ("no index", INVALID, |f| f.on_answer = |answer| remove(answer, "index")),
        ("no path", INVALID, |f| f.on_answer = |answer| remove(answer, "path")),
        ("document with a capital", INVALID, |f| {
            f.on_text = |text| text.replacen(r#""document""#, r#""Document""#, 1);
        }),
    ]
}

fn byte_strings() -> Vec<Case> {
    vec![
        ("a padded document", INVALID, |f| {
            f.on_answer = |answer| {
                edit(answer, "document", |text| text.clone() + &"=".repeat((4 - text.len() % 4) % 4 + 1));
            };
        }),
        ("a document in base64 of the other alphabet", INVALID, |f| {
            f.on_answer = |answer| edit(answer, "document", |text| text.replace('-', "+").replace('_', "/"));
        }),
        ("a document with a line break", INVALID, |f| {
            f.on_answer =
                |answer| edit(answer, "document", |text| format!("{}\n{}", &text[..64], &text[64..]));
        }),
        ("a document with a space at its end", INVALID, |f| {
            f.on_answer = |answer| edit(answer, "document", |text| format!("{text} "));
        }),
        ("a document with a letter outside ASCII", INVALID, |f| {
            f.on_answer = |answer| edit(answer, "document", |text| format!("é{}", &text[2..]));
        }),
        ("a document with half of a surrogate pair", INVALID, |f| {
            f.on_text = |text| text.replacen(r#""document":""#, r#""document":"\ud800"#, 1);
        }),
        ("a document of one character", INVALID, |f| {
            f.on_answer = |answer| edit(answer, "document", |_| "A".into());
        }),
        ("bits are set beyond the last byte", INVALID, |f| f.on_answer = |answer| set_last_bit(answer)),
        ("a padded hash in the path", INVALID, |f| {
            f.on_answer = |answer| {
                let hash = &mut find(answer, "path").unwrap()[0];
                *hash = format!("{}=", hash.as_str().unwrap()).into();
            };
        }),
        ("a document in hexadecimal, which is base64url of other bytes", Refused("cbor_wrong_type"), |f| {
            f.on_answer = |answer| edit(answer, "document", |_| "84".repeat(2000));
        }),
        ("an empty document", Refused("cbor_truncated"), |f| {
            f.on_answer = |answer| edit(answer, "document", |_| String::new());
        }),
    ]
}

fn numbers() -> Vec<Case> {
    vec![
        ("an index of 2^53 - 1", Refused("not_in_batch"), |f| {
            f.on_text = |text| index(&text, "9007199254740991");
        }),
        ("an index of 2^53", INVALID, |f| f.on_text = |text| index(&text, "9007199254740992")),
        ("an index of 2^64 - 1", INVALID, |f| f.on_text = |text| index(&text, "18446744073709551615")),
        ("an index of 2^64 + 2", INVALID, |f| f.on_text = |text| index(&text, "18446744073709551618")),
        ("an index of 2.0", INVALID, |f| f.on_text = |text| index(&text, "2.0")),
        ("an index of 2e0", INVALID, |f| f.on_text = |text| index(&text, "2e0")),
        ("an index of 0.2e1", INVALID, |f| f.on_text = |text| index(&text, "0.2e1")),
        ("an index of minus zero", INVALID, |f| f.on_text = |text| index(&text, "-0")),
        ("an index of -1", INVALID, |f| f.on_text = |text| index(&text, "-1")),
        ("an index with a leading zero", INVALID, |f| f.on_text = |text| index(&text, "02")),
        ("an index in hexadecimal", INVALID, |f| f.on_text = |text| index(&text, "0x2")),
        ("an index that is text", INVALID, |f| f.on_text = |text| index(&text, r#""2""#)),
        ("an index that is true", INVALID, |f| f.on_text = |text| index(&text, "true")),
        ("an index that is null", INVALID, |f| f.on_text = |text| index(&text, "null")),
        ("an index that is a list", INVALID, |f| f.on_text = |text| index(&text, "[2]")),
        ("an index that is NaN", INVALID, |f| f.on_text = |text| index(&text, "NaN")),
    ]
}

fn shapes() -> Vec<Case> {
    vec![
        ("a document that is null", INVALID, |f| f.on_answer = |answer| put(answer, "document", Value::Null)),
        ("a document that is a number", INVALID, |f| {
            f.on_answer = |answer| put(answer, "document", json!(0));
        }),
        ("a document that is a list of bytes", INVALID, |f| {
            f.on_answer = |answer| put(answer, "document", json!([132, 68]));
        }),
        ("a document that is an object", INVALID, |f| {
            f.on_answer = |answer| put(answer, "document", json!({}));
        }),
        ("a path that is null", INVALID, |f| f.on_answer = |answer| put(answer, "path", Value::Null)),
        ("a path that is text", INVALID, |f| {
            f.on_answer = |answer| {
                let text = find(answer, "path").unwrap().to_string();
                put(answer, "path", text.into());
            };
        }),
        ("a path that is an object", INVALID, |f| f.on_answer = |answer| put(answer, "path", json!({}))),
        ("a path with null in it", INVALID, |f| {
            f.on_answer = |answer| find(answer, "path").unwrap()[0] = Value::Null;
        }),
        ("a path with a number in it", INVALID, |f| {
            f.on_answer = |answer| find(answer, "path").unwrap()[0] = json!(0);
        }),
        ("a path with a list in it", INVALID, |f| {
            f.on_answer = |answer| {
                let hash = find(answer, "path").unwrap()[0].clone();
                find(answer, "path").unwrap()[0] = json!([hash]);
            };
        }),
        ("a path of a hundred levels", INVALID, |f| {
            f.on_answer = |answer| {
                put(answer, "path", (0..100).fold(json!([]), |inner, _| json!([inner])));
            };
        }),
        ("a path of a thousand levels", INVALID, |f| {
            f.on_text = |text| {
                text.replacen(r#""path":["#, &format!(r#""path":{}{}["#, "[".repeat(999), "]".repeat(999)), 1)
            };
        }),
    ]
}

/// Spellings of the first character of the document, which is `h`, and white space of other kinds.
fn texts() -> Vec<Case> {
    fn spelt(text: &str, spelling: &str) -> String {
        let changed = text.replacen(r#""document":"h"#, &format!(r#""document":"{spelling}"#), 1);
        assert_ne!(changed, text);
        changed
    }
    vec![
        ("an escape in the document", Accepted, |f| f.on_text = |text| spelt(&text, r"\u0068")),
        ("an escape of three digits in the document", INVALID, |f| {
            f.on_text = |text| spelt(&text, r"\u068");
        }),
        ("an escape in capitals in the document", INVALID, |f| f.on_text = |text| spelt(&text, r"\U0068")),
        ("an escape of JavaScript in the document", INVALID, |f| f.on_text = |text| spelt(&text, r"\x68")),
        ("an unknown escape in the document", INVALID, |f| f.on_text = |text| spelt(&text, r"\h")),
        ("a vertical tab between fields", INVALID, |f| f.on_text = |text| text.replacen(',', ",\u{b}", 1)),
        ("a form feed between fields", INVALID, |f| f.on_text = |text| text.replacen(',', ",\u{c}", 1)),
        ("a no-break space between fields", INVALID, |f| {
            f.on_text = |text| text.replacen(',', ",\u{a0}", 1);
        }),
    ]
}

fn longer(answer: String, length: usize) -> Body {
    let count = length - answer.len();
    Body::Longer { answer, answer_then: Then { text: " ", count } }
}

/// The first field of this name, wherever it is.
pub(super) fn find<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    match value {
        Value::Object(fields) => match fields.contains_key(name) {
            true => fields.get_mut(name),
            false => fields.values_mut().find_map(|field| find(field, name)),
        },
        Value::Array(items) => items.iter_mut().find_map(|item| find(item, name)),
        _ => None,
    }
}

pub(super) fn put(answer: &mut Value, name: &str, value: Value) {
    *find(answer, name).unwrap() = value;
}

fn edit(answer: &mut Value, name: &str, change: impl FnOnce(String) -> String) {
    let text = find(answer, name).unwrap();
    *text = change(text.as_str().unwrap().to_owned()).into();
}

fn remove(answer: &mut Value, name: &str) {
    match answer {
        Value::Object(fields) => match fields.remove(name) {
            Some(_) => {}
            None => fields.values_mut().for_each(|field| remove(field, name)),
        },
        Value::Array(items) => items.iter_mut().for_each(|item| remove(item, name)),
        _ => {}
    }
}

/// Sets a bit that belongs to no byte, in the first byte string that has one.
fn set_last_bit(answer: &mut Value) {
    let field = ["document", "descriptor", "record", "reply"]
        .into_iter()
        .find(|name| find(answer, name).is_some_and(|text| !text.as_str().unwrap().len().is_multiple_of(4)));
    edit(answer, field.unwrap(), |text| {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = ALPHABET.iter().position(|c| text.ends_with(char::from(*c))).unwrap();
        format!("{}{}", &text[..text.len() - 1], char::from(ALPHABET[last + 1]))
    });
}

fn index(answer: &str, number: &str) -> String {
    let changed = answer.replacen(r#""index":2"#, &format!(r#""index":{number}"#), 1);
    assert_ne!(changed, answer);
    changed
}
