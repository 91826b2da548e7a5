//! PDUs out of a stream of bytes. Ours rather than `rusmpp`'s codec, because that one loses its place in the stream after
//! a PDU whose body it cannot decode, or that is longer than its fields.

use std::ops::Range;
use tokio_util::bytes::{Buf, BytesMut};

/// Longest PDU we read: far above a deliver_sm with 255 octets of text and every TLV, far below what would hurt.
pub(super) const PDU_MAX: u32 = 8_192;
const HEADER: usize = 16;

/// SMPP 3.4 §5.1.2.1.
pub(super) mod id {
    pub const GENERIC_NACK: u32 = 0x8000_0000;
    pub const SUBMIT_SM_RESP: u32 = 0x8000_0004;
    pub const DELIVER_SM: u32 = 0x0000_0005;
    pub const UNBIND: u32 = 0x0000_0006;
    pub const UNBIND_RESP: u32 = 0x8000_0006;
    pub const BIND_TRANSCEIVER_RESP: u32 = 0x8000_0009;
    pub const OUTBIND: u32 = 0x0000_000b;
    pub const ENQUIRE_LINK: u32 = 0x0000_0015;
    pub const ENQUIRE_LINK_RESP: u32 = 0x8000_0015;
    pub const ALERT_NOTIFICATION: u32 = 0x0000_0102;
    pub const RESPONSE: u32 = 0x8000_0000;
}

/// A whole PDU.
#[derive(Debug)]
pub(super) struct Frame {
    pub id: u32,
    pub status: u32,
    pub seq: u32,
    pub body: BytesMut,
}

/// The stream is not SMPP, or no longer in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the centre sent a PDU length of {length}, outside 16–{PDU_MAX}")]
pub(super) struct BadLength {
    pub length: u32,
}

/// Takes the next whole PDU off the front of `stream`.
pub(super) fn next(stream: &mut BytesMut) -> Result<Option<Frame>, BadLength> {
    let Some(length) = stream.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length);
    if !(HEADER as u32..=PDU_MAX).contains(&length) {
        return Err(BadLength { length });
    }
    if stream.len() < length as usize {
        return Ok(None);
    }
    let mut body = stream.split_to(length as usize);
    body.advance(4);
    let (id, status, seq) = (body.get_u32(), body.get_u32(), body.get_u32());
    Ok(Some(Frame { id, status, seq, body }))
}

/// Reads the fields of a PDU body one after the other. Every read past the end is `None`.
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn byte(&mut self) -> Option<u8> {
        let (&b, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(b)
    }
    /// A C-octet string without its terminator; a missing terminator at the very end is forgiven.
    pub fn text(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.iter().position(|&b| b == 0);
        let (text, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest.get(1..).unwrap_or_default();
        Some(text)
    }
    pub fn octets(&mut self, n: usize) -> Option<&'a [u8]> {
        let (octets, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(octets)
    }
    /// The next optional parameter; `None` at the end or where the rest is no parameter.
    pub fn tlv(&mut self) -> Option<(u16, &'a [u8])> {
        let tag = u16::from_be_bytes(*self.octets(2)?.first_chunk()?);
        let length = u16::from_be_bytes(*self.octets(2)?.first_chunk()?);
        Some((tag, self.octets(length.into())?))
    }
}

/// Marks where one PDU lies in an outgoing buffer.
pub(super) type Place = Range<usize>;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(parts: &[&[u8]]) -> BytesMut {
        BytesMut::from(parts.concat().as_slice())
    }

    #[test]
    fn a_pdu_comes_out_when_it_is_whole() {
        let mut s = bytes(&[&[0, 0, 0, 18, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9, 1]]);
        assert!(next(&mut s).expect("in step").is_none());
        s.extend_from_slice(&[2, 0]);
        let f = next(&mut s).expect("in step").expect("whole");
        assert_eq!((f.id, f.status, f.seq, &f.body[..]), (id::DELIVER_SM, 0, 9, &[1, 2][..]));
        assert_eq!(&s[..], [0]);
    }

    #[test]
    fn rubbish_and_a_gigabyte_are_refused_at_four_bytes() {
        for head in [*b"HTTP", 0x4000_0000u32.to_be_bytes(), 15u32.to_be_bytes(), [0; 4], [0xff; 4]] {
            let mut s = bytes(&[&head]);
            assert_eq!(next(&mut s).expect_err("refused").length, u32::from_be_bytes(head));
        }
    }

    #[test]
    fn fields_end_quietly() {
        let mut f = Fields(b"abc\0\x07\x02\x04\x00\x02\x00\x09\x02\x04\x00\x09x");
        assert_eq!((f.text(), f.byte()), (Some(&b"abc"[..]), Some(7)));
        assert_eq!(f.tlv(), Some((0x0204, &[0u8, 9][..])));
        assert_eq!((f.tlv(), f.text(), f.byte()), (None, Some(&b"x"[..]), None));
    }
}
