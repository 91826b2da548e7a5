//! Experiment statistics: intervals, sample-ratio check, power
