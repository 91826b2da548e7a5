//! Partitioned durable event log
