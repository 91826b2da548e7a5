//! The engine on a simulated disk: stories with exact outcomes, and crashes at every boundary.
#![allow(clippy::unwrap_used)]

mod crash;
mod durable;
mod life;
mod triggers;
mod waves;
mod world;
mod worlds;
