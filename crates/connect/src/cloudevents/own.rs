//! Our own events, built in and custom: `data` holds the common members and the type's declared fields.

use super::{
    Decoder, Fault, Meaning, cell, fault,
    json::{MEMBERS_MAX, Raw, Scalar, Shape},
};
use crate::{
    event::{Draft, Who},
    layout::{exact_micros, hint, iso_day, rfc3339},
};
use kairos_model::{
    Event, EventTypeDef, FieldDef, Imsi,
    event_tail::{self, FieldValue, TEXT_MAX},
    event_type::Place,
    table::ColumnType,
};

/// Members that every event may have beside its fields.
const COMMON: [&str; 6] = ["number", "imsi", "peer", "cell", "role", "long_distance"];

impl Decoder {
    pub(super) fn own(&self, raw: &Raw<'_>, def: Option<&EventTypeDef>, tails: &mut Vec<u8>) -> Result<Meaning, Fault> {
        let Some(def) = def else {
            let message = "no event type is declared by this name; ours are `kairos.` and the event's name";
            return fault("/type", "unknown_type", message);
        };
        match raw.data {
            Shape::Object => {}
            Shape::Absent => return fault("/data", "missing", "`data` is needed"),
            Shape::Other => return fault("/data", "object", "`data` must be an object"),
        }
        let at = self.time(raw)?;
        let who = self.who(raw)?;
        let peer = match raw.member("peer") {
            Scalar::Null => None,
            _ if !def.has_peer => return fault("/data/peer", "unknown_member", "this event has no other side"),
            value => Some(self.dialled(value, "/data/peer")?),
        };
        let cell = cell(raw.member("cell"), "/data/cell")?;
        if cell.is_none() && def.needs_cell {
            return fault("/data/cell", "missing", "`cell` is needed");
        }
        let mut aux = 0;
        for field in &def.fields {
            take_field(field, raw.member(&field.name), &mut aux, tails)?;
        }
        known(raw, def)?;
        let draft = Draft { kind: def.code, flags: flags(raw)?, who, peer, cell, at, aux };
        Ok(Meaning::Event(draft))
    }

    fn who(&self, raw: &Raw<'_>) -> Result<Who, Fault> {
        match (raw.member("number"), raw.member("imsi")) {
            (Scalar::Null, Scalar::Null) => fault("/data/number", "missing", "`number` or `imsi` is needed"),
            (Scalar::Null, Scalar::Text(text)) => match Imsi::parse(text) {
                Some(imsi) => Ok(Who::Imsi(imsi)),
                None => fault("/data/imsi", "imsi", "an IMSI is 14 or 15 digits"),
            },
            (Scalar::Null, _) => fault("/data/imsi", "imsi", "an IMSI must be a text"),
            (number, _) => self.number(number, "/data/number"),
        }
    }
}

fn flags(raw: &Raw<'_>) -> Result<u16, Fault> {
    let role = match raw.member("role") {
        Scalar::Null => 0,
        Scalar::Text(role) if role == "caller" => Event::CALLER,
        Scalar::Text(role) if role == "callee" => Event::CALLEE,
        _ => return fault("/data/role", "role", "`role` is \"caller\" or \"callee\""),
    };
    match raw.member("long_distance") {
        Scalar::Null | Scalar::Bool(false) => Ok(role),
        Scalar::Bool(true) => Ok(role | Event::LONG_DISTANCE),
        _ => fault("/data/long_distance", "bool", "`long_distance` must be true or false"),
    }
}

/// A member that means nothing is a slip of the sender.
fn known(raw: &Raw<'_>, def: &EventTypeDef) -> Result<(), Fault> {
    if raw.too_many {
        return fault("/data", "too_many_members", format!("more than {MEMBERS_MAX} members"));
    }
    if raw.device != Shape::Absent {
        return fault("/data/device", "unknown_member", "our own events name their subscriber by `number` or `imsi`");
    }
    if raw.area.shape == Shape::Object {
        return fault("/data/area", "text", "the area of our own events is its name, a text");
    }
    let fields = || def.fields.iter().map(|f| f.name.as_str());
    let odd = raw.members.iter().find(|(n, _)| !COMMON.contains(&&**n) && fields().all(|f| f != n));
    let Some((name, _)) = odd else { return Ok(()) };
    let near = hint(name, COMMON.into_iter().chain(fields()));
    // RFC 6901: `~` and `/` are written ~0 and ~1
    let shown: String = name.chars().take(64).collect();
    let pointer = format!("/data/{}", shown.replace('~', "~0").replace('/', "~1"));
    fault(&pointer, "unknown_member", format!("event `{}` has no such field{near}", def.name))
}

fn take_field(def: &FieldDef, value: &Scalar<'_>, aux: &mut u64, tails: &mut Vec<u8>) -> Result<(), Fault> {
    let bad = |code, detail: &str| fault(&format!("/data/{}", def.name), code, detail);
    let value = match (def.kind, value) {
        (_, Scalar::Null) if def.required => return bad("missing", &format!("`{}` is needed", def.name)),
        (_, Scalar::Null) => FieldValue::Null,
        (ColumnType::Int, Scalar::Int(n)) => FieldValue::Int(*n),
        (ColumnType::Int, _) => return bad("whole_number", "must be a whole number"),
        (ColumnType::Bool, Scalar::Bool(b)) => FieldValue::Bool(*b),
        (ColumnType::Bool, _) => return bad("bool", "must be true or false"),
        (ColumnType::Money | ColumnType::Decimal, value) => match micros(value) {
            Some(n) => FieldValue::Micros(n),
            None => {
                return bad("amount", "must be a whole number, or a text with at most six decimals such as \"12.50\"");
            }
        },
        (ColumnType::Text, Scalar::Text(text)) if text.len() <= TEXT_MAX => FieldValue::Text(text),
        (ColumnType::Text, Scalar::Text(_)) => return bad("too_long", &format!("longer than {TEXT_MAX} bytes")),
        (ColumnType::Time, Scalar::Text(text)) => match rfc3339(text) {
            Some(at) => FieldValue::Time(at),
            None => return bad("time", "must be RFC 3339 with an offset"),
        },
        (ColumnType::Date, Scalar::Text(text)) => match iso_day(text) {
            Some(day) => FieldValue::Date(day),
            None => return bad("date", "must be a date such as 2026-03-10"),
        },
        _ => return bad("text", "must be a text"),
    };
    match (def.place, value) {
        (Place::Tail(_), value) => event_tail::push(tails, value),
        (Place::Aux { .. }, FieldValue::Int(n) | FieldValue::Micros(n)) if !def.put(aux, n) => {
            return bad("out_of_range", "out of range");
        }
        (Place::Aux { .. }, _) => {}
    }
    Ok(())
}

/// No float becomes an amount: what JSON writes as `12.5` would be one.
fn micros(value: &Scalar<'_>) -> Option<i64> {
    match value {
        Scalar::Int(n) => n.checked_mul(1_000_000),
        Scalar::Text(text) => exact_micros(text),
        _ => None,
    }
}
