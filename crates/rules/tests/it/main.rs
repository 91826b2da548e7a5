//! The language as its users meet it: text, JSON, errors, sentences, verdicts.
#![allow(clippy::unwrap_used)]

mod errors;
mod json_errors;
mod naive;
mod page;
mod rows;
mod sentences;
mod trees;

use kairos_rules::{Condition, testing};

/// The condition in the catalogue of [`testing`].
pub fn read(text: &str) -> Condition {
    Condition::parse(text, &testing::catalogue()).unwrap_or_else(|p| panic!("{text}\n{p}"))
}
