//! Stories of the index: equal to the row evaluation, refused when damaged, the same for ever.

#![allow(clippy::unwrap_used)]

mod alike;
mod apart;
mod damage;
mod equal;
mod stories;
mod world;
