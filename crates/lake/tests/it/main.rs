//! Stories of the lake against real directories.

mod golden;
mod intake;
mod kit;
mod province;
mod reading;
mod rules;
mod tags;
