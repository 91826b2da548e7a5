//! Who is behind the numbers: what the network does with a message, and what the person answers.

use kairos_model::{Msisdn, Span, Timestamp};

/// What becomes of a whole message in the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// On the handset so long after the centre took it, unless its validity ends before.
    Delivered { after: Span },
    /// Given up so long after the centre took it.
    Failed { after: Span, state: FailState },
}

/// How the network gives up on a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailState {
    Undeliverable,
    Rejected,
}

/// What a person writes back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// After the message was on the handset.
    pub after: Span,
    pub text: String,
}

/// The handsets of a network. Both answers must depend on their arguments alone, so that two runs agree.
pub trait Population: Send + Sync {
    /// A whole message was taken by the centre at `at`.
    fn fate(&self, to: Msisdn, text: &str, at: Timestamp) -> Fate;
    /// The message is on the handset, at `at`. Called once for each message that arrives, and for no other.
    fn delivered(&self, to: Msisdn, text: &str, at: Timestamp) -> Option<Answer>;
}
