//! The centre's side of SMPP 3.4, through `rusmpp` in both directions.

use kairos_model::{Span, Timestamp, Zone, sms};
use rusmpp::{
    Command, CommandStatus, Pdu,
    decode::DecodeWithLength,
    encode::{Length, owned::Encode},
    pdus::SubmitSm,
    tlvs::TlvValue,
    types::{COctetString, EmptyOrFullCOctetString},
    values::DataCoding,
};
use std::str::FromStr;
use tokio_util::bytes::{Buf, BufMut, Bytes, BytesMut};

/// Longest PDU that the centre reads; a submit_sm with message_payload may be longer than a plain one.
const PDU_MAX: u32 = 8_192;

/// What came out of the stream.
pub(crate) enum Read {
    Pdu {
        command: Box<Command>,
        raw: Bytes,
    },
    /// A whole PDU whose body does not decode.
    Malformed {
        seq: u32,
    },
}

/// The stream cannot be cut into PDUs.
#[derive(Debug, thiserror::Error)]
#[error("a PDU length of {0}, outside 16–{PDU_MAX}")]
pub(crate) struct BadLength(u32);

/// Takes the next whole PDU off the stream.
pub(crate) fn next(stream: &mut BytesMut) -> Result<Option<Read>, BadLength> {
    let Some(length) = stream.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length);
    if !(16..=PDU_MAX).contains(&length) {
        return Err(BadLength(length));
    }
    if stream.len() < length as usize {
        return Ok(None);
    }
    let raw = stream.split_to(length as usize).freeze();
    let seq = raw.slice(12..).get_u32();
    let mut body = BytesMut::from(&raw[4..]);
    let pdu_length = body.len();
    Ok(Some(match Command::decode(&mut body, pdu_length) {
        Ok((command, _)) => Read::Pdu { command: Box::new(command), raw },
        Err(_) => Read::Malformed { seq },
    }))
}

pub(crate) fn put(out: &mut BytesMut, status: CommandStatus, seq: u32, pdu: impl Into<Pdu>) {
    let command = Command::new(status, seq, pdu);
    let length = 4 + command.length();
    out.reserve(length);
    out.put_u32(length as u32); // far below 2^32: every field is bounded
    command.encode(out);
}

/// ASCII of at most MAX − 1 octets; anything else becomes the empty string.
pub(crate) fn c_octets<const MAX: usize>(text: &str) -> COctetString<1, MAX> {
    COctetString::from_str(text).unwrap_or_else(|_| COctetString::empty())
}

/// What a submit_sm asks for, checked.
pub(crate) struct Submit {
    pub source: Address,
    pub to: Address,
    pub coding: u8,
    pub text: Payload,
    pub reference: Option<u16>,
    pub expires: Option<Timestamp>,
    /// 0 none, 1 both, 2 failure, 3 success.
    pub receipt: u8,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub ton: u8,
    pub npi: u8,
    pub digits: String,
}

/// A whole text, or a part of one.
pub(crate) enum Payload {
    Whole(Vec<u8>),
    Part { reference: u16, of: u8, number: u8, octets: Vec<u8> },
}

/// Checks a submit_sm; `Err` is the status to answer with.
pub(crate) fn read_submit(s: &SubmitSm, now: Timestamp) -> Result<Submit, CommandStatus> {
    let source = Address {
        ton: s.source_addr_ton.into(),
        npi: s.source_addr_npi.into(),
        digits: s.source_addr.as_str().to_owned(),
    };
    let to = Address {
        ton: s.dest_addr_ton.into(),
        npi: s.dest_addr_npi.into(),
        digits: s.destination_addr.as_str().to_owned(),
    };
    let esm = u8::from(s.esm_class);
    if esm & 0x3c != 0 {
        return Err(CommandStatus::EsmeRinvesmclass);
    }
    if !s.schedule_delivery_time.as_str().is_empty() {
        return Err(CommandStatus::EsmeRinvsched);
    }
    let expires = match s.validity_period.as_str() {
        "" => None,
        text => Some(instant(text, now).ok_or(CommandStatus::EsmeRinvexpiry)?),
    };
    let (mut reference, mut payload) = (None, None);
    for tlv in s.tlvs() {
        match tlv.value() {
            Some(TlvValue::UserMessageReference(r)) => reference = Some(r.value),
            Some(TlvValue::MessagePayload(p)) => payload = Some(p.value.as_ref()),
            _ => {}
        }
    }
    let octets: &[u8] = if s.sm_length() > 0 { s.short_message().as_ref() } else { payload.unwrap_or_default() };
    let text = if esm & 0x40 == 0 { Payload::Whole(octets.to_vec()) } else { part(octets)? };
    let receipt = u8::from(s.registered_delivery) & 3;
    Ok(Submit { source, to, coding: s.data_coding.into(), text, reference, expires, receipt })
}

/// Reads the user data header: concatenation with an 8- or 16-bit reference (3GPP TS 23.040 §9.2.3.24).
fn part(octets: &[u8]) -> Result<Payload, CommandStatus> {
    let bad = CommandStatus::EsmeRinvesmclass;
    let (&length, rest) = octets.split_first().ok_or(bad)?;
    let (mut header, body) = rest.split_at_checked(length.into()).ok_or(bad)?;
    while let [kind, n, tail @ ..] = header {
        let (element, tail) = tail.split_at_checked((*n).into()).ok_or(bad)?;
        let (reference, of, number) = match (kind, element) {
            (0, &[r, of, number]) => (u16::from(r), of, number),
            (8, &[high, low, of, number]) => (u16::from_be_bytes([high, low]), of, number),
            _ => {
                header = tail;
                continue;
            }
        };
        if number == 0 || number > of {
            return Err(bad);
        }
        return Ok(Payload::Part { reference, of, number, octets: body.to_vec() });
    }
    Ok(Payload::Whole(body.to_vec()))
}

/// The text of octets as a handset shows it; what is no text is shown as its octets.
pub(crate) fn text(coding: u8, octets: &[u8]) -> String {
    let alphabet = match DataCoding::from(coding) {
        DataCoding::McSpecific => Some(sms::Alphabet::Gsm7),
        DataCoding::Ucs2 => Some(sms::Alphabet::Ucs2),
        _ => None,
    };
    let shown = alphabet.and_then(|a| sms::decode(a, octets));
    shown.unwrap_or_else(|| octets.iter().map(|&b| char::from(b)).collect())
}

/// `YYMMDDhhmmsstnnp` (SMPP 3.4 §7.1.1): relative with p = R, else absolute.
fn instant(text: &str, now: Timestamp) -> Option<Timestamp> {
    if text.len() != 16 || !text.is_char_boundary(15) {
        return None;
    }
    let (digits, p) = text.split_at(15);
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let two = |i: usize| digits[i..i + 2].parse::<i64>().ok();
    let (year, month, day) = (two(0)?, two(2)?, two(4)?);
    let (hour, minute, second, quarters) = (two(6)?, two(8)?, two(10)?, two(13)?);
    if p == "R" {
        let days = year * 365 + month * 30 + day;
        return Some(now.plus(Span::secs(((days * 24 + hour) * 60 + minute) * 60 + second)));
    }
    let sign = if p == "+" || p == "-" { p } else { return None };
    let zone = format!("{sign}{:02}:{:02}", quarters / 4, quarters % 4 * 15);
    format!("20{year:02}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{zone}").parse().ok()
}

/// `YYMMDDhhmm`, as receipts write it, in UTC.
pub(crate) fn minute(t: Timestamp) -> String {
    let t = Zone::utc().civil(t);
    format!("{:02}{:02}{:02}{:02}{:02}", t.year().rem_euclid(100), t.month(), t.day(), t.hour(), t.minute())
}

/// `YYMMDDhhmmss000+`, as query_sm_resp writes it, in UTC.
pub(crate) fn final_date(t: Option<Timestamp>) -> EmptyOrFullCOctetString<17> {
    let Some(t) = t else { return EmptyOrFullCOctetString::empty() };
    let second = Zone::utc().civil(t).second();
    let text = format!("{}{second:02}000+", minute(t));
    EmptyOrFullCOctetString::from_str(&text).unwrap_or_else(|_| EmptyOrFullCOctetString::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_periods() {
        let now: Timestamp = "2026-03-02T09:00:00Z".parse().unwrap();
        let at = |text| instant(text, now).map(|t| t.to_string());
        assert_eq!(at("000000030030000R").as_deref(), Some("2026-03-02T12:00:30Z"));
        assert_eq!(at("260302120030000+").as_deref(), Some("2026-03-02T12:00:30Z"));
        assert_eq!(at("260302200030032+").as_deref(), Some("2026-03-02T12:00:30Z"));
        for bad in ["", "x", "260302120030000?", "261302120030000+", "26030212003000é"] {
            assert_eq!(at(bad), None, "{bad}");
        }
        assert_eq!(final_date(Some(now)).as_str(), "260302090000000+");
    }

    #[test]
    fn headers_are_read_or_refused() {
        assert!(
            matches!(part(b"\x05\x00\x03\x07\x02\x01hi"), Ok(Payload::Part { reference: 7, of: 2, number: 1, octets }) if octets == b"hi")
        );
        assert!(matches!(part(b"\x06\x08\x04\x01\x07\x02\x02x"), Ok(Payload::Part { reference: 263, number: 2, .. })));
        assert!(matches!(part(b"\x03\x24\x01\x01x"), Ok(Payload::Whole(o)) if o == b"x"));
        for bad in
            [&b""[..], b"\x05\x00", b"\x05\x00\x03\x07\x02\x00", b"\x05\x00\x03\x07\x02\x03", b"\x03\x00\x09\x01"]
        {
            assert!(part(bad).is_err(), "{bad:?}");
        }
    }
}
