//! How a long use case tells what it is doing; the command line draws bars, a pipe gets lines, the API nothing.

/// Receives progress. All methods may be called from any thread.
pub trait Progress: Send + Sync {
    /// A step begins; `total` in its own unit (rows, bytes), 0 if not known.
    fn begin(&self, step: &str, total: u64);
    /// `n` more units of the current step are done.
    fn advance(&self, n: u64);
    /// The current step ended; `summary` is one line for people.
    fn end(&self, summary: &str);
}

/// Tells nobody.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _step: &str, _total: u64) {}
    fn advance(&self, _n: u64) {}
    fn end(&self, _summary: &str) {}
}
