//! One connection: what is written next, what has been read, and the account of PDUs on the wire.
//!
//! The account (`Clock::on_wire`) counts every whole PDU and, once for each direction, the end of the stream.

use super::frame::{self, BadLength, Frame, Place};
use kairos_model::clock::SharedClock;
use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::bytes::{Buf, BytesMut};

/// Octets taken from the socket at once.
const READ: usize = 64 * 1024;

/// A stream to a centre: plain TCP, or whatever a [`Connector`](super::Connector) gives.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A PDU in the outbox.
struct Waiting {
    place: Place,
    /// The sequence number of a submit_sm, which may be taken back while not an octet of it is written.
    submit: Option<u32>,
}

pub(super) struct Link {
    io: Box<dyn Io>,
    clock: SharedClock,
    inbox: BytesMut,
    outbox: BytesMut,
    waiting: VecDeque<Waiting>,
    /// Octets written on this connection; places count from its start.
    written: usize,
    scratch: Box<[u8]>,
    ended: bool,
}

impl Link {
    pub fn new(io: Box<dyn Io>, clock: SharedClock) -> Self {
        Self {
            io,
            clock,
            inbox: BytesMut::new(),
            outbox: BytesMut::new(),
            waiting: VecDeque::new(),
            written: 0,
            scratch: vec![0; READ].into_boxed_slice(),
            ended: false,
        }
    }

    /// Appends one PDU that `put` writes. Where `put` fails, nothing is appended.
    pub fn push<E>(&mut self, submit: Option<u32>, put: impl FnOnce(&mut BytesMut) -> Result<(), E>) -> Result<(), E> {
        let before = self.outbox.len();
        if let Err(e) = put(&mut self.outbox) {
            self.outbox.truncate(before);
            return Err(e);
        }
        self.clock.on_wire(1);
        let place = self.written + before..self.written + self.outbox.len();
        self.waiting.push_back(Waiting { place, submit });
        Ok(())
    }

    /// As [`Link::push`], for a PDU that always fits.
    pub fn push_plain(&mut self, put: impl FnOnce(&mut BytesMut)) {
        let Ok(()) = self.push(None, |out| {
            put(out);
            Ok::<(), std::convert::Infallible>(())
        });
    }

    pub fn has_output(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Writes until the outbox is empty or the socket takes no more.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            let n = ready!(Pin::new(&mut self.io).poll_write(cx, &self.outbox))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outbox.advance(n);
            self.written += n;
            while self.waiting.front().is_some_and(|w| w.place.end <= self.written) {
                self.waiting.pop_front();
            }
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Takes back the submits of which nothing is written yet, the last first. They stand at the end of the outbox.
    pub fn take_back(&mut self) -> Vec<u32> {
        let mut back = Vec::new();
        while let Some(Waiting { place, submit: Some(seq) }) = self.waiting.back()
            && place.start >= self.written
        {
            back.push(*seq);
            self.outbox.truncate(place.start - self.written);
            self.waiting.pop_back();
        }
        self.clock.on_wire(-(back.len() as i64));
        back
    }

    /// Reads what is there. `false` at the end of the stream, which an error is, too.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.ended {
            return Poll::Ready(Ok(false));
        }
        let mut buf = ReadBuf::new(&mut self.scratch);
        let result = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf));
        if result.is_err() || buf.filled().is_empty() {
            self.ended = true;
            self.clock.on_wire(-1);
        }
        result?;
        self.inbox.extend_from_slice(buf.filled());
        Poll::Ready(Ok(!self.ended))
    }

    /// The next whole PDU that was read. The caller calls `on_wire(-1)` when it has dealt with it.
    pub fn frame(&mut self) -> Result<Option<Frame>, BadLength> {
        frame::next(&mut self.inbox)
    }

    /// Whether the stream ended in the middle of a PDU.
    pub fn is_cut(&self) -> bool {
        self.ended && !self.inbox.is_empty()
    }

    /// Nothing more will be written: what was not written whole comes off the account, and our end goes onto it.
    pub fn abandon(&mut self) {
        self.clock.on_wire(1 - self.waiting.len() as i64);
        self.waiting.clear();
        self.outbox.clear();
    }

    /// After [`Link::abandon`]: says goodbye and reads on until the peer does, so that nothing is left on the account.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if Pin::new(&mut self.io).poll_shutdown(cx).is_pending() {
            return Poll::Pending;
        }
        loop {
            while let Ok(Some(_)) = self.frame() {
                self.clock.on_wire(-1);
            }
            match ready!(self.poll_read(cx)) {
                Ok(true) => {}
                Ok(false) | Err(_) => return Poll::Ready(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kairos_model::{Awake, Clock, Timestamp};
    use std::{
        future::{Future, poll_fn},
        sync::{
            Arc,
            atomic::{AtomicI64, Ordering::Relaxed},
        },
    };
    use tokio::io::AsyncReadExt;
    use tokio_util::bytes::BufMut;

    /// Only the account of the wire.
    #[derive(Default)]
    struct Account(AtomicI64);
    impl Clock for Account {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }
        fn sleep_until(&self, _: Timestamp) -> Pin<Box<dyn Future<Output = Awake> + Send + '_>> {
            Box::pin(std::future::pending())
        }
        fn on_wire(&self, n: i64) {
            self.0.fetch_add(n, Relaxed);
        }
    }

    fn push(link: &mut Link, seq: u32) {
        link.push(Some(seq), |out| {
            out.put_slice(&[seq as u8; 20]);
            Ok::<(), ()>(())
        })
        .unwrap();
    }

    #[tokio::test]
    async fn what_the_socket_has_not_begun_is_taken_back() {
        let account = Arc::new(Account::default());
        let (near, mut far) = tokio::io::duplex(50);
        let mut link = Link::new(Box::new(near), account.clone());
        assert_eq!(
            link.push(Some(9), |out| {
                out.put_u8(1);
                Err("no room")
            }),
            Err("no room")
        );
        (1..=5).for_each(|seq| push(&mut link, seq));
        assert!(poll_fn(|cx| Poll::Ready(link.poll_flush(cx).is_pending())).await);
        // 50 octets: 1 and 2 whole, half of 3
        assert_eq!((link.take_back(), account.0.load(Relaxed)), (vec![5, 4], 3));
        assert_eq!((link.take_back(), link.has_output()), (vec![], true));
        push(&mut link, 4);
        let mut read = [0; 80];
        let (flushed, all) = tokio::join!(poll_fn(|cx| link.poll_flush(cx)), far.read_exact(&mut read));
        assert_eq!((flushed.is_ok(), all.unwrap(), &read[55..65]), (true, 80, &[3, 3, 3, 3, 3, 4, 4, 4, 4, 4][..]));
        // one more that is never written: off the account, and our end on it
        push(&mut link, 6);
        link.abandon();
        assert_eq!(account.0.load(Relaxed), 4 + 1);
    }
}
