//! Stories of the lake against real directories.

mod intake;
mod kit;
mod reading;
