//! The condition language: parse, type-check, explain, evaluate.
//!
//! Floor 1: pure. A condition is written as text ([`Condition::parse`]) or as the JSON tree of react-querybuilder
//! ([`Condition::from_json`]), checked against a [`Catalogue`], and read by every back end as one typed tree
//! ([`Condition::root`]): the row evaluation here, SQL in `lake`, bitmaps in `audience`.
//!
//! Invariants held here:
//! - text → tree → text and JSON → tree → JSON are equal for what a tree prints;
//! - SQL's three-valued logic; a subscriber is selected only where the condition is *true*;
//! - money, decimals and durations are exact: no float anywhere;
//! - every limit is in [`limits`], and a condition past one is refused before it can cost time or stack;
//! - the language, its null semantics and its errors are described in `docs/reference/conditions.md`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod check;
pub mod date;
pub mod eval;
pub mod explain;
mod json;
mod lex;
pub mod limits;
mod number;
mod parse;
mod print;
mod problem;
mod raw;
mod suggest;
pub mod testing;
pub mod trace;
mod tree;
mod types;

pub use date::{Anchor, DateUnit, DateValue, Relative};
pub use eval::{Compiled, Facts, Members, Value};
pub use explain::{Lang, explain, explain_clause};
pub use problem::{Code, Place, Problem, Problems};
pub use trace::{Trace, trace};
pub use tree::{Cmp, Condition, HasMode, Leaf, Literal, Node, TagLeaf, TagUse, Test};
pub use types::{Catalogue, MemoryCatalogue, Named, TagInfo, TagType, ValueLabel, valid_id};
