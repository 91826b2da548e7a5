//! `tags` in SQL: the latest snapshot as a table, of which only the columns asked for are read.

use super::{column::tag_field, load::SUBSCRIBER, snapshot::Snapshot};
use crate::lake::Inner;
use datafusion::{
    arrow::datatypes::{DataType, Field, Schema, SchemaRef},
    catalog::{MemTable, Session, TableProvider},
    error::{DataFusionError, Result},
    logical_expr::{Expr, TableType},
    physical_plan::ExecutionPlan,
};
use std::{fmt, future::Future, pin::Pin, sync::Arc};

pub(crate) struct SnapshotTable {
    inner: Arc<Inner>,
    snapshot: Snapshot,
    schema: SchemaRef,
}

impl fmt::Debug for SnapshotTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnapshotTable({})", self.snapshot.id())
    }
}

impl SnapshotTable {
    pub fn new(inner: Arc<Inner>, snapshot: Snapshot) -> Self {
        let mut fields = vec![Field::new(SUBSCRIBER, DataType::UInt32, false)];
        fields.extend(snapshot.tags.iter().map(|t| tag_field(&t.id, &t.tag_type())));
        Self { inner, snapshot, schema: Arc::new(Schema::new(fields)) }
    }

    /// The columns asked for, in their order.
    fn table(&self, projection: Option<&Vec<usize>>) -> Result<MemTable> {
        let outer = |e: crate::LakeError| DataFusionError::External(Box::new(e));
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let wanted = projection.unwrap_or(&all);
        let ids: Vec<&str> = wanted.iter().filter(|&&i| i > 0).map(|&i| self.schema.field(i).name().as_str()).collect();
        let columns = self.inner.tag_columns(&self.snapshot, &ids).map_err(outer)?;
        let mut place = 0;
        let order: Vec<usize> = wanted
            .iter()
            .map(|&i| {
                place += usize::from(i > 0);
                if i == 0 { 0 } else { place }
            })
            .collect();
        let batch = columns.batch.project(&order)?;
        MemTable::try_new(batch.schema(), vec![vec![batch]])
    }
}

impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
    fn table_type(&self) -> TableType {
        TableType::Base
    }
    // the trait is written with `async_trait`; this is what it expands to
    fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        state: &'life1 dyn Session,
        projection: Option<&'life2 Vec<usize>>,
        _filters: &'life3 [Expr],
        limit: Option<usize>,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<dyn ExecutionPlan>>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move { self.table(projection)?.scan(state, None, &[], limit).await })
    }
}
