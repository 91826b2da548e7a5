//! Sources and channels; the one layout reader

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod channel;
pub mod smpp;
