//! CAMARA's notifications as they are: `org.camaraproject.<api>.v<n>.<event>`.

use super::{
    Decoder, Fault, Meaning, fault,
    json::{Raw, Scalar, Shape},
};
use crate::event::Draft;
use kairos_model::{
    CellId, EventType,
    event_tail::{self, FieldValue},
};

const GEOFENCING: &str = "geofencing-subscriptions";
const REACHABILITY: &str = "device-reachability-status-subscriptions";
const ROAMING: &str = "device-roaming-status-subscriptions";
/// `power_on`'s field `reach`.
const REACH_DATA: u64 = 1;
const REACH_SMS: u64 = 2;

impl Decoder {
    /// `kind` is the type behind `org.camaraproject.`.
    pub(super) fn camara(&self, raw: &Raw<'_>, kind: &str, tails: &mut Vec<u8>) -> Result<Meaning, Fault> {
        let mut parts = kind.split('.');
        let (api, version, event) = (parts.next(), parts.next(), parts.next());
        let known = [GEOFENCING, REACHABILITY, ROAMING];
        let api = api.filter(|a| known.contains(a));
        let numbered = version.and_then(|v| v.strip_prefix('v')).is_some_and(|v| v.parse::<u16>().is_ok());
        let (Some(api), true, Some(event), None) = (api, numbered, event, parts.next()) else {
            return fault("/type", "unknown_type", format!("CAMARA types known here are of {}", known.join(", ")));
        };
        let notice = match event {
            "subscription-ended" => Some("subscription-ended"),
            "subscription-ends" => Some("subscription-ends"),
            "subscription-started" => Some("subscription-started"),
            "subscription-updated" => Some("subscription-updated"),
            _ => None,
        };
        if let Some(name) = notice {
            return Ok(Meaning::Notice(name));
        }
        let unknown = || fault("/type", "unknown_type", format!("unknown event of CAMARA {api}"));
        let (kind, aux, cell) = match (api, event) {
            (GEOFENCING, "area-entered" | "area-left") => {
                let entered = event == "area-entered";
                let circle = self.circle(raw)?;
                event_tail::push(tails, FieldValue::Text(&circle.name));
                let cell = circle.cell.map(|cell| if entered { cell } else { CellId::ELSEWHERE });
                (if entered { EventType::AREA_ENTERED } else { EventType::AREA_LEFT }, 0, cell)
            }
            (REACHABILITY, "reachability-data") => (EventType::POWER_ON, REACH_DATA, None),
            (REACHABILITY, "reachability-sms") => (EventType::POWER_ON, REACH_SMS, None),
            (REACHABILITY, "reachability-disconnected") => (EventType::POWER_OFF, 0, None),
            (ROAMING, "roaming-on") => (EventType::ROAMING_OUT, country(raw, false)?, None),
            (ROAMING, "roaming-off") => (EventType::ROAMING_IN, 0, None),
            (ROAMING, "roaming-change-country") => (EventType::ROAMING_OUT, country(raw, true)?, None),
            (ROAMING, "roaming-status") => match raw.member("roaming") {
                Scalar::Bool(true) => (EventType::ROAMING_OUT, country(raw, false)?, None),
                Scalar::Bool(false) => (EventType::ROAMING_IN, 0, None),
                Scalar::Null => return fault("/data/roaming", "missing", "`roaming` is needed"),
                _ => return fault("/data/roaming", "bool", "`roaming` must be true or false"),
            },
            _ => return unknown(),
        };
        let at = self.time(raw)?;
        let who = match (&raw.phone, raw.device) {
            (Scalar::Null, Shape::Object) | (_, Shape::Absent) => {
                let message = "the device's `phoneNumber` is needed: other identifiers are not resolved";
                return fault("/data/device/phoneNumber", "missing", message);
            }
            (_, Shape::Other) => return fault("/data/device", "object", "`device` must be an object"),
            (phone, Shape::Object) => self.number(phone, "/data/device/phoneNumber")?,
        };
        Ok(Meaning::Event(Draft { kind, flags: 0, who, peer: None, cell, at, aux }))
    }

    fn circle(&self, raw: &Raw<'_>) -> Result<&super::Circle, Fault> {
        let area = &raw.area;
        match (area.shape, &area.kind) {
            (Shape::Absent, _) => return fault("/data/area", "missing", "`area` is needed"),
            (Shape::Other, _) => return fault("/data/area", "object", "`area` must be an object"),
            (_, Scalar::Text(kind)) if kind == "CIRCLE" => {}
            _ => return fault("/data/area/areaType", "area_type", "`areaType` must be CIRCLE"),
        }
        let figure = |value: &Scalar<'_>, pointer: &str| match value {
            Scalar::Int(n) => Ok(*n as f64),
            Scalar::Float(x) => Ok(*x),
            Scalar::Null => fault(pointer, "missing", "a number is needed"),
            _ => fault(pointer, "number", "must be a number"),
        };
        let latitude = figure(&area.latitude, "/data/area/center/latitude")?;
        let longitude = figure(&area.longitude, "/data/area/center/longitude")?;
        let radius = figure(&area.radius, "/data/area/radius")?;
        match self.circles.find(latitude, longitude, radius) {
            Some(circle) => Ok(circle),
            None => fault("/data/area", "unknown_area", "no circle of the configuration has this centre and radius"),
        }
    }
}

/// The mobile country code; 0 = not given.
fn country(raw: &Raw<'_>, needed: bool) -> Result<u64, Fault> {
    match raw.member("countryCode") {
        Scalar::Int(n @ 1..=999) => Ok(*n as u64),
        Scalar::Null if !needed => Ok(0),
        Scalar::Null => fault("/data/countryCode", "missing", "`countryCode` is needed"),
        _ => fault("/data/countryCode", "country", "`countryCode` must be a mobile country code, 1–999"),
    }
}
