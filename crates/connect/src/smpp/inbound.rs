//! What a deliver_sm says: a receipt in either form, or a message from a handset. Tolerant of what centres really send:
//! missing terminators, unknown parameters, either id radix.

use super::frame::Fields;
use crate::channel::{Inbound, MessageIn, ReceiptIn, ReceiptState, id_forms};
use jiff::civil;
use kairos_model::{Dialled, Msisdn, NumberPlan, Timestamp, sms};

/// Optional parameters that we read (SMPP 3.4 §5.3.2).
mod tag {
    pub const RECEIPTED_MESSAGE_ID: u16 = 0x001e;
    pub const USER_MESSAGE_REFERENCE: u16 = 0x0204;
    pub const MESSAGE_PAYLOAD: u16 = 0x0424;
    pub const MESSAGE_STATE: u16 = 0x0427;
}

/// Why a deliver_sm could not be handed over. It is acknowledged all the same: sent again it would read no better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it ends before its fields do")]
    Short,
    #[error("its source address is no phone number")]
    Source,
}

/// The fields of a deliver_sm that matter to us.
struct Deliver<'a> {
    source_ton: u8,
    source: &'a [u8],
    destination: &'a [u8],
    esm_class: u8,
    data_coding: u8,
    message: &'a [u8],
    receipted_id: Option<&'a [u8]>,
    state: Option<u8>,
    reference: Option<u16>,
}

/// Reads the body of a deliver_sm (SMPP 3.4 §4.6.1).
pub(super) fn read(body: &[u8], plan: &NumberPlan, at: Timestamp) -> Result<Inbound, Unreadable> {
    let deliver = fields(body).ok_or(Unreadable::Short)?;
    let from = number(plan, deliver.source_ton, deliver.source).ok_or(Unreadable::Source)?;
    let to = latin1(deliver.destination);
    // bits 2–5: 0001 receipt, 1000 intermediate notification (SMPP 3.4 §5.2.12)
    let kind = deliver.esm_class & 0x3c;
    if matches!(kind, 0x04 | 0x20) || deliver.receipted_id.is_some() {
        return Ok(Inbound::Receipt(receipt(&deliver, kind == 0x20, from, to, at)));
    }
    Ok(Inbound::Message(MessageIn { from, to, text: text(&deliver), at }))
}

fn fields(body: &[u8]) -> Option<Deliver<'_>> {
    let mut f = Fields(body);
    f.text()?; // service_type
    let (source_ton, _npi, source) = (f.byte()?, f.byte()?, f.text()?);
    let (_ton, _npi, destination) = (f.byte()?, f.byte()?, f.text()?);
    let (esm_class, _protocol, _priority) = (f.byte()?, f.byte()?, f.byte()?);
    f.text()?; // schedule_delivery_time
    f.text()?; // validity_period
    let (_registered, _replace, data_coding, _canned) = (f.byte()?, f.byte()?, f.byte()?, f.byte()?);
    let length = f.byte()?;
    let message = f.octets(length.into())?;
    let mut d = Deliver {
        source_ton,
        source,
        destination,
        esm_class,
        data_coding,
        message,
        receipted_id: None,
        state: None,
        reference: None,
    };
    while let Some((tag, value)) = f.tlv() {
        match tag {
            tag::RECEIPTED_MESSAGE_ID => d.receipted_id = Fields(value).text(),
            tag::MESSAGE_STATE => d.state = value.first().copied(),
            tag::USER_MESSAGE_REFERENCE => d.reference = value.first_chunk().map(|b| u16::from_be_bytes(*b)),
            tag::MESSAGE_PAYLOAD if d.message.is_empty() => d.message = value,
            _ => {}
        }
    }
    Some(d)
}

/// A handset's number: as the plan reads it, or any E.164 number that is typed international.
fn number(plan: &NumberPlan, ton: u8, digits: &[u8]) -> Option<Msisdn> {
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    if let Some(m) = plan.parse_normalised(digits) {
        return Some(m);
    }
    let text = std::str::from_utf8(digits).ok()?;
    match plan.parse(text) {
        Ok(Dialled::Number(m)) => Some(m),
        Ok(Dialled::Short(_)) => None,
        Err(_) if ton == 1 && text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok().and_then(Msisdn::from_e164),
        Err(_) => None,
    }
}

fn receipt(d: &Deliver<'_>, intermediate: bool, from: Msisdn, to: String, at: Timestamp) -> ReceiptIn {
    let said = latin1(d.message);
    let id = d.receipted_id.map(latin1).or_else(|| field(&said, "id:").map(str::to_owned)).unwrap_or_default();
    let state = match (intermediate, d.state.and_then(state_of_code), field(&said, "stat:")) {
        (true, ..) => ReceiptState::Enroute,
        (_, Some(state), _) => state,
        (_, None, Some(word)) => state_of_word(word),
        (_, None, None) => ReceiptState::Unknown,
    };
    let submitted = field(&said, "submit date:").and_then(date);
    ReceiptIn { message_ids: id_forms(&id), reference: d.reference, from, to, state, submitted, at }
}

/// The word behind `key` in `id:… sub:… dlvrd:… submit date:… done date:… stat:… err:… text:…`, whatever its case.
fn field<'a>(said: &'a str, key: &str) -> Option<&'a str> {
    let bytes = said.as_bytes();
    let at = (0..=bytes.len().checked_sub(key.len())?).find(|&i| {
        // a key begins a word: `id:` is not found inside `valid:`
        (i == 0 || bytes[i - 1] == b' ') && bytes[i..i + key.len()].eq_ignore_ascii_case(key.as_bytes())
    })?;
    said.get(at + key.len()..)?.trim_start().split(' ').next().filter(|w| !w.is_empty())
}

/// SMPP 3.4 §5.2.28.
const fn state_of_code(code: u8) -> Option<ReceiptState> {
    Some(match code {
        1 => ReceiptState::Enroute,
        2 => ReceiptState::Delivered,
        3 => ReceiptState::Expired,
        4 => ReceiptState::Deleted,
        5 => ReceiptState::Undeliverable,
        6 => ReceiptState::Accepted,
        7 => ReceiptState::Unknown,
        8 => ReceiptState::Rejected,
        _ => return None,
    })
}

/// SMPP 3.4 appendix B abbreviates to seven letters; some centres write the whole word.
fn state_of_word(word: &str) -> ReceiptState {
    let start = word.get(..5).unwrap_or(word).to_ascii_uppercase();
    match start.as_str() {
        "DELIV" => ReceiptState::Delivered,
        "EXPIR" => ReceiptState::Expired,
        "DELET" => ReceiptState::Deleted,
        "UNDEL" => ReceiptState::Undeliverable,
        "ACCEP" => ReceiptState::Accepted,
        "REJEC" => ReceiptState::Rejected,
        "ENROU" => ReceiptState::Enroute,
        _ => ReceiptState::Unknown,
    }
}

/// `YYMMDDhhmm` or `YYMMDDhhmmss`.
fn date(text: &str) -> Option<civil::DateTime> {
    if !matches!(text.len(), 10 | 12) || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let two = |i: usize| text.get(i..i + 2).and_then(|t| t.parse::<i8>().ok());
    let second = if text.len() == 12 { two(10)? } else { 0 };
    civil::DateTime::new(2000 + i16::from(two(0)?), two(2)?, two(4)?, two(6)?, two(8)?, second, 0).ok()
}

/// The text of a message; a part of a long one is a message of its own, without its header.
fn text(d: &Deliver<'_>) -> String {
    let mut octets = d.message;
    if d.esm_class & 0x40 != 0 {
        let header = octets.first().map_or(0, |&n| usize::from(n) + 1);
        octets = octets.get(header..).unwrap_or_default();
    }
    match d.data_coding {
        0 => sms::decode(sms::Alphabet::Gsm7, octets).unwrap_or_else(|| latin1(octets)),
        8 => sms::decode(sms::Alphabet::Ucs2, octets).unwrap_or_else(|| {
            let units: Vec<u16> = octets.chunks_exact(2).map(|p| u16::from_be_bytes([p[0], p[1]])).collect();
            String::from_utf16_lossy(&units)
        }),
        _ => latin1(octets),
    }
}

fn latin1(octets: &[u8]) -> String {
    octets.iter().map(|&b| char::from(b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: &[u8] = b"8613812345678";

    fn deliver(esm: u8, coding: u8, source: &[u8], message: &[u8], tlvs: &[u8]) -> Vec<u8> {
        let mut b = vec![0, 1, 1];
        b.extend_from_slice(source);
        b.extend_from_slice(b"\0\x00\x0110086\0");
        b.extend_from_slice(&[esm, 0, 0, 0, 0, 0, 0, coding, 0, message.len() as u8]);
        b.extend_from_slice(message);
        b.extend_from_slice(tlvs);
        b
    }
    fn read_it(body: &[u8]) -> Result<Inbound, Unreadable> {
        read(body, &NumberPlan::china(), Timestamp(5))
    }
    fn receipt_of(body: &[u8]) -> ReceiptIn {
        match read_it(body) {
            Ok(Inbound::Receipt(r)) => r,
            other => panic!("{other:?}"),
        }
    }
    fn text_of(body: &[u8]) -> String {
        match read_it(body) {
            Ok(Inbound::Message(m)) => m.text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn parameters_go_before_the_text() {
        let text = b"id:0000006699 sub:001 dlvrd:001 submit date:2603020830 done date:2603020831 stat:DELIVRD err:000 text:id:9";
        let r = receipt_of(&deliver(4, 0, NUMBER, text, b""));
        assert_eq!(
            (r.message_ids, r.state),
            (vec!["6699".into(), "1a2b".into(), "26265".into()], ReceiptState::Delivered)
        );
        assert_eq!(r.submitted, Some(civil::datetime(2026, 3, 2, 8, 30, 0, 0)));
        let tlvs = b"\x00\x1e\x00\x05beef\0\x04\x27\x00\x01\x05\x02\x04\x00\x02\x12\x34\x14\x00\x00\x01x";
        let r = receipt_of(&deliver(4, 0, NUMBER, text, tlvs));
        assert_eq!((r.message_ids[0].as_str(), r.state), ("beef", ReceiptState::Undeliverable));
        assert_eq!((r.reference, r.to.as_str(), r.at), (Some(0x1234), "10086", Timestamp(5)));
    }

    #[test]
    fn receipts_of_other_makers() {
        for (text, id, state) in [
            (&b"ID:abc Stat:undeliverable Err:1"[..], "abc", ReceiptState::Undeliverable),
            (b"id: 77 stat: EXPIRED", "77", ReceiptState::Expired),
            (b"valid:1 id:8", "8", ReceiptState::Unknown),
        ] {
            let r = receipt_of(&deliver(4, 0, NUMBER, text, b""));
            assert_eq!((r.message_ids[0].as_str(), r.state), (id, state));
        }
        assert!(receipt_of(&deliver(4, 0, NUMBER, b"", b"")).message_ids.is_empty());
        // an id without its terminator, and no receipt flag
        let r = receipt_of(&deliver(0, 0, NUMBER, b"", b"\x00\x1e\x00\x02ab\x04\x27\x00\x01\x02"));
        assert_eq!((r.message_ids[0].as_str(), r.state), ("ab", ReceiptState::Delivered));
        assert_eq!(receipt_of(&deliver(0x20, 0, NUMBER, b"id:1 stat:DELIVRD", b"")).state, ReceiptState::Enroute);
    }

    #[test]
    fn replies_in_three_alphabets() {
        assert_eq!(text_of(&deliver(0, 0, NUMBER, b"T\x00\x1b\x65", b"")), "T@€");
        assert_eq!(text_of(&deliver(0, 8, NUMBER, &[0x90, 0x00, 0x8b, 0xa2], b"")), "退订");
        assert_eq!(text_of(&deliver(0, 3, NUMBER, b"caf\xe9", b"")), "café");
        assert_eq!(text_of(&deliver(0, 0, NUMBER, b"caf\xe9", b"")), "café");
        assert_eq!(text_of(&deliver(0, 8, NUMBER, &[0xd8, 0x00, 0x00], b"")), "\u{fffd}");
        assert_eq!(text_of(&deliver(0x40, 0, NUMBER, b"\x05\x00\x03\x07\x02\x01TD", b"")), "TD");
        assert_eq!(text_of(&deliver(0x40, 0, NUMBER, b"\xff", b"")), "");
        assert_eq!(text_of(&deliver(0, 0, NUMBER, b"", b"\x04\x24\x00\x02TD")), "TD");
    }

    #[test]
    fn sources_are_numbers_or_unreadable() {
        for source in [&b"13812345678"[..], b"+8613812345678"] {
            assert!(
                matches!(read_it(&deliver(0, 0, source, b"1", b"")), Ok(Inbound::Message(m)) if m.from.reveal() == 8_613_812_345_678)
            );
        }
        for source in [&b""[..], b"BANK", b"10010", b"999999999999999999999999"] {
            assert_eq!(read_it(&deliver(0, 0, source, b"1", b"")), Err(Unreadable::Source), "{source:?}");
        }
        let whole = deliver(0, 0, NUMBER, b"12", b"");
        for n in 0..whole.len() {
            assert_eq!(read_it(&whole[..n]), Err(Unreadable::Short), "{n}");
        }
    }
}
