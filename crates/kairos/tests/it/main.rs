//! Stories of the whole program, each in a process of its own.
#![allow(clippy::unwrap_used)]

mod cli;
mod cli_broken;
mod cli_campaign;
mod cli_import;
mod cli_lists;
mod cli_loop;
mod cli_privacy;
mod cli_triggers;
mod demo;
mod kill;
mod world;
