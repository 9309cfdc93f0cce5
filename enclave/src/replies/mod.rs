//! Replies to recipients, and the contexts that they are sealed under.

pub(crate) mod contexts;
