//! One error for every use case: what kind of failure it is, a stable code, and what the user can do.

use std::{error::Error as StdError, fmt};

/// What sort of failure: decides the exit code of the command line and the status of the API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The request itself is wrong.
    Invalid,
    NotFound,
    Denied,
    /// It clashes with what is there: state, version, a second launch.
    Conflict,
    /// Another process holds the directory, a peer is away, a store cannot be read.
    Unavailable,
    Failure,
}

/// A failed use case.
pub struct AppError {
    pub kind: Kind,
    /// Stable, in snake_case: clients match on it.
    pub code: &'static str,
    /// For people: names file, row, field and remedy.
    pub message: String,
    /// Further faults of the same request: place (JSON pointer or file position) and text.
    pub details: Vec<(String, String)>,
    pub cause: Option<Box<dyn StdError + Send + Sync>>,
}

pub type Result<T, E = AppError> = std::result::Result<T, E>;

impl AppError {
    pub fn new(kind: Kind, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind, code, message: message.into(), details: Vec::new(), cause: None }
    }
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, code, message)
    }
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, code, message)
    }
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, code, message)
    }
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, code, message)
    }
    pub fn failure(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Failure, code, message)
    }
    #[must_use]
    pub fn because(mut self, cause: impl StdError + Send + Sync + 'static) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }
    #[must_use]
    pub fn with_details(mut self, details: Vec<(String, String)>) -> Self {
        self.details = details;
        self
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for (place, text) in &self.details {
            write!(f, "\n  {place}: {text}")?;
        }
        // many errors repeat their source in their own text
        let mut said = self.message.clone();
        let mut cause = self.cause.as_deref().map(|c| c as &dyn StdError);
        while let Some(c) = cause {
            let text = c.to_string();
            if !said.contains(&text) {
                write!(f, "\n  because: {text}")?;
                said.push_str(&text);
            }
            cause = c.source();
        }
        Ok(())
    }
}
impl fmt::Debug for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:?} {}] {self}", self.kind, self.code)
    }
}
impl StdError for AppError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|c| c as &(dyn StdError + 'static))
    }
}

/// Turns a lower crate's error into ours, keeping it as the cause.
pub trait Context<T> {
    fn or_fail(self, kind: Kind, code: &'static str, message: impl FnOnce() -> String) -> Result<T>;
}
impl<T, E: StdError + Send + Sync + 'static> Context<T> for std::result::Result<T, E> {
    fn or_fail(self, kind: Kind, code: &'static str, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| AppError::new(kind, code, message()).because(e))
    }
}
