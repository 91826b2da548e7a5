#![cfg_attr(test, allow(clippy::unwrap_used))]
//! A seeded synthetic operator: subscribers, numbers, usage, bills, contacts, orders, devices, payments, content, the
//! mobile web, and a response model whose truth is known.
//!
//! Floor 2, pure: it yields bytes and facts, writes no file and reads no clock.
//!
//! Invariants:
//! - every fact is a pure function of ([`SynthConfig`], [`Index`]): the same seed gives the same bytes everywhere;
//! - memory does not depend on the number of subscribers: files come in chunks of whole towns of 128;
//! - a number has at most one holder at any instant, also when it changes hands;
//! - a call inside the base has two records, one of each side.

mod bill;
mod circle;
mod contact;
mod content;
mod device;
mod draw;
mod files;
mod habit;
mod names;
mod number;
mod pay;
mod province;
mod rate;
pub mod response;
mod rows;
mod subscriber;
mod text;
mod usage;
mod vocab;
mod web;

pub use files::{FileKind, SUBSCRIBERS_IN_CHUNK};
pub use number::OWN_PREFIXES;
pub use province::{Index, KEY_LEN, MONTHS_MAX, Month, Province, SUBSCRIBERS_MAX, SynthConfig, SynthError};
pub use response::{Order, Reply, ReplyKind, Responses, Truth};
pub use subscriber::Subscriber;
pub use vocab::{
    Brand, CELLS_PER_REGION, DEVICES, Device, Group, PLANS, Payment, Plan, Product, REGIONS, Status, Trend, first_cell,
};
