//! The connections: what is to be written on each, and what waits for an answer from its ESME.

use crate::pdu::{self, Address};
use kairos_model::{Awake, hash::FixedMap};
use rusmpp::{
    CommandStatus, Pdu,
    pdus::DeliverSm,
    values::{Npi, Ton},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use tokio::sync::Notify;
use tokio_util::bytes::{Bytes, BytesMut};

/// Octets that may wait to be written: an ESME that submits and never reads its answers is hung up on.
const OUT_MAX: usize = 4 << 20;

/// A deliver_sm on its way to an ESME.
pub(crate) struct Delivery {
    pub pdu: DeliverSm,
    /// The message that a receipt is about.
    pub receipt_of: Option<u64>,
}

/// One connection.
pub(crate) struct Line {
    /// Who is bound, once it is.
    pub user: Option<Arc<str>>,
    pub sends: bool,
    pub receives: bool,
    /// The stream ends behind what is in `out`; simulated time waits until both sides have gone.
    closing: Option<Awake>,
    out: BytesMut,
    /// Whole PDUs in `out`.
    pdus: i64,
    seq: u32,
    open: FixedMap<u32, Delivery>,
    wake: Arc<Notify>,
}

impl Line {
    pub fn new(wake: Arc<Notify>) -> Self {
        Self {
            user: None,
            sends: false,
            receives: false,
            closing: None,
            out: BytesMut::new(),
            pdus: 0,
            seq: 0,
            open: FixedMap::default(),
            wake,
        }
    }

    /// Puts a PDU in line to be written. Returns how many PDUs that adds to the wire.
    pub fn push(&mut self, status: CommandStatus, seq: u32, pdu: impl Into<Pdu>) -> i64 {
        if self.is_closing() || self.out.len() > OUT_MAX {
            return 0;
        }
        pdu::put(&mut self.out, status, seq, pdu);
        self.pdus += 1;
        self.wake.notify_one();
        1
    }

    /// Puts half of a PDU in line, and then the end of the stream.
    pub fn push_half(&mut self, seq: u32, pdu: impl Into<Pdu>, awake: Awake) {
        let mut whole = BytesMut::new();
        pdu::put(&mut whole, CommandStatus::EsmeRok, seq, pdu);
        self.out.extend_from_slice(&whole[..whole.len() / 2]);
        self.close(awake);
    }

    pub fn close(&mut self, awake: Awake) {
        self.closing.get_or_insert(awake);
        self.wake.notify_one();
    }

    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Its ESME does not read what it is sent.
    pub fn is_stuffed(&self) -> bool {
        self.out.len() > OUT_MAX
    }

    /// What is to be written now, and how many whole PDUs it is.
    pub fn take(&mut self) -> (Bytes, i64) {
        (self.out.split().freeze(), std::mem::take(&mut self.pdus))
    }

    pub fn answered(&mut self, seq: u32) -> Option<Delivery> {
        self.open.remove(&seq)
    }

    fn deliver(&mut self, delivery: Delivery) -> i64 {
        self.seq = if self.seq >= 0x7fff_ffff { 1 } else { self.seq + 1 };
        let n = self.push(CommandStatus::EsmeRok, self.seq, delivery.pdu.clone());
        self.open.insert(self.seq, delivery);
        n
    }
}

/// All connections, and what waits for one to receive it.
#[derive(Default)]
pub(crate) struct Lines {
    lines: BTreeMap<u32, Line>,
    mailboxes: BTreeMap<Arc<str>, VecDeque<Delivery>>,
    numbered: u32,
}

impl Lines {
    pub fn open(&mut self, wake: Arc<Notify>) -> u32 {
        self.numbered += 1;
        self.lines.insert(self.numbered, Line::new(wake));
        self.numbered
    }

    pub fn get(&mut self, line: u32) -> Option<&mut Line> {
        self.lines.get_mut(&line)
    }

    /// The connection is gone: what its ESME did not acknowledge waits for the next, in its order. Returns how many PDUs
    /// were never written.
    pub fn hang_up(&mut self, line: u32) -> i64 {
        let Some(line) = self.lines.remove(&line) else { return 0 };
        if let Some(user) = line.user {
            let mut open: Vec<_> = line.open.into_iter().collect();
            open.sort_unstable_by_key(|d| d.0);
            let mailbox = self.mailboxes.entry(user).or_default();
            open.into_iter().rev().for_each(|(_, delivery)| mailbox.push_front(delivery));
        }
        line.pdus
    }

    pub fn close_all(&mut self, awake: impl Fn() -> Awake) {
        self.lines.values_mut().for_each(|l| l.close(awake()));
    }

    pub fn post(&mut self, user: &Arc<str>, delivery: Delivery) {
        self.mailboxes.entry(user.clone()).or_default().push_back(delivery);
    }

    /// Moves what waits for `user` to its connections, up to `window` unanswered on each. Returns how many PDUs.
    pub fn dispatch(&mut self, user: &str, window: usize) -> i64 {
        let Some(mailbox) = self.mailboxes.get_mut(user) else { return 0 };
        let mut n = 0;
        let mine = |l: &&mut Line| l.receives && !l.is_closing() && l.user.as_deref() == Some(user);
        for line in self.lines.values_mut().filter(mine) {
            while line.open.len() < window
                && let Some(delivery) = mailbox.pop_front()
            {
                n += line.deliver(delivery);
            }
        }
        n
    }

    /// deliver_sm that are not acknowledged yet, written or not.
    pub fn undelivered(&self) -> usize {
        let open: usize = self.lines.values().map(|l| l.open.len()).sum();
        open + self.mailboxes.values().map(VecDeque::len).sum::<usize>()
    }
}

/// A deliver_sm between two addresses, without text.
pub(crate) fn between(from: &Address, to: &Address) -> DeliverSm {
    DeliverSm::builder()
        .source_addr_ton(Ton::from(from.ton))
        .source_addr_npi(Npi::from(from.npi))
        .source_addr(pdu::c_octets(&from.digits))
        .dest_addr_ton(Ton::from(to.ton))
        .dest_addr_npi(Npi::from(to.npi))
        .destination_addr(pdu::c_octets(&to.digits))
        .build()
}
