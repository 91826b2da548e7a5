//! Asking a snapshot: who satisfies a condition, and what is known of whom.

use crate::{
    error::{LakeError, Result},
    lake::Lake,
    tags::{Sets, Snapshot, TagColumns},
};
use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array},
    compute::filter_record_batch,
    datatypes::{Date32Type, Decimal128Type, Int64Type, UInt32Type},
};
use kairos_model::{CellId, LocalDay, SnapshotId, SubscriberId};
use kairos_rules::{Condition, Members, TagType, Value};
use roaring::RoaringBitmap;

/// A tag's value for one subscriber.
#[derive(Clone, Debug, PartialEq)]
pub enum TagValue {
    Null,
    Bool(bool),
    Int(i64),
    /// Decimal and money: millionths.
    Micros(i64),
    Seconds(i64),
    /// Text and enum.
    Text(String),
    Set(Vec<String>),
    Day(LocalDay),
    Cell(CellId),
}

impl TagValue {
    /// The form in which conditions read it.
    pub fn borrow(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(*b),
            Self::Int(n) => Value::Int(*n),
            Self::Micros(n) => Value::Micros(*n),
            Self::Seconds(n) => Value::Seconds(*n),
            Self::Text(t) => Value::Text(t),
            Self::Set(all) => Value::Set(Members::Strings(all)),
            Self::Day(d) => Value::Day(*d),
            Self::Cell(c) => Value::Cell(*c),
        }
    }
}

/// Some tags of some subscribers: a row a subscriber, ascending.
#[derive(Clone, Debug)]
pub struct TagValues {
    columns: TagColumns,
}

impl TagValues {
    pub fn rows(&self) -> usize {
        self.columns.batch.num_rows()
    }
    fn ordinals(&self) -> &[u32] {
        self.columns.batch.column(0).as_primitive::<UInt32Type>().values()
    }
    pub fn subscriber(&self, row: usize) -> SubscriberId {
        SubscriberId(self.ordinals()[row])
    }
    /// The row of a subscriber; `None` for one who was not asked for or is not in the snapshot.
    pub fn row_of(&self, subscriber: SubscriberId) -> Option<usize> {
        self.ordinals().binary_search(&subscriber.0).ok()
    }
    /// The value of the tag at a place in the list asked for; NULL outside of it.
    pub fn get(&self, row: usize, tag: usize) -> TagValue {
        match (self.columns.batch.columns().get(tag + 1), self.columns.types.get(tag)) {
            (Some(a), Some(ty)) if row < a.len() && a.is_valid(row) => value(a, ty, row),
            _ => TagValue::Null,
        }
    }
}

fn value(a: &ArrayRef, ty: &TagType, row: usize) -> TagValue {
    let found = match ty {
        TagType::Bool => a.as_boolean_opt().map(|a| TagValue::Bool(a.value(row))),
        TagType::Int => a.as_primitive_opt::<Int64Type>().map(|a| TagValue::Int(a.value(row))),
        TagType::Duration => a.as_primitive_opt::<Int64Type>().map(|a| TagValue::Seconds(a.value(row))),
        TagType::Decimal | TagType::Money(_) => {
            a.as_primitive_opt::<Decimal128Type>().and_then(|a| i64::try_from(a.value(row)).ok()).map(TagValue::Micros)
        }
        TagType::Text | TagType::Enum { .. } => {
            a.as_string_opt::<i32>().map(|a| TagValue::Text(a.value(row).to_owned()))
        }
        TagType::Set { .. } => a.as_list_opt::<i32>().map(|a| {
            let members = a.value(row);
            let members = members.as_string_opt::<i32>();
            TagValue::Set(members.into_iter().flatten().flatten().map(str::to_owned).collect())
        }),
        TagType::Date => a.as_primitive_opt::<Date32Type>().map(|a| TagValue::Day(LocalDay(a.value(row)))),
        TagType::Cell => a.as_primitive_opt::<UInt32Type>().map(|a| TagValue::Cell(CellId(a.value(row)))),
    };
    found.unwrap_or(TagValue::Null)
}

impl Lake {
    /// The subscribers of a snapshot for whom the condition is true, by SQL over its columns: the back end of tags that
    /// are conditions and of queries, and what tests hold the index equal to.
    ///
    /// Errors: as [`Lake::select`].
    pub fn select_by_sql(&self, snapshot: SnapshotId, condition: &Condition, sets: &Sets) -> Result<RoaringBitmap> {
        let snapshot = self.snapshot(snapshot)?;
        self.fits(&snapshot, condition)?;
        let ids: Vec<&str> = condition.tags().iter().map(|t| t.id.as_str()).collect();
        let columns = self.inner.tag_columns(&snapshot, &ids)?;
        let answer = self.inner.judge(&columns, condition, snapshot.as_of(), sets)?;
        let subscribers = columns.batch.column(0).as_primitive::<UInt32Type>();
        Ok(chosen(subscribers, &answer).collect())
    }

    /// All subscribers of a snapshot.
    pub fn subscribers(&self, snapshot: SnapshotId) -> Result<RoaringBitmap> {
        let all = self.inner.universe(&self.snapshot(snapshot)?)?;
        Ok(all.values().iter().copied().collect())
    }

    /// Values of some tags for the given subscribers (all, if none are given).
    pub fn values(&self, snapshot: SnapshotId, tags: &[&str], of: Option<&RoaringBitmap>) -> Result<TagValues> {
        let mut columns = self.inner.tag_columns(&self.snapshot(snapshot)?, tags)?;
        if let Some(of) = of {
            let subscribers = columns.batch.column(0).as_primitive::<UInt32Type>();
            let keep: BooleanArray = subscribers.values().iter().map(|s| Some(of.contains(*s))).collect();
            columns.batch = filter_record_batch(&columns.batch, &keep).map_err(LakeError::arrow("pick subscribers"))?;
        }
        Ok(TagValues { columns })
    }

    /// Whether the snapshot has each tag of the condition with its type.
    pub(crate) fn fits(&self, snapshot: &Snapshot, condition: &Condition) -> Result<()> {
        for used in condition.tags() {
            let have = snapshot.tag(&used.id)?;
            if have.tag_type().name() != used.ty.name() {
                let what = format!(
                    "tag `{}` is {} in {} and {} in the condition; compute the tags again",
                    used.id,
                    have.ty,
                    snapshot.id(),
                    used.ty.name()
                );
                return Err(LakeError::Limit { what });
            }
        }
        Ok(())
    }
}

fn chosen<'a>(subscribers: &'a UInt32Array, answer: &'a BooleanArray) -> impl Iterator<Item = u32> + 'a {
    let yes = |i: &usize| answer.is_valid(*i) && answer.value(*i);
    (0..subscribers.len()).filter(yes).map(|i| subscribers.value(i))
}
