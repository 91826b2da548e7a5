//! Tag columns and bitmaps over bytes: who satisfies a condition, in a millisecond.
//!
//! Floor 2, pure: bytes in, bytes out. An index is built from columns as a stream ([`Builder`]) into any sink and asked
//! over any bytes ([`Index`]); `lake` writes, checks, maps and replaces the file. The bytes are described in `format`.
//!
//! Invariants held here:
//! - equal to the row evaluation of `kairos_rules` for every condition and every data: a subscriber is selected only
//!   where the condition is *true*, unknown stays unknown through every NOT;
//! - numbers are exact over the whole of `i64`: no float, no rounding, no bin decides;
//! - bytes that were cut short or changed are refused; nothing in them can make the program panic;
//! - every answer is a pure function of index, condition, sets and seed, whatever the processor offers.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod alike;
mod build;
mod column;
mod contrast;
mod emit;
mod error;
mod form;
mod format;
mod funnel;
mod index;
mod logistic;
mod members;
mod overlap;
mod plan;
mod program;
mod query;
mod simd;
mod stats;
mod words;

pub use alike::{Alike, Decile, Feature, Gains, Learning};
pub use build::{Builder, Built, ColumnWriter, Values};
pub use contrast::{Contrast, Finding, SUPPORT_MIN, TagValue, Tally, tags_apart};
pub use error::{AskError, BuildError, IndexError};
pub use format::{COLUMNS_MAX, Column, Head, VERSION, WORDS_MAX};
pub use funnel::{Funnel, Step};
pub use index::{Index, View};
pub use members::Members;
pub use overlap::{CROSSING_MAX, Crossing, OVERLAP_MAX, Overlap};
pub use plan::{MemorySets, Sets};
pub use query::Query;
