//! Stories of the lake against real directories.

#![allow(clippy::unwrap_used)]

mod golden;
mod intake;
mod kit;
mod province;
mod reading;
mod rules;
mod tags;
