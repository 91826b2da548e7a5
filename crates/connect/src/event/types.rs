//! The tenant's own events, `events.toml`: custom types, and the circles that CAMARA's notifications name.

use crate::{
    cloudevents::{Circle, Circles},
    layout::{Faults, Walk, read_document, scalar},
};
use kairos_model::{CellId, EventCatalog, EventType, EventTypeDef, FieldDef, event_type::Place, table::ColumnType};
use std::path::Path;

pub use crate::layout::LayoutErrors as EventConfigErrors;

const TYPE: &[&str] = &["name", "code", "zh", "en", "needs_cell", "has_peer", "field", "cloudevents"];
const FIELD: &[&str] = &["name", "type", "required", "zh", "en"];

/// What `events.toml` says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventConfig {
    /// The built-in types and the declared ones.
    pub catalog: EventCatalog,
    pub circles: Circles,
}

/// Reads an `events.toml`, or tells every fault at once. `path` is only named in messages.
pub fn parse_events(text: &str, path: impl AsRef<Path>) -> Result<EventConfig, EventConfigErrors> {
    read_document(text, path.as_ref(), |top, faults| Some(read(top, faults)))
}

fn read(top: &Walk<'_, '_>, faults: &mut Faults<'_>) -> EventConfig {
    top.known(&["type", "circle"], faults);
    let mut catalog = EventCatalog::standard();
    for (i, w) in tables(top, "type", faults).into_iter().enumerate() {
        if let Some((def, span, place)) = read_type(w, i, faults)
            && let Err(e) = catalog.declare(def)
        {
            faults.add(&span, &place, e.to_string());
        }
    }
    let list = tables(top, "circle", faults).into_iter().filter_map(|w| read_circle(w, faults)).collect();
    let circles = Circles::new(list).unwrap_or_else(|e| {
        faults.add(&top.span, "circles", e.to_string());
        Circles::default()
    });
    EventConfig { catalog, circles }
}

fn read_circle(mut w: Walk<'_, '_>, faults: &mut Faults<'_>) -> Option<Circle> {
    w.place = "circle".to_owned();
    w.known(&["name", "latitude", "longitude", "radius_m", "cell"], faults);
    let name = text(&w, "name", faults);
    w.place = format!("circle `{name}`");
    let mut figure = |key: &str| {
        let found = w.get(key).and_then(|v| scalar(v.get_ref())).and_then(|t| t.parse::<f64>().ok());
        if found.is_none() {
            faults.add(&w.span, &w.place, format!("`{key}` must be a number"));
        }
        found
    };
    let (latitude, longitude, radius_m) = (figure("latitude"), figure("longitude"), figure("radius_m"));
    let cell = w.usize("cell", faults).map(|(n, span)| {
        let cell = u32::try_from(n).ok().map(CellId).filter(|c| *c < CellId::ELSEWHERE);
        cell.unwrap_or_else(|| {
            faults.add(&span, &w.place, "`cell` must be below 2^32 − 2");
            CellId::NONE
        })
    });
    Some(Circle { latitude: latitude?, longitude: longitude?, radius_m: radius_m?, cell, name })
}

fn tables<'d, 't>(w: &Walk<'d, 't>, key: &str, faults: &mut Faults<'_>) -> Vec<Walk<'d, 't>> {
    let Some(value) = w.get(key) else { return Vec::new() };
    let Some(list) = value.get_ref().as_array() else {
        faults.add(&value.span(), &w.place, format!("`{key}` must be written as [[{key}]]"));
        return Vec::new();
    };
    let found = list.iter().filter_map(|v| Some(Walk::new(v.get_ref().as_table()?, v.span(), w.place.as_str())));
    found.collect()
}

fn read_type(
    mut w: Walk<'_, '_>,
    i: usize,
    faults: &mut Faults<'_>,
) -> Option<(EventTypeDef, std::ops::Range<usize>, String)> {
    w.place = format!("type {}", i + 1);
    w.known(TYPE, faults);
    let name = text(&w, "name", faults);
    w.place = format!("type `{name}`");
    let code = w.usize("code", faults).and_then(|(n, _)| u16::try_from(n).ok());
    if code.is_none() {
        faults.add(
            &w.span,
            &w.place,
            format!("`code` is missing: {}–65535, never used before", EventType::CUSTOM_FROM),
        );
    }
    let mut fields = Vec::new();
    for mut f in tables(&w, "field", faults) {
        f.place = w.place.clone();
        f.known(FIELD, faults);
        let kinds = ColumnType::ALL.map(|t| (t.name(), t));
        let kind = f.one_of("type", &kinds, faults);
        if f.get("type").is_none() {
            faults.add(
                &f.span,
                &f.place,
                "`type` of a field is missing: bool, int, decimal, money, text, date or time",
            );
        }
        fields.extend(kind.map(|kind| FieldDef {
            name: text(&f, "name", faults),
            kind,
            place: Place::Tail(0),
            required: f.bool("required", faults).unwrap_or(false),
            zh: text(&f, "zh", faults),
            en: text(&f, "en", faults),
        }));
    }
    let def = EventTypeDef {
        code: EventType(code?),
        zh: text(&w, "zh", faults),
        en: text(&w, "en", faults),
        needs_cell: w.bool("needs_cell", faults).unwrap_or(false),
        has_peer: w.bool("has_peer", faults).unwrap_or(false),
        fields,
        cloudevents: w.strings("cloudevents", faults).map(|(list, _)| list).unwrap_or_default(),
        name,
    };
    Some((def, w.span.clone(), w.place.clone()))
}

fn text(w: &Walk<'_, '_>, key: &str, faults: &mut Faults<'_>) -> String {
    if w.get(key).is_none() {
        faults.add(&w.span, &w.place, format!("`{key}` is missing"));
    }
    w.str(key, faults).map_or_else(String::new, |(s, _)| s.to_owned())
}
