//! From what SQL gives to a tag's column: the type, the vocabulary, the default.

use super::catalogue::DefaultValue;
use crate::{
    error::{LakeError, Result},
    schema,
};
use datafusion::arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Int64Array, ListArray, ListBuilder,
        StringArray, StringBuilder, UInt32Array,
    },
    compute::{CastOptions, can_cast_types, cast_with_options},
    datatypes::{DataType, Decimal128Type, Field},
};
use kairos_rules::TagType;
use std::sync::Arc;

/// The Arrow type of a tag's column.
pub(crate) fn tag_arrow(ty: &TagType) -> DataType {
    match ty {
        TagType::Bool => DataType::Boolean,
        TagType::Int | TagType::Duration => DataType::Int64,
        TagType::Decimal | TagType::Money(_) => DataType::Decimal128(schema::PRECISION, schema::SCALE),
        TagType::Text | TagType::Enum { .. } => DataType::Utf8,
        TagType::Set { .. } => DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
        TagType::Date => DataType::Date32,
        TagType::Cell => DataType::UInt32,
    }
}

/// Key of the tag's type in the field's metadata.
const TAG_TYPE: &str = "kairos.tag";

pub(crate) fn tag_field(id: &str, ty: &TagType) -> Field {
    let mut f = Field::new(id, tag_arrow(ty), true);
    f.set_metadata([(TAG_TYPE.to_owned(), ty.name().to_owned())].into());
    f
}

/// The values as the tag's type, and how many were left out because the vocabulary does not have them.
///
/// Errors: a type that does not become the tag's, or a number past its range; the tag is named.
pub(super) fn convert(tag: &str, ty: &TagType, values: &ArrayRef) -> Result<(ArrayRef, u64)> {
    if let Some((what, remedy)) = misfit(ty, values.data_type()) {
        return Err(LakeError::Limit { what: format!("tag `{tag}`: {what}; {remedy}") });
    }
    match ty {
        TagType::Decimal | TagType::Money(_) => Ok((micros(tag, ty, values)?, 0)),
        TagType::Enum { values: words } => {
            let texts = to(tag, ty, values, &DataType::Utf8)?;
            Ok(known_words(texts.as_string::<i32>(), words))
        }
        TagType::Set { values: words } => {
            let list = to(tag, ty, values, &tag_arrow(ty))?;
            Ok(known_members(list.as_list::<i32>(), words))
        }
        _ => Ok((to(tag, ty, values, &tag_arrow(ty))?, 0)),
    }
}

/// Why values of this type do not make the tag, if they do not, and what to do.
pub(super) fn misfit(ty: &TagType, found: &DataType) -> Option<(String, String)> {
    if *found == DataType::Null {
        return None;
    }
    if matches!(ty, TagType::Money(_)) && found.is_floating() {
        return Some(("it is a binary fraction, and money is exact".to_owned(), "cast to decimal(18, 6)".to_owned()));
    }
    let want = tag_arrow(ty);
    let bool_ends = (want == DataType::Boolean) != (*found == DataType::Boolean);
    if bool_ends || !can_cast_types(found, &want) {
        let what = format!("it gives {found}, the type is {}", ty.name());
        return Some((what, "change the type or cast the value".to_owned()));
    }
    None
}

fn to(tag: &str, ty: &TagType, values: &ArrayRef, want: &DataType) -> Result<ArrayRef> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(values, want, &strict).map_err(LakeError::arrow(format!(
        "make tag `{tag}` of type {} from {}",
        ty.name(),
        values.data_type()
    )))
}

/// Millionths, rounded half away from zero from finer decimals; anything past `i64` is an error.
fn micros(tag: &str, ty: &TagType, values: &ArrayRef) -> Result<ArrayRef> {
    let wide = to(tag, ty, values, &DataType::Decimal128(38, schema::SCALE))?;
    let wide = wide.as_primitive::<Decimal128Type>();
    // the furthest one, so that the message does not depend on the order of rows
    let furthest = wide.iter().flatten().max_by_key(|v| v.unsigned_abs());
    if let Some(past) = furthest.filter(|&v| i64::try_from(v).is_err()) {
        let what = format!("tag `{tag}`: {past} millionths are past the range of {}; correct its value", ty.name());
        return Err(LakeError::Limit { what });
    }
    let narrow = Decimal128Array::new(wide.values().clone(), wide.nulls().cloned());
    Ok(Arc::new(narrow.with_data_type(tag_arrow(ty))))
}

fn known_words(texts: &StringArray, words: &[String]) -> (ArrayRef, u64) {
    let mut left_out = 0;
    let kept: StringArray = texts
        .iter()
        .map(|t| {
            let t = t?;
            let known = words.iter().any(|w| w == t);
            left_out += u64::from(!known);
            known.then_some(t)
        })
        .collect();
    (Arc::new(kept), left_out)
}

/// Members sorted, each once, without NULLs.
fn known_members(lists: &ListArray, words: &[String]) -> (ArrayRef, u64) {
    let mut left_out = 0;
    let mut out = ListBuilder::new(StringBuilder::new());
    for list in lists.iter() {
        if let Some(list) = &list {
            let mut members: Vec<&str> = list.as_string::<i32>().iter().flatten().collect();
            members.sort_unstable();
            members.dedup();
            for m in members {
                if words.is_empty() || words.iter().any(|w| w == m) {
                    out.values().append_value(m);
                } else {
                    left_out += 1;
                }
            }
        }
        out.append(list.is_some());
    }
    (Arc::new(out.finish()), left_out)
}

/// One value as an array, for filling in.
pub(super) fn default_array(default: &DefaultValue, ty: &TagType) -> ArrayRef {
    match default {
        DefaultValue::Bool(b) => Arc::new(BooleanArray::from(vec![*b])),
        DefaultValue::Int(n) if *ty == TagType::Date => {
            Arc::new(Date32Array::from(vec![i32::try_from(*n).unwrap_or(0)]))
        }
        DefaultValue::Int(n) if *ty == TagType::Cell => {
            Arc::new(UInt32Array::from(vec![u32::try_from(*n).unwrap_or(0)]))
        }
        DefaultValue::Int(n) => Arc::new(Int64Array::from(vec![*n])),
        DefaultValue::Micros(n) => Arc::new(Decimal128Array::from(vec![i128::from(*n)]).with_data_type(tag_arrow(ty))),
        DefaultValue::Text(t) => Arc::new(StringArray::from(vec![t.as_str()])),
        DefaultValue::Set(all) => {
            let mut b = ListBuilder::new(StringBuilder::new());
            all.iter().for_each(|w| b.values().append_value(w));
            b.append(true);
            Arc::new(b.finish())
        }
    }
}
