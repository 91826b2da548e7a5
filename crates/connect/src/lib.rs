//! Sources and channels: the only crate that speaks foreign protocols, and the one layout reader.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod channel;
pub mod cloudevents;
pub mod event;
pub mod file_channel;
pub mod folder;
pub mod layout;
pub mod receipts;
pub mod smpp;
