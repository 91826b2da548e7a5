//! What the engine is given at start: limits, and where its checkpoints lie.

use kairos_model::disk::Disk;
use kairos_model::{Channel, Span, TenantId};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// Settings and limits. None of them changes what is decided, only how much at once.
#[derive(Clone)]
pub struct EngineConfig {
    pub tenant: TenantId,
    pub disk: Arc<dyn Disk>,
    pub checkpoint_dir: PathBuf,
    /// Journal records between two checkpoints, batches of events apart: bounds the tail that recovery replays.
    pub checkpoint_every: u64,
    /// Events between the beginnings of two checkpoints. One takes half of them to be captured.
    pub checkpoint_events: u64,
    /// Partitions that the 256 shards of subscribers are dealt to. Changes nothing that is decided. 1–256.
    pub partitions: u16,
    /// Ids of events remembered, so that one that comes again is not taken again.
    pub ids_max: usize,
    /// An offered contact without an answer is `unknown` after this span. It must exceed the time for which a channel
    /// repeats a throttled submit.
    pub response_timeout: Span,
    /// Offered contacts without an answer per channel, at most: the windows of all its binds together. After a crash no
    /// more than these are `unknown`.
    pub window: BTreeMap<Channel, u32>,
    /// The same for a channel that `window` does not name.
    pub window_default: u32,
    /// Intended contacts waiting to be offered per channel that has no rate: what a pause or an opt-out still finds.
    /// With a rate it is one second of it.
    pub ahead_max: u32,
    /// Members judged by one call, at most, so that a pause is obeyed in time.
    pub judged_max: u32,
    /// Subscriber ordinals from here on are refused: memory grows with the highest.
    pub subscribers_max: u32,
    /// Waves kept, running and past.
    pub waves_max: usize,
}

impl EngineConfig {
    pub fn new(tenant: TenantId, disk: Arc<dyn Disk>, checkpoint_dir: impl Into<PathBuf>) -> Self {
        Self {
            tenant,
            disk,
            checkpoint_dir: checkpoint_dir.into(),
            checkpoint_every: 200_000,
            checkpoint_events: 20_000_000,
            partitions: 1,
            ids_max: 1_000_000,
            response_timeout: Span::secs(120),
            window: BTreeMap::new(),
            window_default: 64,
            ahead_max: 1_000,
            judged_max: 50_000,
            subscribers_max: 1 << 28,
            waves_max: 10_000,
        }
    }
    pub(crate) fn window_of(&self, channel: Channel) -> u32 {
        self.window.get(&channel).copied().unwrap_or(self.window_default)
    }
}
