//! The simulated centre, spoken to octet by octet.

#![allow(clippy::unwrap_used)]

use kairos_model::{Awake, Clock, Msisdn, Span, Timestamp, clock::SharedClock};
use kairos_smsc::{Answer, Counts, Fate, Population, SimClock, Smsc, SmscConfig};
use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const SUBMIT: u32 = 4;
const DELIVER: u32 = 5;
const QUERY: u32 = 3;
const RECEIVER: u32 = 1;
const TRANSMITTER: u32 = 2;
const TRANSCEIVER: u32 = 9;
const RESPONSE: u32 = 0x8000_0000;
const TO: &[u8] = b"8613800000001";

/// Every message arrives after a second; who is asked `?` answers.
struct Prompt;
impl Population for Prompt {
    fn fate(&self, _: Msisdn, _: &str, _: Timestamp) -> Fate {
        Fate::Delivered { after: Span::secs(1) }
    }
    fn delivered(&self, _: Msisdn, text: &str, _: Timestamp) -> Option<Answer> {
        text.ends_with('?').then(|| Answer { after: Span::mins(1), text: "是".to_owned() })
    }
}

/// An ESME that keeps the account of the wire.
struct Esme {
    stream: TcpStream,
    clock: Arc<SimClock>,
}

struct Pdu {
    id: u32,
    status: u32,
    seq: u32,
    body: Vec<u8>,
}

impl Esme {
    async fn connect(smsc: &Smsc, clock: &Arc<SimClock>) -> Self {
        Self { stream: TcpStream::connect(smsc.addr()).await.unwrap(), clock: clock.clone() }
    }
    async fn bound(smsc: &Smsc, clock: &Arc<SimClock>, kind: u32, user: &str) -> Self {
        let mut esme = Self::connect(smsc, clock).await;
        let status = esme.bind(kind, user, "pass").await;
        assert_eq!(status, 0);
        esme
    }
    async fn bind(&mut self, kind: u32, user: &str, password: &str) -> u32 {
        let body = [user.as_bytes(), b"\0", password.as_bytes(), b"\0\0\x34\0\0\0"].concat();
        self.send(kind, 1, &body).await;
        let answer = self.read().await;
        assert_eq!((answer.id, answer.seq), (kind | RESPONSE, 1));
        answer.status
    }
    async fn send(&mut self, id: u32, seq: u32, body: &[u8]) {
        self.clock.on_wire(1);
        let words = [16 + body.len() as u32, id, 0, seq].map(u32::to_be_bytes).concat();
        self.stream.write_all(&[&words, body].concat()).await.unwrap();
    }
    async fn read(&mut self) -> Pdu {
        let mut head = [0; 16];
        self.stream.read_exact(&mut head).await.unwrap();
        let word = |i: usize| u32::from_be_bytes(head[i..i + 4].try_into().unwrap());
        let mut body = vec![0; word(0) as usize - 16];
        self.stream.read_exact(&mut body).await.unwrap();
        self.clock.on_wire(-1);
        Pdu { id: word(4), status: word(8), seq: word(12), body }
    }
    async fn ask(&mut self, id: u32, seq: u32, body: &[u8]) -> (u32, u32, Vec<u8>) {
        self.send(id, seq, body).await;
        let p = self.read().await;
        assert_eq!(p.seq, seq);
        (p.id, p.status, p.body)
    }
    /// The centre has closed, and so do we.
    async fn hung_up(mut self) {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
        self.clock.on_wire(-1);
        self.leave().await;
    }
    /// Leaves, and waits until the centre has gone, too.
    async fn leave_and_wait(mut self) {
        self.clock.on_wire(1);
        self.stream.shutdown().await.unwrap();
        self.stream.read_to_end(&mut Vec::new()).await.unwrap();
        self.clock.on_wire(-1);
    }
    async fn leave(mut self) {
        self.clock.on_wire(1);
        self.stream.shutdown().await.unwrap();
    }
}

fn submit(esm: u8, to: &[u8], schedule: &[u8], validity: &[u8], coding: u8, message: &[u8]) -> Vec<u8> {
    let head = [b"\0\0\x0110086\0\x01\x01", to, b"\0"].concat();
    let times = [&[esm, 0, 0][..], schedule, b"\0", validity, b"\0"].concat();
    [&head[..], &times, &[1, 0, coding, 0, message.len() as u8], message].concat()
}
fn plain(message: &[u8]) -> Vec<u8> {
    submit(0, TO, b"", b"", 0, message)
}
fn query(id: &str) -> Vec<u8> {
    [id.as_bytes(), b"\0\0\x0110086\0"].concat()
}

async fn centre(change: impl FnOnce(&mut SmscConfig)) -> (Smsc, Arc<SimClock>) {
    let clock = Arc::new(SimClock::new(Timestamp::from_secs(1_772_413_800)));
    let shared: SharedClock = clock.clone();
    let mut config = SmscConfig::new(shared, 1);
    config.users = ["a", "b"].map(|u| (u.to_owned(), "pass".to_owned())).to_vec();
    change(&mut config);
    (Smsc::start(config, Arc::new(Prompt)).await.unwrap(), clock)
}

/// Lets simulated time pass; otherwise the test holds a guard, and it stands still.
async fn pass(clock: &SimClock, awake: Awake, span: Span) -> Awake {
    let sleep = clock.sleep_until(clock.now().plus(span));
    drop(awake);
    sleep.await
}

#[tokio::test]
async fn who_may_bind_and_what_is_refused() {
    let (smsc, clock) = centre(|_| {}).await;
    let mut stranger = Esme::connect(&smsc, &clock).await;
    assert_eq!(stranger.ask(SUBMIT, 7, &plain(b"hi")).await.1, 0x04);
    assert_eq!(stranger.bind(TRANSCEIVER, "a", "wrong").await, 0x0d);
    stranger.hung_up().await;

    let mut a = Esme::bound(&smsc, &clock, TRANSCEIVER, "a").await;
    assert_eq!(a.bind(TRANSMITTER, "a", "pass").await, 0x05);
    for (body, status) in [
        (submit(0, b"BANK", b"", b"", 0, b"hi"), 0x0b),
        (submit(0, b"12", b"", b"", 0, b"hi"), 0x0b),
        (submit(4, TO, b"", b"", 0, b"hi"), 0x43),
        (submit(0x40, TO, b"", b"", 0, b"\x09hi"), 0x43),
        (submit(0, TO, b"260302120000000+", b"", 0, b"hi"), 0x61),
        (submit(0, TO, b"", b"269902120000000+", 0, b"hi"), 0x62),
    ] {
        assert_eq!(a.ask(SUBMIT, 9, &body).await.1, status);
    }
    // data_sm without its fields is malformed; a command that nobody knows is nacked; so is one of the centre's own
    assert_eq!(a.ask(0x103, 2, b"x").await, (RESPONSE, 0x02, vec![]));
    assert_eq!(a.ask(0x7777, 3, b"").await, (RESPONSE, 0x03, vec![]));
    assert_eq!(a.ask(0x15, 4, b"").await, (0x15 | RESPONSE, 0, vec![]));
    assert_eq!(a.ask(6, 5, b"").await, (6 | RESPONSE, 0, vec![]));
    a.hung_up().await;

    let mut rough = Esme::bound(&smsc, &clock, TRANSCEIVER, "b").await;
    rough.stream.write_all(b"\x40\0\0\0").await.unwrap();
    rough.hung_up().await;
    let want = Counts { binds: 2, refused_binds: 2, submits: 7, rejected: 7, malformed: 1, ..Counts::default() };
    assert_eq!(smsc.counts(), want);
    smsc.stop().await;
    assert_eq!((clock.standing().busy, clock.standing().wire), (0, 0));
}

#[tokio::test]
async fn receipts_wait_for_a_receiver_of_their_user_and_are_sent_until_acknowledged() {
    let (smsc, clock) = centre(|_| {}).await;
    let awake = clock.begin();
    let mut sender = Esme::bound(&smsc, &clock, TRANSMITTER, "a").await;
    let mut other = Esme::bound(&smsc, &clock, RECEIVER, "b").await;
    assert_eq!(other.ask(SUBMIT, 1, &plain(b"hi")).await.1, 0x04);
    assert_eq!(sender.ask(SUBMIT, 2, &plain(b"well?")).await, (SUBMIT | RESPONSE, 0, b"1\0".to_vec()));
    assert_eq!(sender.ask(QUERY, 3, &query("1")).await.2, b"1\0\0\x01\0");
    // once the reply is in, the receipt is, too
    let _awake = pass(&clock, awake, Span::mins(2)).await;
    assert_eq!(sender.ask(QUERY, 4, &query("1")).await.2, b"1\x00260302011001000+\0\x02\0");
    assert_eq!(sender.ask(QUERY, 5, &query("2")).await.1, 0x67);
    assert_eq!(other.ask(QUERY, 5, &query("1")).await.1, 0x67, "it is not b's");

    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut receiver = Esme::bound(&smsc, &clock, RECEIVER, "a").await;
        let (receipt, reply) = (receiver.read().await, receiver.read().await);
        assert_eq!((receipt.id, reply.id), (DELIVER, DELIVER));
        seen.push((receipt.body, reply.body));
        receiver.leave_and_wait().await; // without an acknowledgement
    }
    assert_eq!(seen[0], seen[1]);
    let text = b"id:1 sub:001 dlvrd:001 submit date:2603020110 done date:2603020110 stat:DELIVRD err:000 text:";
    let said = |body: &[u8], part: &[u8]| body.windows(part.len()).any(|w| w == part);
    assert!(said(&seen[0].0, text) && said(&seen[0].0, b"\x00\x1e\x00\x021\0\x04\x27\x00\x01\x02"));
    assert!(said(&seen[0].1, &[&b"10086\0\0\0\0\0\0\0\0\x08\0\x02"[..], &[0x66, 0x2f]].concat()), "{:02x?}", seen[0].1);

    let mut receiver = Esme::bound(&smsc, &clock, RECEIVER, "a").await;
    for _ in 0..2 {
        let p = receiver.read().await;
        receiver.send(DELIVER | RESPONSE, p.seq, b"\0").await;
    }
    assert_eq!(receiver.ask(0x15, 9, b"").await.1, 0);
    let counts = smsc.counts();
    assert_eq!((counts.receipts, counts.replies, counts.acknowledged, smsc.is_idle()), (1, 1, 2, true));
}

#[tokio::test]
async fn parts_in_any_order_make_one_message_and_the_log_has_it_before_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("smsc.log");
    let (smsc, clock) = centre(|c| c.log = Some(log.clone())).await;
    let awake = clock.begin();
    let mut a = Esme::bound(&smsc, &clock, TRANSMITTER, "a").await;
    let part = |n: u8, text: &str| {
        let text: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        submit(0x40, TO, b"", b"", 8, &[&[5, 0, 3, 77, 3, n][..], &text].concat())
    };
    let lines = || -> Vec<serde_json::Value> {
        let text = fs::read_to_string(&log).unwrap();
        text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    };
    for (n, text) in [(3, "三？"), (1, "一"), (2, "二")] {
        a.ask(SUBMIT, n.into(), &part(n, text)).await;
        let last = lines().pop().unwrap();
        assert_eq!(
            (last["ev"].as_str(), last["text"].as_str(), last["dst"].as_str()),
            (Some("submit"), Some(text), Some("8613800000001"))
        );
        assert!(last["hex"].as_str().unwrap().ends_with(&if n == 2 { "4e8c" } else { "" }));
    }
    let awake = pass(&clock, awake, Span::secs(5)).await;
    let counts = smsc.counts();
    assert_eq!((counts.accepted, counts.delivered, counts.receipts), (3, 1, 3));
    // parts that never become whole expire
    a.ask(SUBMIT, 4, &part(1, "alone")).await;
    let _awake = pass(&clock, awake, Span::days(3)).await;
    assert_eq!(a.ask(QUERY, 5, &query("4")).await.2, b"4\x00260304011005000+\0\x03\0");
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    let states: Vec<_> = lines().into_iter().filter(|l| l["ev"] == "receipt").map(|l| l["state"].clone()).collect();
    assert_eq!(states, ["DELIVRD", "DELIVRD", "DELIVRD", "EXPIRED"]);
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let (smsc, clock) = centre(|_| {}).await;
    let mut config = SmscConfig::new(clock.clone(), 1);
    config.listen = smsc.addr();
    let taken = Smsc::start(config, Arc::new(Prompt)).await.err().unwrap().to_string();
    assert_eq!(
        taken,
        format!("the simulated centre cannot listen on {}; choose a free port, or 0 for any", smsc.addr())
    );
    let mut config = SmscConfig::new(clock, 1);
    config.log = Some("/nowhere/smsc.log".into());
    let no_log = Smsc::start(config, Arc::new(Prompt)).await.err().unwrap().to_string();
    assert_eq!(no_log, "the simulated centre cannot open its log `/nowhere/smsc.log`");
}
