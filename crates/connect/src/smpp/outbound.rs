//! The PDUs that we send, built and encoded by `rusmpp`.

use super::config::{AddressType, SmppConfig, Validity};
use crate::channel::Dispatch;
use kairos_model::{Span, Timestamp, Zone, hash, sms};
use rusmpp::{
    Command, CommandId, CommandStatus, Pdu,
    encode::{Length, owned::Encode},
    pdus::{BindTransceiver, DeliverSmResp, SubmitSm},
    tlvs::MessageSubmissionRequestTlvValue,
    types::{COctetString, EmptyOrFullCOctetString, OctetString},
    values::{DataCoding, EsmClass, InterfaceVersion, Npi, RegisteredDelivery, Ton, UserMessageReference},
};
use tokio_util::bytes::{BufMut, BytesMut};

/// Longest validity we ask for; centres keep a message for days, not months.
const VALIDITY_MAX: Span = Span::days(28);

/// A field was longer than SMPP allows, which [`SmppConfig::check`] and the doors before should have refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` does not fit its SMPP field")]
pub(super) struct TooWide {
    pub field: &'static str,
}

/// Appends `pdu` to `out`.
pub(super) fn put(out: &mut BytesMut, status: CommandStatus, seq: u32, pdu: impl Into<Pdu>) {
    let command = Command::new(status, seq, pdu);
    let length = 4 + command.length();
    out.reserve(length);
    out.put_u32(length as u32); // at most PDU_MAX: every field is bounded
    command.encode(out);
}

/// Answers `seq` with a generic_nack (SMPP 3.4 §4.3.1).
pub(super) fn put_nack(out: &mut BytesMut, seq: u32) {
    put(out, CommandStatus::EsmeRinvcmdid, seq, Pdu::GenericNack);
}

pub(super) fn put_deliver_resp(out: &mut BytesMut, seq: u32) {
    put(out, CommandStatus::EsmeRok, seq, DeliverSmResp::builder().build());
}

pub(super) fn put_bind(out: &mut BytesMut, seq: u32, config: &SmppConfig) -> Result<(), TooWide> {
    let bind = BindTransceiver::builder()
        .system_id(c_octets("system_id", &config.system_id)?)
        .password(c_octets("password", config.password.reveal())?)
        .system_type(c_octets("system_type", &config.system_type)?)
        .interface_version(InterfaceVersion::Smpp3_4)
        .build();
    put(out, CommandStatus::EsmeRok, seq, bind);
    Ok(())
}

/// What a segment's submit_sm is made of.
pub(super) struct Segment<'a> {
    pub dispatch: &'a Dispatch,
    pub source: (&'a str, AddressType),
    pub alphabet: sms::Alphabet,
    pub octets: &'a [u8],
    /// From 1.
    pub number: u8,
    pub of: u8,
}

pub(super) fn put_submit(
    out: &mut BytesMut,
    seq: u32,
    s: &Segment<'_>,
    validity: Validity,
    now: Timestamp,
) -> Result<(), TooWide> {
    let long = s.of > 1;
    let mut octets = Vec::with_capacity(s.octets.len() + 6);
    if long {
        // concatenation with an 8-bit reference: 3GPP TS 23.040 §9.2.3.24.1
        octets.extend_from_slice(&[5, 0, 3, concatenation(s.dispatch), s.of, s.number]);
    }
    octets.extend_from_slice(s.octets);
    let reference = UserMessageReference::new(s.dispatch.reference);
    let submit = SubmitSm::builder()
        .source_addr_ton(Ton::from(s.source.1.ton))
        .source_addr_npi(Npi::from(s.source.1.npi))
        .source_addr(c_octets("source_addr", s.source.0)?)
        .dest_addr_ton(Ton::International)
        .dest_addr_npi(Npi::Isdn)
        .destination_addr(c_octets("destination_addr", &s.dispatch.to.reveal().to_string())?)
        // never `EsmClass::default()`: that one sets bit 3
        .esm_class(EsmClass::from(if long { 0x40 } else { 0 }))
        .validity_period(until(validity, s.dispatch.not_after, now)?)
        .registered_delivery(RegisteredDelivery::from(1))
        .data_coding(match s.alphabet {
            sms::Alphabet::Gsm7 => DataCoding::McSpecific,
            sms::Alphabet::Ucs2 => DataCoding::Ucs2,
        })
        .short_message(OctetString::from_vec(octets).map_err(|_| TooWide { field: "short_message" })?)
        .push_tlv(MessageSubmissionRequestTlvValue::UserMessageReference(reference))
        .build();
    put(out, CommandStatus::EsmeRok, seq, submit);
    Ok(())
}

/// The 8-bit reference by which a handset joins the segments of one contact.
fn concatenation(dispatch: &Dispatch) -> u8 {
    (hash::salted(0x5544_4800_0000_0001, dispatch.contact.0) >> 56) as u8
}

fn until(validity: Validity, not_after: Timestamp, now: Timestamp) -> Result<EmptyOrFullCOctetString<17>, TooWide> {
    let left = Span(not_after.since(now).0.clamp(1_000_000, VALIDITY_MAX.0));
    let text = match validity {
        Validity::Relative => {
            let s = left.as_secs();
            format!("0000{:02}{:02}{:02}{:02}000R", s / 86_400, s / 3_600 % 24, s / 60 % 60, s % 60)
        }
        Validity::Absolute => {
            let t = Zone::utc().civil(now.plus(left));
            let (year, month, day) = (t.year().rem_euclid(100), t.month(), t.day());
            format!("{year:02}{month:02}{day:02}{:02}{:02}{:02}000+", t.hour(), t.minute(), t.second())
        }
    };
    let mut octets = text.into_bytes();
    octets.push(0);
    EmptyOrFullCOctetString::from_vec(octets).map_err(|_| TooWide { field: "validity_period" })
}

fn c_octets<const MIN: usize, const MAX: usize>(
    field: &'static str,
    text: &str,
) -> Result<COctetString<MIN, MAX>, TooWide> {
    let mut octets = Vec::with_capacity(text.len() + 1);
    octets.extend_from_slice(text.as_bytes());
    octets.push(0);
    COctetString::from_vec(octets).map_err(|_| TooWide { field })
}

/// Whether a command id is one that a peer may send as a request, and that we answer with generic_nack.
pub(super) fn is_request(id: u32) -> bool {
    id & super::frame::id::RESPONSE == 0 && !matches!(CommandId::from(id), CommandId::GenericNack)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kairos_model::{ContactId, Msisdn};

    fn submit(text: &str, number: u8, validity: Validity) -> Vec<u8> {
        let dispatch = Dispatch {
            contact: ContactId(77),
            to: Msisdn::from_e164(8_613_812_345_678).expect("valid"),
            from: "10086".to_owned(),
            text: text.to_owned(),
            not_after: "2026-03-02T12:00:30Z".parse().expect("time"),
            reference: 0x1234,
        };
        let encoded = sms::encode(text);
        let segment = Segment {
            dispatch: &dispatch,
            source: ("10086", AddressType { ton: 0, npi: 1 }),
            alphabet: encoded.alphabet,
            octets: &encoded.segments[usize::from(number) - 1],
            number,
            of: encoded.segments.len() as u8,
        };
        let mut out = BytesMut::new();
        put_submit(&mut out, 9, &segment, validity, "2026-03-02T09:00:00Z".parse().expect("time")).expect("fits");
        out.to_vec()
    }

    #[test]
    fn a_submit_octet_by_octet() {
        let want = [
            &[0, 0, 0, 77, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 9][..],
            b"\0\0\x0110086\0\x01\x018613812345678\0\0\0\0\0",
            b"000000030030000R\0\x01\0\x08\0\x04",
            &[0x4f, 0x60, 0x59, 0x7d],
            &[2, 4, 0, 2, 0x12, 0x34],
        ]
        .concat();
        assert_eq!(submit("你好", 1, Validity::Relative), want);
        let absolute = submit("hi", 1, Validity::Absolute);
        assert!(absolute.windows(17).any(|w| w == b"260302120030000+\0"));
    }

    #[test]
    fn a_long_text_carries_its_header() {
        let long = submit(&"你".repeat(71), 2, Validity::Relative);
        let reference = (hash::salted(0x5544_4800_0000_0001, 77) >> 56) as u8;
        let part = [&[14, 5, 0, 3, reference, 2, 2][..], &[0x4f, 0x60].repeat(4), &[2, 4, 0, 2]].concat();
        assert!(long.windows(part.len()).any(|w| w == part), "{long:02x?}");
        assert_eq!(long[16 + 3 + 6 + 2 + 14], 0x40);
    }
}
