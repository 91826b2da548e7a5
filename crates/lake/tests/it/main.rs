//! Stories of the lake against real directories.

mod intake;
mod kit;
mod province;
mod reading;
mod rules;
mod tags;
