//! Where calls are answered: frames in, one answer or refusal out.

pub mod dispatch;
mod issue;
pub mod server;
mod streams;
#[cfg(test)]
pub(crate) mod tests;
