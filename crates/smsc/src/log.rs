//! The centre's own log: one JSON object a line.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    path::Path,
};

/// An open log, or none.
pub(crate) struct Log(Option<BufWriter<File>>);

impl Log {
    /// Appends to `path`; only its owner may read it, for it holds numbers and texts.
    pub fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else { return Ok(Self(None)) };
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self(Some(BufWriter::new(options.open(path)?))))
    }

    /// `line` is made only if there is a log.
    pub fn line(&mut self, line: impl FnOnce() -> serde_json::Value) {
        if let Some(out) = &mut self.0
            && let Err(cause) = writeln!(out, "{}", line())
        {
            tracing::error!(%cause, "the simulated centre's log cannot be written; it is closed");
            self.0 = None;
        }
    }

    pub fn flush(&mut self) {
        if let Some(out) = &mut self.0
            && let Err(cause) = out.flush()
        {
            tracing::error!(%cause, "the simulated centre's log cannot be written; it is closed");
            self.0 = None;
        }
    }
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut s, b| {
        s.push(char::from_digit(u32::from(b >> 4), 16).unwrap_or('0'));
        s.push(char::from_digit(u32::from(b & 15), 16).unwrap_or('0'));
        s
    })
}
