//! Changes to two messages.

use ok2cry_client::RecipientKey;
use ok2cry_protocol::{Record, descriptor::KeyDescriptor, http::Bytes, reply::Reply};
use ok2cry_testkit::hostile_parent::Passing;
use serde_json::{Value, json};
use std::mem;

/// Changes two messages of the same step.
pub(crate) type Edit = Box<dyn Fn(&mut Passing, &mut Passing) + Send + Sync>;

/// Exchanges the values at `place` (RFC 6901) of two bodies.
pub(crate) fn exchanged(place: &'static str) -> Edit {
    Box::new(move |a, b| mem::swap(at(&mut a.body, place), at(&mut b.body, place)))
}

/// Makes the same change to both bodies.
pub(crate) fn each(edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Edit {
    Box::new(move |a, b| {
        edit(&mut a.body);
        edit(&mut b.body);
    })
}

pub(crate) fn descriptors(
    edit: impl Fn(&mut KeyDescriptor, &mut KeyDescriptor) + Send + Sync + 'static,
) -> Edit {
    records("/keys/0/descriptor", edit)
}

pub(crate) fn replies(edit: impl Fn(&mut Reply, &mut Reply) + Send + Sync + 'static) -> Edit {
    records("/sealed/reply", edit)
}

/// Decodes the records at `place` of two bodies, changes them, and encodes them again.
pub(crate) fn records<T: Record>(
    place: &'static str,
    edit: impl Fn(&mut T, &mut T) + Send + Sync + 'static,
) -> Edit {
    Box::new(move |a, b| {
        let decode = |body: &mut Value| T::decode(&bytes(at(body, place))).unwrap();
        let (mut x, mut y) = (decode(&mut a.body), decode(&mut b.body));
        edit(&mut x, &mut y);
        *at(&mut a.body, place) = json!(Bytes(x.encode()));
        *at(&mut b.body, place) = json!(Bytes(y.encode()));
    })
}

pub(crate) fn edit_bytes(body: &mut Value, place: &str, edit: impl Fn(&mut Vec<u8>)) {
    let mut bytes = bytes(at(body, place));
    edit(&mut bytes);
    *at(body, place) = json!(Bytes(bytes));
}

pub(crate) fn swap_within(body: &mut Value, one: &str, other: &str) {
    let first = at(body, one).clone();
    let second = mem::replace(at(body, other), first);
    *at(body, one) = second;
}

fn at<'a>(body: &'a mut Value, place: &str) -> &'a mut Value {
    let shown = body.to_string();
    body.pointer_mut(place).unwrap_or_else(|| panic!("expected {place} in {shown}"))
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::from_value::<Bytes>(value.clone()).unwrap().0
}

/// A public key of the attacker.
pub(crate) fn attacker() -> [u8; 97] {
    *RecipientKey::generate().unwrap().public_key().as_bytes()
}
