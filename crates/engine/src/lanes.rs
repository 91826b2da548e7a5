//! The engine's partitions: each owns some of the 256 shards of subscribers, and their timers.

use crate::wheel::Wheel;
use kairos_model::{SubscriberId, Timestamp};

pub struct Lanes {
    wheels: Vec<Wheel>,
}

impl Lanes {
    /// At least one, at most one a shard.
    pub fn new(partitions: u16) -> Self {
        Self { wheels: (0..partitions.clamp(1, 256)).map(|_| Wheel::default()).collect() }
    }
    pub fn count(&self) -> usize {
        self.wheels.len()
    }
    /// Shards are dealt in turn.
    #[inline]
    pub fn of(&self, subscriber: SubscriberId) -> usize {
        match self.wheels.len() {
            1 => 0,
            n => usize::from(subscriber.shard().0) % n,
        }
    }
    #[inline]
    pub fn wheel(&mut self, lane: usize) -> &mut Wheel {
        &mut self.wheels[lane]
    }
    /// When the next timer may be due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.wheels.iter().filter_map(Wheel::next_due).min()
    }
}
