//! What every outgoing channel shares: what it is given, what it reports back, and whom it asks before each write.
//!
//! A channel pulls: [`Deliveries::next`] hands it contacts that are already durable as offered, never more than it has
//! room for. It asks [`Deliveries::gate`] immediately before each write and reports what became of each write. What
//! comes in (receipts, replies) is acknowledged to the centre only after [`Deliveries::received`] returned.

use kairos_model::{Awake, ContactId, Msisdn, Reason, Timestamp};
use std::{fmt, future::Future, pin::Pin};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One contact, rendered and addressed. `Debug` shows neither number nor text.
#[derive(Clone, PartialEq, Eq)]
pub struct Dispatch {
    pub contact: ContactId,
    pub to: Msisdn,
    /// Source address that the subscriber sees, e.g. `10086`; empty: the channel's own.
    pub from: String,
    pub text: String,
    /// No write at or after this instant; the centre gives up delivery then, too.
    pub not_after: Timestamp,
    /// Unique among the contacts whose receipt is still awaited from one centre; receipts may echo it.
    pub reference: u16,
}

/// What [`Deliveries::next`] gives: the contacts, and the guard that keeps a simulated clock still until the channel
/// has taken them in hand.
pub struct Offered {
    pub contacts: Vec<Dispatch>,
    pub awake: Awake,
}

/// What became of the write of one segment, or of a contact before its first. Segments count from 1.
///
/// A contact ends with the first report other than `Accepted`, or with `Accepted` where `segment == segments`; only an
/// `Unknown` may be followed by one more.
/// Segments go out one after the other: after `Accepted { segment: 1, segments: 2, .. }` there is always one more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SubmitOutcome {
    /// The centre has taken this segment; `message_id` is as it wrote it (see [`id_form`]).
    Accepted { segment: u8, segments: u8, message_id: String },
    /// A definite refusal, with nothing left to try. Segments before it were accepted.
    Refused { segment: u8, status: RefusalStatus },
    /// The gate said no before this segment was written. Segments before it were accepted.
    Cancelled { segment: u8, reason: Reason },
    /// Written, and not answered in time, or the connection was lost. Never to be sent again. If the answer of the last
    /// segment still comes on the same connection, an `Accepted` or `Refused` follows and settles it.
    Unknown { segment: u8 },
    /// The channel stopped before anything of it was written: still as it was before it was offered.
    Returned,
}

/// Why a contact was refused for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusalStatus {
    /// The centre's `command_status`.
    Centre(u32),
    /// The text needs more segments than the channel may send: nothing was written.
    TooLong { needed: usize, max: usize },
    /// The source address is no address of at most 20 ASCII characters: nothing was written.
    BadSource,
}

/// One report of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submitted {
    pub contact: ContactId,
    pub outcome: SubmitOutcome,
}

/// What a receipt says of the message. Names follow SMPP 3.4 §5.2.28.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ReceiptState {
    Enroute,
    Delivered,
    Expired,
    Deleted,
    Undeliverable,
    Accepted,
    Unknown,
    Rejected,
}

impl ReceiptState {
    /// Nothing further will be said about the message.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Enroute | Self::Accepted)
    }
}

/// A delivery receipt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReceiptIn {
    /// Forms (see [`id_form`]) under which the centre may have given the id in its answer, the likeliest first: as
    /// written, then hex read from decimal, then decimal read from hex. A match must agree in `from`, too.
    pub message_ids: Vec<String>,
    /// Our [`Dispatch::reference`], if the centre echoes it.
    pub reference: Option<u16>,
    /// Whom the message was for.
    pub from: Msisdn,
    /// Our source address.
    pub to: String,
    pub state: ReceiptState,
    /// `submit date` of the receipt in the centre's own clock and zone, to the minute or second.
    pub submitted: Option<jiff::civil::DateTime>,
    /// When it reached us.
    pub at: Timestamp,
}

/// A reply or any other message from a handset. `Debug` does not show the text.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageIn {
    pub from: Msisdn,
    /// The address it was sent to: ours.
    pub to: String,
    pub text: String,
    pub at: Timestamp,
}

/// What a channel hands over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Inbound {
    Receipt(ReceiptIn),
    Message(MessageIn),
}

/// The other side of a channel: ledger, gate and inbox. `app` implements it.
///
/// A channel holds an [`Awake`] while it waits for `submitted` and `received`: these must not sleep on the clock.
pub trait Deliveries: Send + Sync {
    /// The next contacts, already durable as offered; waits until there is one; at most `max`, at least one.
    /// Dropping the future before it is ready must lose nothing: the contacts stay with the implementor.
    fn next(&self, max: usize) -> BoxFuture<'_, Offered>;
    /// Asked immediately before each write. Must not block.
    fn gate(&self, dispatch: &Dispatch, now: Timestamp) -> Result<(), Reason>;
    /// Reports in the order in which they became known; returns when they are durable.
    fn submitted(&self, reports: Vec<Submitted>) -> BoxFuture<'_, ()>;
    /// Receipts and messages in the order of their arrival; returns when they are durable (an opt-out also in the gate).
    /// The centre may send one again whose acknowledgement it did not see.
    fn received(&self, inbound: Vec<Inbound>) -> BoxFuture<'_, ()>;
}

/// A message id in the form in which ids are compared: blanks trimmed, lower case, no leading zeros.
pub fn id_form(id: &str) -> String {
    let id = id.trim();
    let bare = id.trim_start_matches('0');
    if bare.is_empty() && !id.is_empty() { "0".to_owned() } else { bare.to_ascii_lowercase() }
}

/// The forms of a receipt's id: as written, hex read from decimal, decimal read from hex; without repeats.
pub fn id_forms(id: &str) -> Vec<String> {
    let own = id_form(id);
    if own.is_empty() {
        return Vec::new();
    }
    let hex = own.parse::<u128>().ok().map(|n| format!("{n:x}"));
    let decimal = u128::from_str_radix(&own, 16).ok().map(|n| n.to_string());
    let mut forms = vec![own];
    for form in hex.into_iter().chain(decimal) {
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    forms
}

impl fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatch")
            .field("contact", &self.contact)
            .field("to", &self.to)
            .field("from", &self.from)
            .field("text", &format_args!("<{} characters>", self.text.chars().count()))
            .field("not_after", &self.not_after)
            .field("reference", &self.reference)
            .finish()
    }
}
impl fmt::Debug for MessageIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageIn")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("text", &format_args!("<{} characters>", self.text.chars().count()))
            .field("at", &self.at)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_id_is_matched_decimal_or_hex() {
        for (answer, receipt) in [("1A2B", "0000006699"), ("6699", "1a2b"), ("00abc-7", "ABC-7"), ("0", "0000")] {
            assert!(id_forms(receipt).contains(&id_form(answer)), "{answer} {receipt}");
        }
        assert_eq!(id_forms("16"), ["16", "10", "22"]);
        assert!(id_forms("  ").is_empty());
    }

    #[test]
    fn neither_number_nor_text_prints() {
        let d = Dispatch {
            contact: ContactId(7),
            to: Msisdn::from_e164(8_613_812_345_678).expect("valid"),
            from: "10086".to_owned(),
            text: "secret".to_owned(),
            not_after: Timestamp(0),
            reference: 1,
        };
        let shown = format!("{d:?}");
        assert!(!shown.contains("13812345678") && !shown.contains("secret"), "{shown}");
    }
}
