//! PDUs of SMPP 3.4 as the simulated centre reads and writes them: by hand, so that the bytes of `connect` are read by
//! somebody else.

pub mod id {
    pub const BIND_TRANSCEIVER: u32 = 0x09;
    pub const SUBMIT_SM: u32 = 0x04;
    pub const DELIVER_SM: u32 = 0x05;
    pub const UNBIND: u32 = 0x06;
    pub const ENQUIRE_LINK: u32 = 0x15;
    pub const RESPONSE: u32 = 0x8000_0000;
}

#[derive(Clone, Debug)]
pub struct Pdu {
    pub id: u32,
    pub status: u32,
    pub seq: u32,
    pub body: Vec<u8>,
}

/// Bytes of one direction of a connection, taken apart into PDUs.
#[derive(Default, Debug)]
pub struct Stream(Vec<u8>);

impl Stream {
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    /// The next whole PDU. `None`: not yet. Lengths outside 16 to 64 KiB end the stream as an empty PDU of id 0.
    pub fn next(&mut self) -> Option<Pdu> {
        let word = |b: &[u8], at: usize| u32::from_be_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        if self.0.len() < 16 {
            return None;
        }
        let len = word(&self.0, 0) as usize;
        if !(16..=65_536).contains(&len) {
            self.0.clear();
            return Some(Pdu { id: 0, status: 0, seq: 0, body: Vec::new() });
        }
        if self.0.len() < len {
            return None;
        }
        let rest = self.0.split_off(len);
        let whole = std::mem::replace(&mut self.0, rest);
        Some(Pdu { id: word(&whole, 4), status: word(&whole, 8), seq: word(&whole, 12), body: whole[16..].to_vec() })
    }
}

pub fn pdu(id: u32, status: u32, seq: u32, body: &[u8]) -> Vec<u8> {
    let mut b = Vec::with_capacity(16 + body.len());
    b.extend_from_slice(&(16 + body.len() as u32).to_be_bytes());
    for word in [id, status, seq] {
        b.extend_from_slice(&word.to_be_bytes());
    }
    b.extend_from_slice(body);
    b
}

/// What a submit_sm says.
#[derive(Clone, Debug)]
pub struct Submit {
    pub to: u64,
    pub esm_class: u8,
    pub validity: String,
    pub octets: Vec<u8>,
    pub reference: Option<u16>,
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&b, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(b)
    }
    fn text(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|&b| b == 0)?;
        let (text, rest) = (&self.0[..end], &self.0[end + 1..]);
        self.0 = rest;
        Some(text)
    }
    fn octets(&mut self, n: usize) -> Option<&'a [u8]> {
        let (octets, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(octets)
    }
}

/// Reads the body of a submit_sm (SMPP 3.4 §4.4.1).
pub fn submit(body: &[u8]) -> Option<Submit> {
    let mut c = Cursor(body);
    c.text()?;
    c.octets(2)?;
    c.text()?;
    c.octets(2)?;
    let to = std::str::from_utf8(c.text()?).ok()?.parse().ok()?;
    let esm_class = c.byte()?;
    c.octets(2)?;
    c.text()?;
    let validity = String::from_utf8(c.text()?.to_vec()).ok()?;
    c.octets(4)?;
    let len = c.byte()?;
    let octets = c.octets(len.into())?.to_vec();
    let mut reference = None;
    while !c.0.is_empty() {
        let head = c.octets(4)?;
        let value = c.octets(usize::from(u16::from_be_bytes([head[2], head[3]])))?;
        if head[..2] == [0x02, 0x04] && value.len() == 2 {
            reference = Some(u16::from_be_bytes([value[0], value[1]]));
        }
    }
    Some(Submit { to, esm_class, validity, octets, reference })
}

/// A deliver_sm from a handset's number to our short code, with parameters behind it.
pub fn deliver(seq: u32, from: u64, esm_class: u8, text: &str, parameters: &[u8]) -> Vec<u8> {
    let mut b = vec![0, 1, 1];
    b.extend_from_slice(from.to_string().as_bytes());
    b.extend_from_slice(b"\0\x00\x0110086\0");
    b.extend_from_slice(&[esm_class, 0, 0, 0, 0, 0, 0, 0, 0, text.len() as u8]);
    b.extend_from_slice(text.as_bytes());
    b.extend_from_slice(parameters);
    pdu(id::DELIVER_SM, 0, seq, &b)
}

/// The parameter by which a receipt names the message (`receipted_message_id`).
pub fn receipted_id(text: &str) -> Vec<u8> {
    let mut b = vec![0x00, 0x1e];
    b.extend_from_slice(&(text.len() as u16 + 1).to_be_bytes());
    b.extend_from_slice(text.as_bytes());
    b.push(0);
    b
}
/// `user_message_reference`, echoed.
pub fn reference(r: u16) -> Vec<u8> {
    let [a, b] = r.to_be_bytes();
    vec![0x02, 0x04, 0, 2, a, b]
}
/// `message_state`.
pub fn state(code: u8) -> Vec<u8> {
    vec![0x04, 0x27, 0, 1, code]
}
