//! CloudEvents 1.0 over HTTP → decoded events: structured JSON, batch, and binary mode. The route belongs to the API.
//!
//! Our own types are `kairos.` and the event's name; CAMARA's geofencing, reachability and roaming types are taken as they
//! are; a custom type may name further ones. `docs/reference/events.md` lists them.
//!
//! Invariants:
//! - events read = decoded + ignored (subscription notices) + problems, for any body;
//! - a body that is no JSON, too large or of another kind is refused as a whole; one malformed event costs that event;
//! - no problem and no refusal holds a value of the body, only where it stands;
//! - memory is bounded by the body: texts are borrowed from it.

mod camara;
mod circles;
mod json;
mod own;

pub use circles::{Circle, Circles, CirclesError};

use crate::event::{Draft, EventBatch, Who, event_key};
use json::{Raw, Scalar, Shape};
use kairos_model::{CellId, Dialled, EventCatalog, NumberPlan, SourceId, Timestamp};
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use std::{fmt, sync::Arc};

/// Bytes of one body at most: a thousand events of the usual size, four times over.
pub const BODY_MAX: usize = 1 << 20;
/// Events of one batch at most: it is acknowledged as one, when all of it is durable.
pub const EVENTS_MAX: usize = 1_000;
/// CloudEvents and CAMARA set these for `id`, `source` and `type`.
const ID_MAX: usize = 256;
const SOURCE_MAX: usize = 2_048;
const TYPE_MAX: usize = 512;

/// Why a request is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the body has {len} bytes, more than {BODY_MAX}; send smaller batches")]
    TooLarge { len: usize },
    #[error("more than {EVENTS_MAX} events in one batch; send smaller batches")]
    TooMany,
    #[error(
        "content type is none of application/cloudevents+json, application/cloudevents-batch+json and, with `ce-` headers, application/json (in UTF-8)"
    )]
    ContentType,
    #[error("the body is not UTF-8 behind byte {at}")]
    NotUtf8 { at: usize },
    #[error("the body is no JSON at line {line}, column {column}")]
    NotJson { line: usize, column: usize },
    #[error("a batch is a JSON array of events")]
    NotAnArray,
}

/// What is wrong with one event of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Place of the event in the request, from 0.
    pub index: usize,
    /// JSON pointer (RFC 6901) into the request's body; in binary mode attributes are headers, `/ce-…`.
    pub pointer: String,
    /// A stable word to count by.
    pub code: &'static str,
    pub detail: String,
}

/// What came of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Intake {
    /// Offsets are places in the request; [`crate::event::Decoded::key`] tells an event from all others.
    pub batch: EventBatch,
    /// One for each event that was not decoded.
    pub problems: Vec<Problem>,
}

/// Decodes requests. Shared by all connections: decoding changes nothing.
pub struct Decoder {
    pub source: SourceId,
    pub catalog: Arc<EventCatalog>,
    pub circles: Circles,
    pub plan: Arc<NumberPlan>,
    /// Keys the hashes of (source, id) ([`event_key`]).
    pub secret: [u8; 16],
}

/// A fault of one event: the pointer within the event, a word, and what to do.
#[derive(Debug)]
pub(crate) struct Fault {
    pub pointer: String,
    pub code: &'static str,
    pub detail: String,
}

pub(crate) fn fault<T>(pointer: &str, code: &'static str, detail: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { pointer: pointer.to_owned(), code, detail: detail.into() })
}

/// What an event turned out to be.
pub(crate) enum Meaning {
    Event(Draft),
    /// Nothing happened to a subscriber, e.g. a subscription ended.
    Notice(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    One,
    Batch,
    Binary,
}

impl Decoder {
    /// Decodes a body. `header` gives the value of a header by its name in small letters; only `ce-…` is asked for.
    pub fn decode<'h>(
        &self,
        body: &[u8],
        content_type: &str,
        header: &dyn Fn(&str) -> Option<&'h str>,
    ) -> Result<Intake, Refusal> {
        let mode = mode(content_type, header("ce-specversion").is_some())?;
        if body.len() > BODY_MAX {
            return Err(Refusal::TooLarge { len: body.len() });
        }
        let text = std::str::from_utf8(body).map_err(|e| Refusal::NotUtf8 { at: e.valid_up_to() })?;
        let mut taking = Taking { decoder: self, mode, raw: Raw::default(), intake: Intake::default(), refused: None };
        taking.intake.batch.source = self.source;
        let mut json = serde_json::Deserializer::from_str(text);
        let read = match mode {
            Mode::Batch => json.deserialize_any(&mut taking),
            Mode::One => json::Object(&mut taking.raw).deserialize(&mut json),
            Mode::Binary => json::Object(&mut json::Data(&mut taking.raw)).deserialize(&mut json),
        };
        let read = read.and_then(|()| json.end());
        if let Some(refusal) = taking.refused {
            return Err(refusal);
        }
        read.map_err(|e| match e.is_data() {
            true => Refusal::NotAnArray,
            false => Refusal::NotJson { line: e.line(), column: e.column() },
        })?;
        if mode == Mode::Binary {
            taking.attributes(header);
        }
        if mode != Mode::Batch {
            taking.take();
        }
        Ok(taking.intake)
    }
}

fn mode(content_type: &str, has_headers: bool) -> Result<Mode, Refusal> {
    let (media, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let charset = parameters
        .split(';')
        .filter_map(|p| p.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    let utf8 = |(_, value): (_, &str)| value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8");
    if !charset.is_none_or(utf8) {
        return Err(Refusal::ContentType);
    }
    let is = |name: &str| media.trim().eq_ignore_ascii_case(name);
    match () {
        () if is("application/cloudevents-batch+json") => Ok(Mode::Batch),
        () if is("application/cloudevents+json") => Ok(Mode::One),
        () if is("application/json") && has_headers => Ok(Mode::Binary),
        () => Err(Refusal::ContentType),
    }
}

/// A request on its way.
struct Taking<'d, 'a> {
    decoder: &'d Decoder,
    mode: Mode,
    /// The event that was read last; its room is used again.
    raw: Raw<'a>,
    intake: Intake,
    refused: Option<Refusal>,
}

impl<'a> Taking<'_, 'a> {
    /// Judges the event in `raw`.
    fn take(&mut self) {
        let Self { decoder, mode, raw, intake, .. } = self;
        let batch = &mut intake.batch;
        let index = batch.next;
        batch.next += 1;
        let tail_from = batch.tails.len();
        match decoder.judge(raw, &mut batch.tails) {
            Ok((Meaning::Event(draft), key)) => batch.push(draft, tail_from, index, key),
            Ok((Meaning::Notice(name), _)) => {
                batch.tails.truncate(tail_from);
                batch.ignore(&name.into());
            }
            Err(Fault { pointer, code, detail }) => {
                batch.tails.truncate(tail_from);
                let pointer = match mode {
                    Mode::Batch => format!("/{index}{pointer}"),
                    Mode::One => pointer,
                    // the body is the data, attributes are headers
                    Mode::Binary => match pointer.strip_prefix("/data") {
                        Some(within) => within.to_owned(),
                        None => format!("/ce-{}", pointer.trim_start_matches('/')),
                    },
                };
                intake.problems.push(Problem { index: index as usize, pointer, code, detail });
            }
        }
    }

    fn attributes<'h>(&mut self, header: &dyn Fn(&str) -> Option<&'h str>)
    where
        'h: 'a,
    {
        let text = |name: &str| header(name).map_or(Scalar::Null, |v| Scalar::Text(json::unescape(v)));
        let raw = &mut self.raw;
        raw.object = Shape::Object;
        (raw.id, raw.source, raw.kind) = (text("ce-id"), text("ce-source"), text("ce-type"));
        (raw.specversion, raw.time) = (text("ce-specversion"), text("ce-time"));
    }
}

impl<'a> Visitor<'a> for &mut Taking<'_, 'a> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }
    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        loop {
            self.raw.clear();
            if seq.next_element_seed(json::Object(&mut self.raw))?.is_none() {
                return Ok(());
            }
            if self.intake.batch.next as usize == EVENTS_MAX {
                self.refused = Some(Refusal::TooMany);
                return Err(serde::de::Error::custom("too many"));
            }
            self.take();
        }
    }
    fn visit_map<A: serde::de::MapAccess<'a>>(self, _: A) -> Result<(), A::Error> {
        self.refused = Some(Refusal::NotAnArray);
        Err(serde::de::Error::custom("no array"))
    }
}

impl Decoder {
    fn judge(&self, raw: &Raw<'_>, tails: &mut Vec<u8>) -> Result<(Meaning, u128), Fault> {
        if raw.object != Shape::Object {
            return fault("", "not_an_event", "an event is a JSON object");
        }
        let id = attribute(&raw.id, "/id", ID_MAX)?;
        let source = attribute(&raw.source, "/source", SOURCE_MAX)?;
        let kind = attribute(&raw.kind, "/type", TYPE_MAX)?;
        match &raw.specversion {
            Scalar::Text(v) if v == "1.0" => {}
            Scalar::Null => return fault("/specversion", "missing", "`specversion` must be \"1.0\""),
            _ => return fault("/specversion", "specversion", "`specversion` must be \"1.0\""),
        }
        match &raw.content {
            Scalar::Null => {}
            Scalar::Text(t) if json::is_json(t) => {}
            _ => return fault("/datacontenttype", "datacontenttype", "data must be application/json"),
        }
        if raw.base64 {
            return fault("/data_base64", "data_base64", "data must be JSON, in `data`");
        }
        let meaning = if let Some(name) = kind.strip_prefix("kairos.") {
            self.own(raw, self.catalog.named(name), tails)?
        } else if let Some(camara) = kind.strip_prefix("org.camaraproject.") {
            self.camara(raw, camara, tails)?
        } else {
            self.own(raw, self.catalog.cloudevent(kind), tails)?
        };
        Ok((meaning, event_key(&self.secret, [source, id])))
    }

    /// When it happened. CloudEvents lets `time` out; an event without it could not be told from an old one.
    fn time(&self, raw: &Raw<'_>) -> Result<Timestamp, Fault> {
        match &raw.time {
            Scalar::Null => fault("/time", "missing", "`time` is needed: RFC 3339 with an offset"),
            Scalar::Text(text) => match crate::layout::rfc3339(text) {
                Some(at) => Ok(at),
                None => {
                    fault("/time", "time", "`time` must be RFC 3339 with an offset, e.g. 2026-03-10T10:00:00+08:00")
                }
            },
            _ => fault("/time", "time", "`time` must be a text"),
        }
    }

    fn number(&self, value: &Scalar<'_>, pointer: &str) -> Result<Who, Fault> {
        match self.dialled(value, pointer)? {
            Dialled::Number(number) => Ok(Who::Number(number)),
            Dialled::Short(_) => fault(pointer, "short_code", "a short code is no subscriber's number"),
        }
    }

    fn dialled(&self, value: &Scalar<'_>, pointer: &str) -> Result<Dialled, Fault> {
        let Scalar::Text(text) = value else {
            return fault(pointer, "number", "a number must be a text");
        };
        let bare = text.strip_prefix('+').unwrap_or(text);
        if let Some(number) = self.plan.parse_normalised(bare.as_bytes()) {
            return Ok(Dialled::Number(number));
        }
        self.plan.parse(text).or_else(|e| fault(pointer, "number", e.to_string()))
    }
}

fn attribute<'r>(value: &'r Scalar<'_>, pointer: &str, max: usize) -> Result<&'r str, Fault> {
    match value {
        Scalar::Null => fault(pointer, "missing", format!("`{}` is needed", &pointer[1..])),
        Scalar::Text(text) if (1..=max).contains(&text.len()) => Ok(text),
        _ => fault(pointer, "attribute", format!("`{}` must be a text of 1–{max} bytes", &pointer[1..])),
    }
}

fn cell(value: &Scalar<'_>, pointer: &str) -> Result<Option<CellId>, Fault> {
    let id = match value {
        Scalar::Null => return Ok(None),
        Scalar::Int(n) => u32::try_from(*n).ok(),
        Scalar::Text(text) => crate::layout::cell_number(text, false),
        _ => None,
    };
    match id.map(CellId).filter(|c| *c < CellId::ELSEWHERE) {
        Some(cell) => Ok(Some(cell)),
        None => fault(pointer, "cell", "a cell is a whole number below 2^32 − 2, or a text of it, perhaps with 0x"),
    }
}
