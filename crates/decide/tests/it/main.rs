//! The rules against stories with exact outcomes, and against a naive oracle that keeps everything.
#![allow(clippy::unwrap_used)]

mod allocation;
mod dice;
mod lives;
mod moments;
mod oracle;
mod page;
mod stories;
mod world;
