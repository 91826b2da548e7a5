//! Read-only SQL over everything, with limits.

use crate::{
    error::{LakeError, Result},
    lake::Lake,
};
use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    execution::context::SQLOptions,
    logical_expr::LogicalPlan,
};
use kairos_model::Timestamp;
use std::time::Duration;

/// Limits of one query. Memory is limited for all queries together, see [`crate::LakeOptions`].
#[derive(Clone, Copy, Debug)]
pub struct SqlLimits {
    /// Rows of the answer; what is beyond is cut off and said.
    pub rows: usize,
    pub seconds: u64,
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self { rows: 10_000, seconds: 60 }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct SqlAnswer {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
    /// Whether rows were cut off.
    pub truncated: bool,
}

impl Lake {
    /// Runs one SELECT over the tables as of `as_of`.
    ///
    /// Errors: anything that is not reading ([`LakeError::ReadOnly`]), a query that does not parse or plan, one that runs
    /// too long or needs more memory than allowed.
    pub async fn sql(&self, as_of: Timestamp, query: &str, limits: SqlLimits) -> Result<SqlAnswer> {
        let ctx = self.context(as_of).await?;
        let failed = || LakeError::query("run the query");
        let plan = ctx.state().create_logical_plan(query).await.map_err(failed())?;
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)
            .map_err(|e| LakeError::ReadOnly { what: e.strip_backtrace() })?;
        let told = matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_));
        let mut df = ctx.execute_logical_plan(plan).await.map_err(failed())?;
        let schema: SchemaRef = std::sync::Arc::new(df.schema().as_arrow().clone());
        if !told {
            df = df.limit(0, Some(limits.rows.saturating_add(1))).map_err(failed())?;
        }
        let answer = tokio::time::timeout(Duration::from_secs(limits.seconds), df.collect()).await;
        let batches = answer.map_err(|_| LakeError::TooLong { seconds: limits.seconds })?.map_err(failed())?;
        Ok(cut(schema, batches, limits.rows))
    }
}

fn cut(schema: SchemaRef, batches: Vec<RecordBatch>, rows: usize) -> SqlAnswer {
    let (mut left, mut truncated, mut kept) = (rows, false, Vec::new());
    for b in batches {
        truncated |= b.num_rows() > left;
        let b = b.slice(0, b.num_rows().min(left));
        left -= b.num_rows();
        if b.num_rows() > 0 {
            kept.push(b);
        }
    }
    SqlAnswer { schema, batches: kept, truncated }
}
