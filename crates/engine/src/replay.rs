//! Recovery from a checkpoint whose parts were captured at different positions.

use kairos_journal::Position;
use kairos_model::SubscriberId;

/// Subscribers of a chunk in powers of two: some 400 KiB at two contacts each, so that capturing one is a short stop.
pub const CHUNK_BITS: u32 = 13;

/// Which parts the record at hand is new to.
pub struct Replay {
    /// Where each chunk was captured; later chunks did not exist before the rest was.
    pub chunks: Vec<Position>,
    /// Where everything else was captured: the latest of all.
    pub rest: Position,
    pub at: Position,
}

impl Replay {
    #[inline]
    pub fn takes(&self, subscriber: SubscriberId) -> bool {
        let chunk = self.chunks.get((subscriber.0 >> CHUNK_BITS) as usize);
        self.at >= chunk.copied().unwrap_or(self.rest)
    }
    pub fn takes_rest(&self) -> bool {
        self.at >= self.rest
    }
}
