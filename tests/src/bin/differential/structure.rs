//! Changes to the structure of DER with correct lengths, so that a parser reaches the change: elements that
//! are empty, missing, repeated, wrapped, or have another tag.

use ok2cry_attest_forge::der;

use crate::rng::Rng;

/// Tags that certificates use.
const TAGS: &[u8] =
    &[0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0c, 0x13, 0x16, 0x17, 0x18, 0x30, 0x31, 0xa0, 0xa3];

/// Changes one element of one or more consecutive encodings. Leaves other bytes as they are.
pub(crate) fn change(rng: &mut Rng, encoded: &mut Vec<u8>) {
    let Some(mut elements) = read(encoded) else { return };
    change_one(rng, &mut elements);
    *encoded = write(&elements);
}

#[derive(Clone)]
struct Element {
    tag: u8,
    contents: Contents,
}

#[derive(Clone)]
enum Contents {
    Bytes(Vec<u8>),
    Elements(Vec<Element>),
}

fn read(mut rest: &[u8]) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    while let [tag, first, after @ ..] = rest {
        let (length, after) = match (first, after) {
            (0..=0x7f, after) => (usize::from(*first), after),
            (0x81, [length, after @ ..]) => (usize::from(*length), after),
            (0x82, [high, low, after @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), after),
            _ => return None,
        };
        let (value, after) = after.split_at_checked(length)?;
        let inner = if tag & 0x20 == 0 { None } else { read(value) };
        let contents = inner.map_or_else(|| Contents::Bytes(value.to_vec()), Contents::Elements);
        elements.push(Element { tag: *tag, contents });
        rest = after;
    }
    rest.is_empty().then_some(elements)
}

fn write(elements: &[Element]) -> Vec<u8> {
    let one = |element: &Element| match &element.contents {
        Contents::Bytes(bytes) => der::tlv(element.tag, bytes),
        Contents::Elements(inner) => der::tlv(element.tag, &write(inner)),
    };
    elements.iter().flat_map(one).collect()
}

/// Changes an element of this list, or of one within.
fn change_one(rng: &mut Rng, elements: &mut Vec<Element>) {
    let empty = |rng: &mut Rng| Element { tag: *rng.of(TAGS), contents: Contents::Bytes(Vec::new()) };
    if elements.is_empty() {
        return elements.push(empty(rng));
    }
    let at = rng.below(elements.len());
    if let Contents::Elements(inner) = &mut elements[at].contents
        && !rng.one_in(3)
    {
        return change_one(rng, inner);
    }
    match rng.below(8) {
        0..=2 => elements[at].contents = Contents::Bytes(Vec::new()),
        3 => drop(elements.remove(at)),
        4 => elements.insert(at, empty(rng)),
        5 => elements.push(empty(rng)),
        6 => elements.insert(at, elements[at].clone()),
        _ if rng.one_in(2) => elements[at].tag = *rng.of(TAGS),
        _ => {
            let inner = Contents::Elements(vec![elements[at].clone()]);
            elements[at] = Element { tag: *rng.of(&[0x30, 0x31, 0xa0, 0xa3]), contents: inner };
        }
    }
}
