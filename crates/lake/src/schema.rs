//! Tables as Arrow: the canonical ones, the lake's own, and the columns that layouts add.

use crate::error::{LakeError, Result};
use datafusion::arrow::{
    array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray, UInt32Array,
    },
    buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use kairos_model::table::{self, Batch, Column, ColumnDef, ColumnType, TableDef, Values};
use std::{collections::BTreeMap, sync::Arc};

/// Field metadata key that holds the [`ColumnType`]'s name.
pub const TYPE_KEY: &str = "kairos.type";
/// Declared digits of money and decimals, six of them after the point. The stored value is always an `i64` of
/// millionths: Parquet keeps it as INT64 and nothing on the way in or out checks or rounds it, so all of `i64` is exact.
pub const PRECISION: u8 = 18;
pub const SCALE: i8 = 6;

const fn req(name: &'static str, kind: ColumnType) -> ColumnDef {
    ColumnDef { name, kind, required: true }
}
const fn opt(name: &'static str, kind: ColumnType) -> ColumnDef {
    ColumnDef { name, kind, required: false }
}

/// Rows that could not be taken, by reason, without their values; `raw` names the row in the vault.
pub const QUARANTINE: TableDef = TableDef {
    name: "quarantine",
    time: Some("at"),
    columns: &[
        req("file", ColumnType::Text),
        req("content_hash", ColumnType::Text),
        req("layout", ColumnType::Text),
        req("source_table", ColumnType::Text),
        req("row", ColumnType::Int),
        opt("field", ColumnType::Text),
        req("reason", ColumnType::Text),
        opt("raw", ColumnType::Int),
        req("at", ColumnType::Time),
    ],
};

/// The decision trail, mirrored from the journal (`model::DecisionRecord`).
pub const DECISION: TableDef = TableDef {
    name: "decision",
    time: Some("stamp"),
    columns: &[
        req("stamp", ColumnType::Time),
        req("subscriber", ColumnType::Subscriber),
        req("campaign", ColumnType::Int),
        req("version", ColumnType::Int),
        req("wave", ColumnType::Int),
        req("treatment", ColumnType::Int),
        req("verdict", ColumnType::Text),
        opt("reason", ColumnType::Text),
        // bits of model::ReasonSet
        req("reasons", ColumnType::Int),
        opt("until", ColumnType::Time),
        opt("held_by", ColumnType::Int),
        req("snapshot", ColumnType::Int),
        req("playbook", ColumnType::Int),
    ],
};

/// What became of contacts, mirrored from the journal.
pub const OUTCOME: TableDef = TableDef {
    name: "outcome",
    time: Some("at"),
    columns: &[
        req("at", ColumnType::Time),
        req("subscriber", ColumnType::Subscriber),
        req("campaign", ColumnType::Int),
        opt("wave", ColumnType::Int),
        // model::ContactId in its printed form
        req("contact", ColumnType::Text),
        // model::ContactState
        opt("state", ColumnType::Text),
        // model::Disposition
        opt("disposition", ColumnType::Text),
    ],
};

/// Tables that the program writes itself.
pub const OWN_TABLES: &[TableDef] = &[QUARANTINE, DECISION, OUTCOME];

/// All tables, canonical first.
pub fn tables() -> impl Iterator<Item = &'static TableDef> {
    table::TABLES.iter().chain(OWN_TABLES)
}

/// A table by name.
pub fn table(name: &str) -> Result<&'static TableDef> {
    tables().find(|t| t.name == name).ok_or_else(|| LakeError::UnknownTable {
        name: name.to_owned(),
        known: tables().map(|t| t.name).collect::<Vec<_>>().join(", "),
    })
}

/// The Arrow type of a column; `None` for what never reaches the lake.
pub fn arrow_type(kind: ColumnType) -> Option<DataType> {
    Some(match kind {
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Int => DataType::Int64,
        ColumnType::Decimal | ColumnType::Money => DataType::Decimal128(PRECISION, SCALE),
        ColumnType::Text => DataType::Utf8,
        ColumnType::Date => DataType::Date32,
        ColumnType::Time => time_type(),
        ColumnType::Subscriber | ColumnType::Party | ColumnType::SubscriberNumber => DataType::UInt32,
        ColumnType::OwnNumber | ColumnType::Secret => return None,
    })
}

pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

pub(crate) fn type_named(name: &str) -> Option<ColumnType> {
    ColumnType::ALL.into_iter().find(|t| t.name() == name)
}

/// A field of a table, nullable, with its type in the metadata.
pub fn field(name: &str, kind: ColumnType) -> Option<Field> {
    let mut f = Field::new(name, arrow_type(kind)?, true);
    f.set_metadata([(TYPE_KEY.to_owned(), kind.name().to_owned())].into());
    Some(f)
}

/// The columns of a table as readers see it: canonical ones first, then those that layouts added, by name.
pub fn view_schema(def: &TableDef, extra: &BTreeMap<String, String>) -> SchemaRef {
    let canonical = def.columns.iter().filter_map(|c| field(c.name, c.kind));
    let added = extra.iter().filter_map(|(name, kind)| field(name, type_named(kind)?));
    Arc::new(Schema::new(canonical.chain(added).collect::<Vec<_>>()))
}

/// The type under which `column` of the table is known.
pub(crate) fn known_type(def: &TableDef, extra: &BTreeMap<String, String>, column: &str) -> Option<ColumnType> {
    def.column(column).map(|c| c.kind).or_else(|| extra.get(column).and_then(|k| type_named(k)))
}

/// Refuses a column that the table already has under another Arrow type.
pub(crate) fn check_column(
    def: &TableDef,
    extra: &BTreeMap<String, String>,
    name: &str,
    kind: ColumnType,
) -> Result<()> {
    match known_type(def, extra, name) {
        Some(have) if arrow_type(have) != arrow_type(kind) => Err(LakeError::ColumnType {
            table: def.name.to_owned(),
            column: name.to_owned(),
            have: have.name().to_owned(),
            given: kind.name().to_owned(),
        }),
        _ => Ok(()),
    }
}

fn nulls(valid: &[bool]) -> Option<NullBuffer> {
    if valid.iter().all(|&v| v) { None } else { Some(NullBuffer::from(valid)) }
}

/// The values of one column as an Arrow array; `None` for what never reaches the lake.
pub(crate) fn array(table: &str, c: &Column) -> Result<Option<ArrayRef>> {
    let malformed = |what: String| LakeError::Batch { table: table.to_owned(), what };
    let Some(want) = arrow_type(c.kind) else { return Ok(None) };
    if c.values.len() != c.valid.len() {
        return Err(malformed(format!("`{}` has {} values and {} flags", c.name, c.values.len(), c.valid.len())));
    }
    let n = nulls(&c.valid);
    let a: ArrayRef = match (&c.values, &want) {
        (Values::Bool(v), DataType::Boolean) => Arc::new(BooleanArray::new(v.as_slice().into(), n)),
        (Values::Int(v), DataType::Int64) => Arc::new(Int64Array::new(v.clone().into(), n)),
        (Values::Micros(v), DataType::Decimal128(..)) => {
            let wide: ScalarBuffer<i128> = v.iter().map(|&x| i128::from(x)).collect();
            Arc::new(Decimal128Array::new(wide, n).with_data_type(want.clone()))
        }
        (Values::Text(t) | Values::Key(t), DataType::Utf8) => {
            let mut ends = Vec::with_capacity(t.ends.len() + 1);
            ends.push(0i32);
            for &e in &t.ends {
                ends.push(i32::try_from(e).map_err(|_| malformed(format!("`{}` is past 2 GiB of text", c.name)))?);
            }
            let bytes = Buffer::from_vec(t.bytes.as_bytes().to_vec());
            let texts = StringArray::try_new(OffsetBuffer::new(ends.into()), bytes, n);
            Arc::new(texts.map_err(|e| malformed(format!("`{}`: {e}", c.name)))?)
        }
        (Values::Date(v), DataType::Date32) => {
            Arc::new(Date32Array::new(v.iter().map(|d| d.0).collect::<ScalarBuffer<i32>>(), n))
        }
        (Values::Time(v), DataType::Timestamp(..)) => {
            let micros: ScalarBuffer<i64> = v.iter().map(|t| t.0).collect();
            Arc::new(TimestampMicrosecondArray::new(micros, n).with_timezone("+00:00"))
        }
        (Values::Party(v), DataType::UInt32) => {
            Arc::new(UInt32Array::new(v.iter().map(|p| p.0).collect::<ScalarBuffer<u32>>(), n))
        }
        (v, _) => return Err(malformed(format!("`{}` is {} but holds {}", c.name, c.kind.name(), kind_of(v)))),
    };
    Ok(Some(a))
}

fn kind_of(v: &Values) -> &'static str {
    match v {
        Values::Bool(_) => "booleans",
        Values::Int(_) => "integers",
        Values::Micros(_) => "decimals",
        Values::Text(_) => "text",
        Values::Date(_) => "dates",
        Values::Time(_) => "times",
        Values::Key(_) => "keys that were not turned into parties",
        Values::Number(_) => "numbers that were not turned into parties",
        Values::Party(_) => "parties",
    }
}

/// The lake's columns of a batch.
pub(crate) fn record_batch(table: &str, batch: &Batch) -> Result<RecordBatch> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for c in &batch.columns {
        if c.values.len() != batch.rows() {
            let what = format!("`{}` has {} values for {} rows", c.name, c.values.len(), batch.rows());
            return Err(LakeError::Batch { table: table.to_owned(), what });
        }
        if let (Some(a), Some(f)) = (array(table, c)?, field(&c.name, c.kind)) {
            fields.push(f);
            arrays.push(a);
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(LakeError::arrow(format!("make rows of table `{table}`")))
}
