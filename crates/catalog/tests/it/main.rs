//! Stories on a real SQLite file, fresh per test.

#![allow(clippy::unwrap_used)]

mod audit;
mod definitions;
mod golden;
mod lifecycle;
mod opening;
mod operators;
mod records;
mod support;
