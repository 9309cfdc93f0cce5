//! CBOR written piece by piece, so that it can be written wrongly.

use crate::fixtures::Hex;
use ok2cry_protocol::{Rule, cbor::Writer};
use serde::Serialize;

/// An encoding that must be refused, and for which field and rule.
#[derive(Serialize)]
pub(crate) struct Refused {
    name: String,
    encoding: Hex,
    structure: &'static str,
    field: &'static str,
    rule: String,
}

/// A map, entry by entry: each key and its value's bytes.
#[derive(Clone)]
pub(crate) struct RawMap {
    structure: &'static str,
    names: &'static [&'static str],
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    /// The field that the last byte belongs to: not the last one, if that is a map itself.
    ends_in: &'static str,
}

impl RawMap {
    /// A map of `structure`, whose fields have these names and values in ascending order of their keys.
    pub(crate) fn new(
        structure: &'static str,
        names: &'static [&'static str],
        values: impl IntoIterator<Item = Vec<u8>>,
    ) -> Self {
        let entries = values.into_iter().zip(0..).map(|(value, key)| (uint(key), value)).collect();
        let ends_in = names.last().copied().unwrap_or("map");
        Self { structure, names, entries, ends_in }
    }

    /// The same map, whose last field's value ends in a field of its own.
    pub(crate) fn ending_in(self, field: &'static str) -> Self {
        Self { ends_in: field, ..self }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        self.encode_as(head(5, self.entries.len() as u64))
    }

    /// The same map with another value in `field`.
    pub(crate) fn with(&self, field: &str, value: Vec<u8>) -> Self {
        let mut map = self.clone();
        let mut fields = map.entries.iter_mut().zip(self.names);
        if let Some((entry, _)) = fields.find(|(_, name)| **name == field) {
            entry.1 = value;
        }
        map
    }

    /// That `field` with this value is refused by `rule`.
    pub(crate) fn bad(&self, name: &str, field: &'static str, value: Vec<u8>, rule: &Rule) -> Refused {
        self.refused(name, self.with(field, value).encode(), field, rule)
    }

    /// The same map without its last field.
    pub(crate) fn without_last(&self) -> Self {
        let mut map = self.clone();
        map.entries.pop();
        map
    }

    /// The same map with one more field of the next key.
    pub(crate) fn plus_next(&self, value: Vec<u8>) -> Vec<u8> {
        self.plus((uint(self.entries.len() as u64), value))
    }

    pub(crate) fn refused(
        &self,
        name: impl Into<String>,
        encoding: Vec<u8>,
        field: &'static str,
        rule: &Rule,
    ) -> Refused {
        let (name, rule) = (name.into(), rule.to_string());
        Refused { name, encoding: Hex(encoding), structure: self.structure, field, rule }
    }

    /// What every structure refuses: a map that is none, fields missing, twice, unknown or out of order, and
    /// anything that is not in deterministic encoding or not all there.
    pub(crate) fn structural(&self) -> Vec<Refused> {
        let good = self.encode();
        let n = self.entries.len() as u64;
        let first = self.names.first().copied().unwrap_or("map");
        let last = self.names.last().copied().unwrap_or("map");
        let mut all = vec![
            self.refused("nothing at all", Vec::new(), "map", &Rule::Truncated),
            self.refused("an array instead of the map", self.encode_as(head(4, n)), "map", &Rule::WrongType),
            self.refused(
                "map of indefinite length",
                [self.encode_as(vec![0xbf]), vec![0xff]].concat(),
                "map",
                &Rule::NotDeterministic,
            ),
            self.refused(
                "map head longer than needed",
                self.encode_as(vec![0xb8, u8::try_from(n).unwrap_or_default()]),
                "map",
                &Rule::NotDeterministic,
            ),
            self.refused(
                "map head with a reserved length",
                self.encode_as(vec![0xbc]),
                "map",
                &Rule::NotDeterministic,
            ),
            self.refused("empty map", head(5, 0), first, &Rule::Missing),
            self.refused(
                "one entry fewer than the head says",
                self.encode_as(head(5, n + 1)),
                "map",
                &Rule::Truncated,
            ),
            self.refused(
                "one entry more than the head says",
                self.encode_as(head(5, n - 1)),
                last,
                &Rule::Missing,
            ),
            self.refused("unknown field", self.plus_next(uint(0)), "map", &Rule::Unknown(n)),
            self.refused(
                "first field again at the end",
                self.plus(self.entry(0)),
                "map",
                &Rule::DuplicateOrUnordered(0),
            ),
            self.refused("a byte after the end", [&good[..], &[0]].concat(), "end", &Rule::Trailing),
            self.refused(
                "last byte cut off",
                good.split_last().map(|(_, rest)| rest.to_vec()).unwrap_or_default(),
                self.ends_in,
                &Rule::Truncated,
            ),
        ];
        for (i, name) in self.names.iter().enumerate() {
            let mut without = self.clone();
            without.entries.remove(i);
            all.push(self.refused(format!("{name} missing"), without.encode(), name, &Rule::Missing));
            let null = self.with(name, vec![0xf6]);
            all.push(self.refused(format!("{name} null"), null.encode(), name, &Rule::WrongType));
        }
        if let [_, second, third, ..] = *self.names {
            let mut twice = self.clone();
            twice.entries.insert(1, self.entry(1));
            let rule = Rule::DuplicateOrUnordered(1);
            all.push(self.refused(format!("{second} twice"), twice.encode(), third, &rule));

            let mut swapped = self.clone();
            swapped.entries.swap(1, 2);
            let name = format!("{second} and {third} in the wrong order");
            all.push(self.refused(name, swapped.encode(), second, &Rule::Missing));

            let mut key = |name: &str, key: &[u8], rule| {
                let mut map = self.clone();
                map.entries.splice(1..2, [(key.to_vec(), self.entry(1).1)]);
                all.push(self.refused(format!("key of {second} {name}"), map.encode(), second, &rule));
            };
            key("longer than needed", &[0x18, 0x01], Rule::NotDeterministic);
            key("as text", &[0x61, b'1'], Rule::WrongType);
            key("negative", &[0x20], Rule::WrongType);
        }
        all
    }

    /// Each field in turn under the next number that is free, in its own place: there are as many fields as
    /// are due.
    pub(crate) fn renumbered(&self) -> Vec<Refused> {
        let next = uint(self.entries.len() as u64);
        let of = |(i, name): (usize, &&'static str)| {
            let mut map = self.clone();
            if let Some(entry) = map.entries.get_mut(i) {
                entry.0.clone_from(&next);
            }
            self.refused(format!("{name} under the next free number"), map.encode(), name, &Rule::Missing)
        };
        self.names.iter().enumerate().map(of).collect()
    }

    /// What every record refuses besides: another type in field 0, and field 1, a byte string of fixed or
    /// bounded length, written in ways that are not its only one.
    pub(crate) fn typed(&self, own: &str, other: &str) -> Vec<Refused> {
        let next_version = own.replace("/v1", "/v2");
        let mut all = vec![
            self.bad("another version", "type", text(&next_version), &Rule::WrongRecord),
            self.bad("another record's type", "type", text(other), &Rule::WrongRecord),
            self.bad("type in capitals", "type", text(&own.to_uppercase()), &Rule::WrongRecord),
            self.bad("empty type", "type", text(""), &Rule::WrongRecord),
            self.bad("type as bytes", "type", bytes(own.as_bytes()), &Rule::WrongType),
        ];
        if let [_, field, ..] = *self.names {
            let value = self.entry(1).1;
            let content = match value.as_slice() {
                [0x58, _, content @ ..] => content,
                [_, content @ ..] => content,
                [] => &[],
            };
            let length = u8::try_from(content.len()).unwrap_or_default();
            let longer = [&[0x59, 0, length][..], content].concat();
            let open = [&[0x5f][..], &value, &[0xff]].concat();
            let tagged = [&[0xc2][..], &value].concat();
            let as_text = [&[0x78, length][..], content].concat();
            all.extend([
                self.bad("length longer than needed", field, longer, &Rule::NotDeterministic),
                self.bad("byte string of indefinite length", field, open, &Rule::NotDeterministic),
                self.bad("byte string with a tag", field, tagged, &Rule::WrongType),
                self.bad("text instead of bytes", field, as_text, &Rule::WrongType),
            ]);
        }
        all
    }

    fn encode_as(&self, head: Vec<u8>) -> Vec<u8> {
        let mut out = head;
        for (key, value) in &self.entries {
            out.extend_from_slice(key);
            out.extend_from_slice(value);
        }
        out
    }

    fn plus(&self, entry: (Vec<u8>, Vec<u8>)) -> Vec<u8> {
        let mut longer = self.clone();
        longer.entries.push(entry);
        longer.encode()
    }

    fn entry(&self, i: usize) -> (Vec<u8>, Vec<u8>) {
        self.entries.get(i).cloned().unwrap_or_default()
    }
}

pub(crate) fn uint(value: u64) -> Vec<u8> {
    Writer::default().uint(value).finish()
}

pub(crate) fn bytes(value: &[u8]) -> Vec<u8> {
    Writer::default().bytes(value).finish()
}

pub(crate) fn text(value: &str) -> Vec<u8> {
    Writer::default().text(value).finish()
}

pub(crate) fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, items.len() as u64), items.concat()].concat()
}

fn head(major: u8, value: u64) -> Vec<u8> {
    let mut w = Writer::default();
    match major {
        4 => w.array(value),
        _ => w.map(value),
    };
    w.finish()
}
