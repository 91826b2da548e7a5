//! Columns of a snapshot, side by side for its subscribers.

use super::{
    catalogue::DefaultValue,
    column::{default_array, tag_field},
    snapshot::{FileRef, Snapshot, SnapshotTag},
};
use crate::{
    commit,
    error::{LakeError, Result},
    lake::Inner,
};
use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array},
    compute::{concat, concat_batches, take},
    datatypes::{DataType, Field, Schema, UInt32Type},
};
use kairos_model::hash::FixedMap;
use kairos_rules::TagType;
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use std::{fs::File, sync::Arc};

pub(crate) const SUBSCRIBER: &str = "subscriber";

/// Tags of a snapshot in memory: `subscriber`, then the tags asked for, one row a subscriber in ascending order.
#[derive(Clone, Debug)]
pub struct TagColumns {
    pub batch: RecordBatch,
    pub types: Vec<TagType>,
}

impl Inner {
    /// Loads some tags of a snapshot.
    pub(crate) fn tag_columns(&self, snapshot: &Snapshot, tags: &[&str]) -> Result<TagColumns> {
        let universe = self.universe(snapshot)?;
        let wanted = tags.iter().map(|t| snapshot.tag(t)).collect::<Result<Vec<_>>>()?;
        let mut by_file: FixedMap<&FileRef, Vec<&str>> = FixedMap::default();
        for t in &wanted {
            by_file.entry(&t.file).or_default().push(&t.id);
        }
        let mut found: FixedMap<&str, ArrayRef> = FixedMap::default();
        for (file, ids) in by_file {
            let (subscribers, columns) = self.columns_of(file, &ids)?;
            let places = places(&universe, &subscribers);
            for (id, c) in ids.into_iter().zip(columns) {
                found.insert(id, aligned(snapshot.tag(id)?, &c, places.as_ref())?);
            }
        }
        let mut fields = vec![Field::new(SUBSCRIBER, DataType::UInt32, false)];
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(universe)];
        let mut types = Vec::new();
        for t in wanted {
            let ty = t.tag_type();
            fields.push(tag_field(&t.id, &ty));
            arrays.extend(found.get(t.id.as_str()).cloned());
            types.push(ty);
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
            .map_err(LakeError::arrow(format!("put the tags of {} side by side", snapshot.id())))?;
        Ok(TagColumns { batch, types })
    }

    /// The subscribers of a snapshot, ascending.
    pub(crate) fn universe(&self, snapshot: &Snapshot) -> Result<UInt32Array> {
        Ok(self.columns_of(&snapshot.universe, &[])?.0)
    }

    /// The subscriber column of a file and some others, in the order asked for.
    pub(super) fn columns_of(&self, file: &FileRef, ids: &[&str]) -> Result<(UInt32Array, Vec<ArrayRef>)> {
        let path = self.dir.join(&file.path);
        let opened = File::open(&path).map_err(LakeError::io("open", &path))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(opened).map_err(LakeError::parquet("read", &path))?;
        let schema = builder.schema().clone();
        let place =
            |id: &str| schema.index_of(id).map_err(|_| LakeError::damaged(&path, format!("it has no column `{id}`")));
        let mut roots = vec![place(SUBSCRIBER)?];
        for id in ids {
            roots.push(place(id)?);
        }
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let reader = builder
            .with_projection(mask)
            .with_batch_size(commit::BATCH)
            .build()
            .map_err(LakeError::parquet("read", &path))?;
        let failed = || LakeError::arrow(format!("read `{}`", path.display()));
        let batches = reader.collect::<Result<Vec<_>, _>>().map_err(failed())?;
        let Some(first) = batches.first() else {
            let empty = |id: &&str| {
                let ty = schema.field_with_name(id).map(|f| f.data_type().clone()).unwrap_or(DataType::Null);
                datafusion::arrow::array::new_empty_array(&ty)
            };
            return Ok((UInt32Array::from(Vec::<u32>::new()), ids.iter().map(empty).collect()));
        };
        let all = concat_batches(&first.schema(), &batches).map_err(failed())?;
        let column = |id: &str| {
            all.column_by_name(id).cloned().ok_or_else(|| LakeError::damaged(&path, format!("it has no column `{id}`")))
        };
        let subscribers = column(SUBSCRIBER)?
            .as_primitive_opt::<UInt32Type>()
            .cloned()
            .ok_or_else(|| LakeError::damaged(&path, "its subscribers are no ordinals"))?;
        Ok((subscribers, ids.iter().map(|id| column(id)).collect::<Result<_>>()?))
    }
}

/// For each subscriber of the snapshot its row in a file; `None` where the two are the same list.
pub(super) fn places(universe: &UInt32Array, have: &UInt32Array) -> Option<UInt32Array> {
    if universe.values() == have.values() {
        return None;
    }
    let mut row = 0;
    let have = have.values();
    let places = universe.values().iter().map(|s| {
        while row < have.len() && have[row] < *s {
            row += 1;
        }
        (row < have.len() && have[row] == *s).then_some(row as u32)
    });
    Some(places.collect())
}

/// The column for the snapshot's subscribers, with the default where it has one.
pub(super) fn aligned(tag: &SnapshotTag, column: &ArrayRef, places: Option<&UInt32Array>) -> Result<ArrayRef> {
    let failed = || LakeError::arrow(format!("read tag `{}`", tag.id));
    let column = match places {
        Some(p) => take(column, p, None).map_err(failed())?,
        None => column.clone(),
    };
    let Some(default) = tag.default_value() else { return Ok(column) };
    if column.null_count() == 0 {
        return Ok(column);
    }
    let filler = default_array(&default, &tag.tag_type());
    let last = column.len() as u32;
    let from: UInt32Array = (0..last).map(|i| Some(if column.is_null(i as usize) { last } else { i })).collect();
    let both = concat(&[column.as_ref(), filler.as_ref()]).map_err(failed())?;
    take(&both, &from, None).map_err(failed())
}

impl SnapshotTag {
    pub(super) fn default_value(&self) -> Option<DefaultValue> {
        use serde_json::Value;
        Some(match self.default.as_ref()? {
            Value::Bool(b) => DefaultValue::Bool(*b),
            Value::Number(n) if matches!(self.tag_type(), TagType::Decimal | TagType::Money(_)) => {
                DefaultValue::Micros(n.as_i64()?)
            }
            Value::Number(n) => DefaultValue::Int(n.as_i64()?),
            Value::String(s) => DefaultValue::Text(s.clone()),
            Value::Array(all) => DefaultValue::Set(all.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()),
            _ => return None,
        })
    }
}

pub(super) fn default_json(default: &DefaultValue) -> serde_json::Value {
    match default {
        DefaultValue::Bool(b) => (*b).into(),
        DefaultValue::Int(n) | DefaultValue::Micros(n) => (*n).into(),
        DefaultValue::Text(t) => t.as_str().into(),
        DefaultValue::Set(all) => all.clone().into(),
    }
}
