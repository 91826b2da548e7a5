//! Answers of one or two plain columns, for callers that do not speak of record batches.

use crate::{
    error::{LakeError, Result},
    lake::Lake,
};
use datafusion::arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, TimeUnit, TimestampMicrosecondType, UInt32Type},
};
use kairos_model::{SubscriberId, Timestamp};
use roaring::RoaringBitmap;

impl Lake {
    /// The subscribers in the first column of a query over the views as of a time; NULLs are left out.
    pub async fn subscriber_set(&self, as_of: Timestamp, query: &str) -> Result<RoaringBitmap> {
        let mut set = RoaringBitmap::new();
        for batch in self.batches(as_of, query).await? {
            set.extend(ordinals(&batch, query)?.into_iter().flatten());
        }
        Ok(set)
    }

    /// Subscriber and time, the first two columns of a query over the views as of a time; rows with a NULL are left out.
    pub async fn subscriber_times(&self, as_of: Timestamp, query: &str) -> Result<Vec<(SubscriberId, Timestamp)>> {
        let mut rows = Vec::new();
        for batch in self.batches(as_of, query).await? {
            let who = ordinals(&batch, query)?;
            let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            let when = batch.columns().get(1).ok_or_else(|| shape(query))?;
            let when = cast(when, &micros).map_err(|_| shape(query))?;
            let when = when.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| shape(query))?;
            for (i, s) in who.into_iter().enumerate() {
                if let Some(s) = s
                    && when.is_valid(i)
                {
                    rows.push((SubscriberId(s), Timestamp(when.value(i))));
                }
            }
        }
        Ok(rows)
    }

    async fn batches(&self, as_of: Timestamp, query: &str) -> Result<Vec<RecordBatch>> {
        let context = self.context(as_of).await?;
        let frame = context.sql(query).await.map_err(LakeError::query(format!("plan `{query}`")))?;
        frame.collect().await.map_err(LakeError::query(format!("run `{query}`")))
    }
}

fn shape(query: &str) -> LakeError {
    LakeError::Limit { what: format!("`{query}` must give subscribers first and, where asked, times second") }
}

fn ordinals(batch: &RecordBatch, query: &str) -> Result<Vec<Option<u32>>> {
    let column = batch.columns().first().ok_or_else(|| shape(query))?;
    let column = cast(column, &DataType::UInt32).map_err(|_| shape(query))?;
    let column = column.as_primitive_opt::<UInt32Type>().ok_or_else(|| shape(query))?;
    Ok(column.iter().collect())
}
