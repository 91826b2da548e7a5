//! Our client against peers that misbehave, written octet by octet, in real time.

#![allow(clippy::unwrap_used)]

use crate::smpp_desk::{Desk, Running, WallClock, config, dispatch, number};
use kairos_connect::{
    channel::{RefusalStatus, SubmitOutcome},
    smpp::SmppConfig,
};
use kairos_model::{Span, clock::SharedClock};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const OK: u32 = 0;
const SUBMIT: u32 = 4;
const DELIVER: u32 = 5;
const BIND: u32 = 9;
const ENQUIRE: u32 = 0x15;
const RESPONSE: u32 = 0x8000_0000;

struct Peer(TcpStream);

impl Peer {
    async fn read(&mut self) -> (u32, u32, u32, Vec<u8>) {
        let mut head = [0; 16];
        self.0.read_exact(&mut head).await.unwrap();
        let word = |i: usize| u32::from_be_bytes(head[i..i + 4].try_into().unwrap());
        let mut body = vec![0; word(0) as usize - 16];
        self.0.read_exact(&mut body).await.unwrap();
        (word(4), word(8), word(12), body)
    }
    async fn expect(&mut self, id: u32) -> u32 {
        let (got, _, seq, _) = self.read().await;
        assert_eq!(got, id, "{got:#x} for {id:#x}");
        seq
    }
    async fn write(&mut self, id: u32, status: u32, seq: u32, body: &[u8]) {
        let words = [16 + body.len() as u32, id, status, seq];
        let pdu = [words.map(u32::to_be_bytes).concat().as_slice(), body].concat();
        self.0.write_all(&pdu).await.unwrap();
    }
    async fn bound(listener: &TcpListener) -> Self {
        let mut peer = Self(listener.accept().await.unwrap().0);
        let seq = peer.expect(BIND).await;
        peer.write(BIND | RESPONSE, OK, seq, b"rough\0\x02\x10\x00\x01\x34").await;
        peer
    }
    /// The client has closed.
    async fn closed(mut self) {
        let mut rest = Vec::new();
        // a reset is an end, too
        if self.0.read_to_end(&mut rest).await.is_ok() {
            assert!(rest.is_empty() || rest[7] != SUBMIT as u8);
        }
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

fn quick(addr: SocketAddr) -> SmppConfig {
    let mut c = config(addr);
    c.reconnect_backoff = (Span::millis(1), Span::millis(5));
    c.throttle_backoff = (Span::millis(1), Span::millis(5));
    c
}

fn start(addr: SocketAddr, contacts: u64) -> (Arc<Desk>, Running) {
    let clock: SharedClock = Arc::new(WallClock);
    let desk = Desk::new(clock.clone(), (1..=contacts).map(|n| dispatch(n, "hello")).collect());
    let running = Running::start(quick(addr), &desk, &clock);
    (desk, running)
}

async fn answer_unbind(mut peer: Peer) {
    let seq = peer.expect(6).await;
    peer.write(6 | RESPONSE, OK, seq, b"").await;
    peer.closed().await;
}

#[tokio::test]
async fn rubbish_giant_and_broken_pdus_end_the_connection_and_the_next_one_works() {
    let (listener, addr) = listen().await;
    let (desk, running) = start(addr, 1);
    for rubbish in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        &0x4000_0000u32.to_be_bytes(),
        &[0, 0, 0, 3],
        &[0xff; 64],
        &[0, 0, 0, 16, 0x80, 0, 0, 9, 0, 0],
        b"",
    ] {
        let mut peer = Peer(listener.accept().await.unwrap().0);
        peer.expect(BIND).await;
        peer.0.write_all(rubbish).await.unwrap();
        peer.0.shutdown().await.unwrap();
        peer.closed().await;
    }
    let mut peer = Peer::bound(&listener).await;
    let seq = peer.expect(SUBMIT).await;
    peer.write(SUBMIT | RESPONSE, OK, seq, b"77\0").await;
    desk.until_ended(1).await;
    assert_eq!(desk.report(1), [SubmitOutcome::Accepted { segment: 1, segments: 1, message_id: "77".to_owned() }]);
    let (status, ()) = tokio::join!(running.stop(), answer_unbind(peer));
    assert_eq!((status.lost_connections, status.binds, status.unknown), (6, 1, 0));
}

/// Numbers go on over connections: a centre that answers after a reconnect is not taken for one that answers another
/// submit. (Simulation, seed 22.)
#[tokio::test]
async fn an_answer_of_an_earlier_connection_is_nobodys() {
    let (listener, addr) = listen().await;
    let (desk, running) = start(addr, 1);
    let mut peer = Peer::bound(&listener).await;
    let lost = peer.expect(SUBMIT).await;
    drop(peer);
    desk.until_ended(1).await;
    assert_eq!(desk.report(1), [SubmitOutcome::Unknown { segment: 1 }]);
    let mut peer = Peer(listener.accept().await.unwrap().0);
    let bind = peer.expect(BIND).await;
    assert!(bind > lost, "{bind} after {lost}");
    peer.write(BIND | RESPONSE, OK, bind, b"rough\0").await;
    peer.write(SUBMIT | RESPONSE, 0x45, lost, b"\0").await;
    peer.write(ENQUIRE, OK, 9, b"").await;
    peer.expect(ENQUIRE | RESPONSE).await;
    let (status, ()) = tokio::join!(running.stop(), answer_unbind(peer));
    assert_eq!((status.unknown, status.refused, status.stray), (1, 0, 1));
}

#[tokio::test]
async fn answers_of_every_kind() {
    let (listener, addr) = listen().await;
    let (desk, running) = start(addr, 5);
    let mut peer = Peer::bound(&listener).await;
    let mut seqs = Vec::new();
    for _ in 0..5 {
        seqs.push(peer.expect(SUBMIT).await);
    }
    peer.write(SUBMIT | RESPONSE, 0x45, seqs[0], b"").await;
    peer.write(RESPONSE, 0x03, seqs[1], b"").await;
    peer.write(RESPONSE, 0, seqs[2], b"").await;
    peer.write(SUBMIT | RESPONSE, OK, seqs[3], b"").await;
    peer.write(SUBMIT | RESPONSE, OK, 999, b"stray\0").await;
    // throttled: it comes again, with a new number
    peer.write(SUBMIT | RESPONSE, 0x58, seqs[4], b"\0").await;
    let again = peer.expect(SUBMIT).await;
    assert!(again > seqs[4]);
    peer.write(SUBMIT | RESPONSE, 0x14, again, b"").await;
    let again = peer.expect(SUBMIT).await;
    peer.write(SUBMIT | RESPONSE, OK, again, b"e\0").await;
    desk.until_ended(5).await;
    let refused = |status| vec![SubmitOutcome::Refused { segment: 1, status: RefusalStatus::Centre(status) }];
    let accepted = |id: &str| vec![SubmitOutcome::Accepted { segment: 1, segments: 1, message_id: id.to_owned() }];
    assert_eq!([1, 2, 3].map(|n| desk.report(n)), [refused(0x45), refused(3), refused(3)]);
    assert_eq!([4, 5].map(|n| desk.report(n)), [accepted(""), accepted("e")]);
    let (status, ()) = tokio::join!(running.stop(), answer_unbind(peer));
    assert_eq!((status.submits, status.throttled, status.stray, status.refused), (7, 2, 1, 3));
}

#[tokio::test]
async fn requests_of_the_centre_are_answered() {
    let (listener, addr) = listen().await;
    let (desk, running) = start(addr, 0);
    let mut peer = Peer::bound(&listener).await;
    peer.write(ENQUIRE, 0, 41, b"").await;
    assert_eq!(peer.expect(ENQUIRE | RESPONSE).await, 41);
    // data_sm, an unknown command, a deliver_sm without end
    for (id, seq, body) in [(0x103, 42, &b"x"[..]), (0x7777, 43, b""), (DELIVER, 44, b"\0\x01\x01861")] {
        peer.write(id, 0, seq, body).await;
        let (got, status, answered, _) = peer.read().await;
        let want = if id == DELIVER { (DELIVER | RESPONSE, 0, seq) } else { (RESPONSE, 3, seq) };
        assert_eq!((got, status, answered), want);
    }
    // outbind and alert_notification want no answer; the next one is to the enquire_link
    peer.write(0x0b, 0, 45, b"a\0b\0").await;
    peer.write(0x102, 0, 46, b"").await;
    peer.write(ENQUIRE, 0, 47, b"").await;
    assert_eq!(peer.expect(ENQUIRE | RESPONSE).await, 47);
    peer.write(6, 0, 48, b"").await;
    assert_eq!(peer.expect(6 | RESPONSE).await, 48);
    peer.closed().await;
    let peer = Peer::bound(&listener).await;
    running.until_binds(2).await;
    let (status, ()) = tokio::join!(running.stop(), answer_unbind(peer));
    assert_eq!((status.binds, status.lost_connections, status.unreadable), (2, 1, 1));
    assert_eq!(desk.kinds(), [0; 5]);
}

#[tokio::test]
async fn a_message_is_acknowledged_only_after_the_hand_over() {
    let (listener, addr) = listen().await;
    let (desk, running) = start(addr, 0);
    desk.hold_inbound(true);
    desk.until_held().await;
    let mut peer = Peer::bound(&listener).await;
    let digits = number(1).reveal().to_string();
    let body = [b"\0\x01\x01", digits.as_bytes(), b"\0\0\x0110086\0\0\0\0\0\0\0\0\0\0\x02TD"].concat();
    peer.write(DELIVER, 0, 7, &body).await;
    peer.write(ENQUIRE, 0, 8, b"").await;
    assert_eq!(peer.expect(ENQUIRE | RESPONSE).await, 8, "and the message is not acknowledged yet");
    assert!(desk.messages().is_empty());
    desk.hold_inbound(false);
    assert_eq!(peer.expect(DELIVER | RESPONSE).await, 7);
    assert_eq!(desk.messages()[0].text, "TD");
    let ((), _) = tokio::join!(answer_unbind(peer), running.stop());
}

#[tokio::test]
async fn the_connection_is_lost_with_submits_open() {
    let (listener, addr) = listen().await;
    let (desk, running) = start(addr, 3);
    let mut peer = Peer::bound(&listener).await;
    let first = peer.expect(SUBMIT).await;
    peer.expect(SUBMIT).await;
    peer.expect(SUBMIT).await;
    peer.write(SUBMIT | RESPONSE, OK, first, b"1\0").await;
    desk.until_ended(1).await;
    drop(peer);
    desk.until_ended(3).await;
    assert_eq!(desk.kinds(), [1, 0, 0, 2, 0]);
    // nothing is submitted again on the next connection: the first PDU there is the unbind
    let peer = Peer::bound(&listener).await;
    running.until_binds(2).await;
    let (status, ()) = tokio::join!(running.stop(), answer_unbind(peer));
    assert_eq!((status.submits, status.unknown), (3, 2));
}
