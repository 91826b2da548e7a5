//! One event's JSON, read once from front to back: texts are borrowed, members may stand in any order, and a member of the
//! wrong kind is noted and judged later, so that it can be named.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{borrow::Cow, fmt};

/// Members of `data` that are kept at most; more make the event faulty. A type has at most 16 fields beside the common ones.
pub(crate) const MEMBERS_MAX: usize = 64;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Scalar<'a> {
    /// Absent or null.
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    /// An object, an array, or a number out of range.
    Other,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shape {
    #[default]
    Absent,
    Object,
    Other,
}

/// What an event said.
#[derive(Default)]
pub(crate) struct Raw<'a> {
    pub object: Shape,
    pub id: Scalar<'a>,
    pub source: Scalar<'a>,
    pub kind: Scalar<'a>,
    pub specversion: Scalar<'a>,
    pub time: Scalar<'a>,
    pub content: Scalar<'a>,
    pub base64: bool,
    pub data: Shape,
    pub device: Shape,
    /// `data.device.phoneNumber`.
    pub phone: Scalar<'a>,
    pub area: Area<'a>,
    /// The other members of `data`.
    pub members: Vec<(Cow<'a, str>, Scalar<'a>)>,
    pub too_many: bool,
}

/// `data.area`.
#[derive(Default)]
pub(crate) struct Area<'a> {
    pub shape: Shape,
    pub kind: Scalar<'a>,
    pub center: Shape,
    pub latitude: Scalar<'a>,
    pub longitude: Scalar<'a>,
    pub radius: Scalar<'a>,
}

impl<'a> Raw<'a> {
    /// As new, but for the room of its members.
    pub fn clear(&mut self) {
        let mut members = std::mem::take(&mut self.members);
        members.clear();
        *self = Self { members, ..Self::default() };
    }
    pub fn member(&self, name: &str) -> &Scalar<'a> {
        const NULL: &Scalar<'static> = &Scalar::Null;
        self.members.iter().find(|(n, _)| n == name).map_or(NULL, |(_, v)| v)
    }
}

/// A place that an object is read into.
pub(crate) trait Place<'de> {
    fn shape(&mut self) -> &mut Shape;
    fn member<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error>;
}

/// Reads whatever stands there; an object goes member by member into its place.
pub(crate) struct Object<'s, T>(pub &'s mut T);

impl<'de, T: Place<'de>> DeserializeSeed<'de> for Object<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        *self.0.shape() = Shape::Other;
        d.deserialize_any(self)
    }
}

impl<'de, T: Place<'de>> Visitor<'de> for Object<'_, T> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        *self.0.shape() = Shape::Object;
        while let Some(Text(name)) = map.next_key()? {
            self.0.member(name, &mut map)?;
        }
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        *self.0.shape() = Shape::Absent;
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        IgnoredAny.visit_seq(seq).map(|_| ())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

impl<'de> Place<'de> for Raw<'de> {
    fn shape(&mut self) -> &mut Shape {
        &mut self.object
    }
    fn member<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        match &*name {
            "id" => self.id = map.next_value()?,
            "source" => self.source = map.next_value()?,
            "type" => self.kind = map.next_value()?,
            "specversion" => self.specversion = map.next_value()?,
            "time" => self.time = map.next_value()?,
            "datacontenttype" => self.content = map.next_value()?,
            "data" => map.next_value_seed(Object(&mut Data(self)))?,
            "data_base64" => {
                map.next_value::<IgnoredAny>()?;
                self.base64 = true;
            }
            // extension attributes are allowed and say nothing to us
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The `data` of an event.
pub(crate) struct Data<'s, 'a>(pub &'s mut Raw<'a>);

impl<'de> Place<'de> for Data<'_, 'de> {
    fn shape(&mut self) -> &mut Shape {
        &mut self.0.data
    }
    fn member<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        match &*name {
            "device" => map.next_value_seed(Object(&mut Device(self.0))),
            "area" => map.next_value_seed(AreaOrText(self.0)),
            _ => {
                let value = map.next_value()?;
                match self.0.members.len() < MEMBERS_MAX {
                    true => self.0.members.push((name, value)),
                    false => self.0.too_many = true,
                }
                Ok(())
            }
        }
    }
}

struct Device<'s, 'a>(&'s mut Raw<'a>);

impl<'de> Place<'de> for Device<'_, 'de> {
    fn shape(&mut self) -> &mut Shape {
        &mut self.0.device
    }
    fn member<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        match &*name {
            "phoneNumber" => self.0.phone = map.next_value()?,
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// CAMARA's `area` is an object; the field of our own events is a text.
struct AreaOrText<'s, 'a>(&'s mut Raw<'a>);

impl<'de> DeserializeSeed<'de> for AreaOrText<'_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        self.0.area.shape = Shape::Other;
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AreaOrText<'_, 'de> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        Object(&mut self.0.area).visit_map(map)
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        self.0.members.push((Cow::Borrowed("area"), Scalar::Text(Cow::Borrowed(text))));
        Ok(())
    }
    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.members.push((Cow::Borrowed("area"), Scalar::Text(Cow::Owned(text.to_owned()))));
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        IgnoredAny.visit_seq(seq).map(|_| ())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.area.shape = Shape::Absent;
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
}

impl<'de> Place<'de> for Area<'de> {
    fn shape(&mut self) -> &mut Shape {
        &mut self.shape
    }
    fn member<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        match &*name {
            "areaType" => self.kind = map.next_value()?,
            "radius" => self.radius = map.next_value()?,
            "center" => map.next_value_seed(Object(&mut Center(self)))?,
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct Center<'s, 'a>(&'s mut Area<'a>);

impl<'de> Place<'de> for Center<'_, 'de> {
    fn shape(&mut self) -> &mut Shape {
        &mut self.0.center
    }
    fn member<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        match &*name {
            "latitude" => self.0.latitude = map.next_value()?,
            "longitude" => self.0.longitude = map.next_value()?,
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// A text, borrowed where no escape stands in it.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        d.deserialize_str(V)
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Scalar<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON")
            }
            fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Null)
            }
            fn visit_bool<E>(self, b: bool) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Bool(b))
            }
            fn visit_i64<E>(self, n: i64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Int(n))
            }
            fn visit_u64<E>(self, n: u64) -> Result<Scalar<'de>, E> {
                Ok(i64::try_from(n).map_or(Scalar::Other, Scalar::Int))
            }
            fn visit_f64<E>(self, x: f64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Float(x))
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Scalar<'de>, A::Error> {
                IgnoredAny.visit_seq(seq).map(|_| Scalar::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Scalar<'de>, A::Error> {
                IgnoredAny.visit_map(map).map(|_| Scalar::Other)
            }
        }
        d.deserialize_any(V)
    }
}

/// A header's value: percent-encoded bytes are decoded (CloudEvents HTTP binding, 3.1.3.2); what is no such code, or no
/// UTF-8 afterwards, stays as it is.
pub(crate) fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('%') {
        return Cow::Borrowed(value);
    }
    let bytes = value.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    let hex = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    while let Some(&b) = bytes.get(at) {
        let code = bytes.get(at + 1..at + 3).and_then(|c| Some(hex(c[0])? << 4 | hex(c[1])?));
        match code.filter(|_| b == b'%') {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(b);
                at += 1;
            }
        }
    }
    String::from_utf8(out).map_or(Cow::Borrowed(value), Cow::Owned)
}

/// `application/json`, perhaps with parameters, or a `+json` type.
pub(crate) fn is_json(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    media.eq_ignore_ascii_case("application/json") || media.to_ascii_lowercase().ends_with("+json")
}
