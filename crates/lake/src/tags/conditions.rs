//! Conditions over columns in memory.

use super::{TagColumns, catalogue::Sets};
use crate::{
    condition,
    error::{LakeError, Result},
    lake::Inner,
};
use datafusion::{
    arrow::{
        array::{AsArray, BooleanArray, BooleanBuilder},
        record_batch::RecordBatch,
    },
    common::DFSchema,
};
use kairos_model::Timestamp;
use kairos_rules::Condition;

/// Rows judged at once: columns of a slice stay in the cache.
const SLICE: usize = 16_384;

impl Inner {
    /// The condition's answer for each row: true, false, or NULL for unknown. `as_of` is the snapshot's.
    pub(crate) fn judge(
        &self,
        columns: &TagColumns,
        condition: &Condition,
        as_of: Timestamp,
        sets: &Sets,
    ) -> Result<BooleanArray> {
        let failed = || LakeError::query(format!("judge `{}`", shortened(condition.text())));
        let expr = condition::expr(condition, self.zone.day(as_of), sets)?;
        let batch = &columns.batch;
        let schema = DFSchema::try_from(batch.schema()).map_err(failed())?;
        let ctx = self.session(as_of);
        let expr = ctx.create_physical_expr(expr, &schema).map_err(failed())?;
        let mut out = BooleanBuilder::with_capacity(batch.num_rows());
        for from in (0..batch.num_rows()).step_by(SLICE) {
            let slice: RecordBatch = batch.slice(from, SLICE.min(batch.num_rows() - from));
            let answer = expr.evaluate(&slice).and_then(|v| v.into_array(slice.num_rows())).map_err(failed())?;
            let Some(bools) = answer.as_boolean_opt() else {
                return Err(LakeError::Limit { what: "a condition gave no boolean".to_owned() });
            };
            out.append_array(bools);
        }
        Ok(out.finish())
    }
}

/// Enough of a condition to know it by.
fn shortened(text: &str) -> String {
    if text.chars().count() <= 120 { text.to_owned() } else { text.chars().take(120).chain(['…']).collect() }
}
