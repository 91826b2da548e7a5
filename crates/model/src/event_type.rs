//! The catalogue of event types: name, fields and where each field's value stands. The tenant's custom types are declared
//! beside the built-in ones.

use crate::{event::EventType, event_tail::FieldValue, table::ColumnType};
use std::collections::BTreeMap;

/// Custom types of a tenant at most: a person keeps an overview of fewer.
pub const CUSTOM_MAX: usize = 1_024;
/// Fields of a type at most: a tail then stays below 4.2 KB.
pub const FIELDS_MAX: usize = 16;

/// Where the value of a field stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `bits` of [`crate::Event::aux`] from `shift`. 64 bits are signed; fewer are unsigned, and 0 also means "not given".
    Aux { shift: u8, bits: u8 },
    /// The n-th value of the tail ([`crate::event_tail`]).
    Tail(u8),
}

/// One declared field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDef {
    pub name: String,
    /// Bool, Int, Decimal, Money, Text, Date or Time.
    pub kind: ColumnType,
    pub place: Place,
    /// An event without it is quarantined.
    pub required: bool,
    pub zh: String,
    pub en: String,
}

/// One type of event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTypeDef {
    pub code: EventType,
    /// Small letters, digits and `_`.
    pub name: String,
    pub zh: String,
    pub en: String,
    /// The place is what the event says: without a cell it is quarantined.
    pub needs_cell: bool,
    /// There may be another side.
    pub has_peer: bool,
    pub fields: Vec<FieldDef>,
    /// Types of foreign CloudEvents that mean this one.
    pub cloudevents: Vec<String>,
}

/// Why a custom type cannot be declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeclareError {
    #[error("`{name}` is no name: a small letter, then small letters, digits and `_`, at most 64")]
    Name { name: String },
    #[error("code {code} of `{name}` must be {}–65535: lower ones are Kairos' own", EventType::CUSTOM_FROM)]
    Code { name: String, code: u16 },
    #[error("`{name}` (code {code}) repeats the name or the code of `{other}`")]
    Repeated { name: String, code: u16, other: String },
    #[error("`{name}` has more than {FIELDS_MAX} fields")]
    TooManyFields { name: String },
    #[error(
        "field `{field}` of `{name}` is declared twice, or named like what every event has (number, peer, cell, …)"
    )]
    Field { name: String, field: String },
    #[error("field `{field}` of `{name}` is {kind}; an event's field is bool, int, decimal, money, text, date or time")]
    Kind { name: String, field: String, kind: &'static str },
    #[error("CloudEvents type `{cloudevent}` of `{name}` already means `{other}`")]
    CloudEvent { name: String, cloudevent: String, other: String },
    #[error("more than {CUSTOM_MAX} custom event types")]
    TooMany,
}

/// Names that every event has; no field may take them.
pub const COMMON: [&str; 8] = ["number", "imsi", "peer", "cell", "role", "time", "long_distance", "type"];

/// All event types of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventCatalog {
    types: Vec<EventTypeDef>,
    by_name: BTreeMap<String, usize>,
    by_code: BTreeMap<u16, usize>,
    by_cloudevent: BTreeMap<String, usize>,
}

impl FieldDef {
    /// The field's value out of a header's `aux`; `None` where it stands in the tail.
    pub fn in_aux(&self, aux: u64) -> Option<FieldValue<'static>> {
        let Place::Aux { shift, bits } = self.place else { return None };
        let n = if bits >= 64 { aux as i64 } else { (aux >> shift & ((1 << bits) - 1)) as i64 };
        Some(match self.kind {
            ColumnType::Money | ColumnType::Decimal => FieldValue::Micros(n),
            ColumnType::Bool => FieldValue::Bool(n != 0),
            _ => FieldValue::Int(n),
        })
    }

    /// Largest value that the field's place holds; 64 bits also hold negative ones.
    pub const fn max(&self) -> i64 {
        match self.place {
            Place::Aux { bits, .. } if bits < 64 => (1 << bits) - 1,
            _ => i64::MAX,
        }
    }

    /// Puts `n` into its bits of `aux`; false if it does not fit, or the field stands in the tail.
    #[must_use]
    pub const fn put(&self, aux: &mut u64, n: i64) -> bool {
        match self.place {
            Place::Aux { bits: 64, .. } => *aux = n as u64,
            Place::Aux { shift, .. } if n >= 0 && n <= self.max() => *aux |= (n as u64) << shift,
            _ => return false,
        }
        true
    }
}

impl EventTypeDef {
    pub fn field(&self, name: &str) -> Option<&FieldDef> {
        self.fields.iter().find(|f| f.name == name)
    }
    /// Fields that stand in the tail.
    pub fn tail_fields(&self) -> usize {
        self.fields.iter().filter(|f| matches!(f.place, Place::Tail(_))).count()
    }
}

impl Default for EventCatalog {
    fn default() -> Self {
        Self::standard()
    }
}

impl EventCatalog {
    /// The built-in types.
    pub fn standard() -> Self {
        let (by_name, by_code, by_cloudevent) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut catalog = Self { types: Vec::new(), by_name, by_code, by_cloudevent };
        standard().into_iter().for_each(|def| catalog.add(def));
        catalog
    }

    /// Declares a custom type. Its fields get their places: all in the tail, in order.
    pub fn declare(&mut self, mut def: EventTypeDef) -> Result<(), DeclareError> {
        let name = def.name.clone();
        let code = def.code.0;
        if !is_name(&name) {
            return Err(DeclareError::Name { name });
        }
        if code < EventType::CUSTOM_FROM {
            return Err(DeclareError::Code { name, code });
        }
        if let Some(other) = self.named(&name).or_else(|| self.get(def.code)) {
            return Err(DeclareError::Repeated { name, code, other: other.name.clone() });
        }
        if def.fields.len() > FIELDS_MAX {
            return Err(DeclareError::TooManyFields { name });
        }
        for (i, field) in def.fields.iter().enumerate() {
            if !is_name(&field.name) {
                return Err(DeclareError::Name { name: field.name.clone() });
            }
            if COMMON.contains(&&*field.name) || def.fields[..i].iter().any(|f| f.name == field.name) {
                return Err(DeclareError::Field { name, field: field.name.clone() });
            }
            use ColumnType::{Bool, Date, Decimal, Int, Money, Text, Time};
            if !matches!(field.kind, Bool | Int | Decimal | Money | Text | Date | Time) {
                return Err(DeclareError::Kind { name, field: field.name.clone(), kind: field.kind.name() });
            }
        }
        for cloudevent in &def.cloudevents {
            if let Some(other) = self.cloudevent(cloudevent) {
                let (cloudevent, other) = (cloudevent.clone(), other.name.clone());
                return Err(DeclareError::CloudEvent { name, cloudevent, other });
            }
        }
        if self.types.iter().filter(|t| t.code.0 >= EventType::CUSTOM_FROM).count() >= CUSTOM_MAX {
            return Err(DeclareError::TooMany);
        }
        def.fields.iter_mut().zip(0u8..).for_each(|(f, i)| f.place = Place::Tail(i));
        self.add(def);
        Ok(())
    }

    fn add(&mut self, def: EventTypeDef) {
        let i = self.types.len();
        self.by_name.insert(def.name.clone(), i);
        self.by_code.insert(def.code.0, i);
        self.by_cloudevent.extend(def.cloudevents.iter().map(|c| (c.clone(), i)));
        self.types.push(def);
    }

    pub fn types(&self) -> &[EventTypeDef] {
        &self.types
    }
    pub fn named(&self, name: &str) -> Option<&EventTypeDef> {
        self.by_name.get(name).map(|i| &self.types[*i])
    }
    pub fn get(&self, code: EventType) -> Option<&EventTypeDef> {
        self.by_code.get(&code.0).map(|i| &self.types[*i])
    }
    /// The type that a foreign CloudEvents type was declared to mean.
    pub fn cloudevent(&self, kind: &str) -> Option<&EventTypeDef> {
        self.by_cloudevent.get(kind).map(|i| &self.types[*i])
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// One built-in field: name, kind, place, required, zh, en.
type Row = (&'static str, ColumnType, Place, bool, &'static str, &'static str);

const fn aux(shift: u8, bits: u8) -> Place {
    Place::Aux { shift, bits }
}

/// One built-in type.
fn def(code: EventType, name: &str, (zh, en): (&str, &str), traits: (bool, bool), rows: &[Row]) -> EventTypeDef {
    let field = |&(name, kind, place, required, zh, en): &Row| FieldDef {
        name: name.to_owned(),
        kind,
        place,
        required,
        zh: zh.to_owned(),
        en: en.to_owned(),
    };
    let (needs_cell, has_peer) = traits;
    EventTypeDef {
        code,
        name: name.to_owned(),
        zh: zh.to_owned(),
        en: en.to_owned(),
        needs_cell,
        has_peer,
        fields: rows.iter().map(field).collect(),
        cloudevents: Vec::new(),
    }
}

use ColumnType::{Int, Money, Text};

const DURATION: Row = ("duration_s", Int, aux(0, 32), false, "时长（秒）", "duration in seconds");
const CAUSE: Row = ("cause", Int, aux(32, 16), false, "释放原因", "release cause, the network's own code");
const VOLUME: Row = ("volume_kib", Int, aux(32, 32), false, "流量（KiB，上取整）", "volume in KiB, rounded up");
const COUNTRY: Row = ("country", Int, aux(0, 16), false, "国家（MCC）", "mobile country code of the other network");
const REACH: Row = ("reach", Int, aux(0, 8), false, "可达方式：1 数据，2 仅短信", "1 for data, 2 for messages only");
const AMOUNT: Row = ("amount", Money, aux(0, 64), true, "金额", "amount paid in");
const BALANCE: Row = ("balance", Money, aux(0, 64), true, "余额", "balance now; may be negative");
const PRODUCT: Row = ("product", Text, Place::Tail(0), true, "产品编码", "code of the product");
const HOST: Row = ("host", Text, Place::Tail(0), true, "网站主机名", "host name, as the probe wrote it");
const TAC: Row = ("tac", Int, aux(0, 32), true, "终端型号码（TAC）", "type allocation code of the new device");
const AREA: Row = ("area", Text, Place::Tail(0), true, "区域名", "name of the area");

/// (needs a cell, may have a peer).
const CALL: (bool, bool) = (false, true);
const OWN: (bool, bool) = (false, false);
const PLACE: (bool, bool) = (true, false);

fn standard() -> Vec<EventTypeDef> {
    use EventType as T;
    let back = "comes into the home network: back home, or a visitor";
    let away = "goes to another network, or from one to the next";
    vec![
        def(T::CALL_STARTED, "call_started", ("呼叫开始", "a call begins"), CALL, &[]),
        def(T::CALL_ANSWERED, "call_answered", ("呼叫接通", "a call is answered"), CALL, &[]),
        def(T::CALL_ENDED, "call_ended", ("通话结束", "a call ends, answered or not"), CALL, &[DURATION, CAUSE]),
        def(T::LONG_DISTANCE_IN, "long_distance_in", ("长途来电", "a long-distance call comes in"), CALL, &[]),
        def(T::MOVED, "moved", ("位置变化", "the location changes or is confirmed"), PLACE, &[]),
        def(T::POWER_ON, "power_on", ("开机", "the phone is on the network"), OWN, &[REACH]),
        def(T::POWER_OFF, "power_off", ("关机", "the phone is off the network"), OWN, &[]),
        def(T::MESSAGE_SENT, "message_sent", ("发送短信", "a message is sent"), CALL, &[]),
        def(T::MESSAGE_RECEIVED, "message_received", ("接收短信", "a message is received"), CALL, &[]),
        def(T::DATA_SESSION, "data_session", ("数据会话", "a data session ends"), OWN, &[DURATION, VOLUME]),
        def(T::ROAMING_IN, "roaming_in", ("漫入", back), OWN, &[COUNTRY]),
        def(T::ROAMING_OUT, "roaming_out", ("漫出", away), OWN, &[COUNTRY]),
        def(T::TOP_UP, "top_up", ("充值", "money is paid in"), OWN, &[AMOUNT]),
        def(T::BALANCE_LOW, "balance_low", ("余额不足", "the balance falls below a threshold"), OWN, &[BALANCE]),
        def(T::PRODUCT_USED, "product_used", ("使用产品", "a product is used"), OWN, &[PRODUCT]),
        def(T::PAGE_VIEWED, "page_viewed", ("浏览网页", "a page is viewed"), OWN, &[HOST]),
        def(T::DEVICE_CHANGED, "device_changed", ("更换终端", "the SIM is in another device"), OWN, &[TAC]),
        def(T::AREA_ENTERED, "area_entered", ("进入区域", "enters a named area"), OWN, &[AREA]),
        def(T::AREA_LEFT, "area_left", ("离开区域", "leaves a named area"), OWN, &[AREA]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(name: &str, code: u16, fields: &[(&str, ColumnType)]) -> EventTypeDef {
        let field = |(name, kind): &(&str, ColumnType)| FieldDef {
            name: (*name).to_owned(),
            kind: *kind,
            place: Place::Tail(0),
            required: false,
            zh: String::new(),
            en: String::new(),
        };
        EventTypeDef {
            code: EventType(code),
            name: name.to_owned(),
            zh: String::new(),
            en: String::new(),
            needs_cell: false,
            has_peer: false,
            fields: fields.iter().map(field).collect(),
            cloudevents: vec![format!("com.example.{name}")],
        }
    }

    #[test]
    fn built_in_types_have_their_codes_and_no_two_fields_share_bits() {
        let catalog = EventCatalog::standard();
        let codes: Vec<u16> = catalog.types().iter().map(|t| t.code.0).collect();
        assert_eq!(codes, (1..=19).collect::<Vec<_>>());
        for t in catalog.types() {
            let mut taken = 0u64;
            for f in &t.fields {
                if let Place::Aux { shift, bits } = f.place {
                    let mask = if bits == 64 { u64::MAX } else { ((1 << bits) - 1) << shift };
                    assert_eq!(taken & mask, 0, "{}.{}", t.name, f.name);
                    taken |= mask;
                }
                assert!(!f.zh.is_empty() && !f.en.is_empty());
            }
        }
    }

    #[test]
    fn a_value_goes_into_its_bits_and_comes_back() {
        let catalog = EventCatalog::standard();
        let call = catalog.named("call_ended").expect("built in");
        let (duration, cause) = (&call.fields[0], &call.fields[1]);
        let mut aux = 0;
        assert!(duration.put(&mut aux, 62) && cause.put(&mut aux, 16));
        assert_eq!((duration.in_aux(aux), cause.in_aux(aux)), (Some(FieldValue::Int(62)), Some(FieldValue::Int(16))));
        assert!(!cause.put(&mut aux, 65_536) && !duration.put(&mut aux, -1));
        let balance = &catalog.named("balance_low").expect("built in").fields[0];
        let mut aux = 0;
        assert!(balance.put(&mut aux, -1_500_000));
        assert_eq!(balance.in_aux(aux), Some(FieldValue::Micros(-1_500_000)));
    }

    #[test]
    fn a_custom_type_is_declared_once_and_its_fields_stand_in_the_tail() {
        let mut catalog = EventCatalog::standard();
        let fields = [("minutes", ColumnType::Int), ("title", ColumnType::Text)];
        catalog.declare(custom("film_watched", 128, &fields)).expect("good");
        let def = catalog.cloudevent("com.example.film_watched").expect("declared");
        assert_eq!((def.fields[1].place, def.tail_fields()), (Place::Tail(1), 2));
        let said = |def| catalog.clone().declare(def).expect_err("bad").to_string();
        let table = [
            (
                custom("Film", 129, &[]),
                "`Film` is no name: a small letter, then small letters, digits and `_`, at most 64",
            ),
            (custom("film", 127, &[]), "code 127 of `film` must be 128–65535: lower ones are Kairos' own"),
            (custom("film", 128, &[]), "`film` (code 128) repeats the name or the code of `film_watched`"),
            (custom("moved", 130, &[]), "`moved` (code 130) repeats the name or the code of `moved`"),
            (
                custom("film", 130, &[("cell", ColumnType::Int)]),
                "field `cell` of `film` is declared twice, or named like what every event has (number, peer, cell, …)",
            ),
            (
                custom("film", 130, &[("who", ColumnType::Party)]),
                "field `who` of `film` is party; an event's field is bool, int, decimal, money, text, date or time",
            ),
        ];
        for (def, want) in table {
            assert_eq!(said(def), want);
        }
    }
}
