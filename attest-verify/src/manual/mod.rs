//! The manual: one module per topic, without code.

pub mod measurements;
pub mod mistakes;
pub mod speed;
pub mod time;
pub mod verdicts;
