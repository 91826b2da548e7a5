//! Partition loops, subscriber state, timers, contact ledger, checkpoint, recovery
