//! `tag check`: every source and value planned against the tables, each fault with file, tag and field.

use super::{
    catalogue::{Origin, SourceDef, TagCatalogue, TagDef, TagProblem},
    column::misfit,
};
use crate::{error::Result, lake::Lake};
use datafusion::{
    error::DataFusionError,
    execution::context::SQLOptions,
    prelude::{DataFrame, SessionContext},
};
use kairos_model::Timestamp;

impl Lake {
    /// Plans every definition of a catalogue without running it.
    pub async fn check_tags(&self, catalogue: &TagCatalogue) -> Result<Vec<TagProblem>> {
        let manifest = self.inner.manifest();
        let ctx = self.inner.tables(&manifest, Timestamp(0)).await?;
        let mut problems = Vec::new();
        for s in catalogue.sources() {
            problems.extend(source(&ctx, s).await);
        }
        for t in catalogue.defs() {
            problems.extend(tag(&ctx, catalogue, t).await);
        }
        Ok(problems)
    }
}

pub(super) async fn plan(ctx: &SessionContext, sql: &str) -> Result<DataFrame, DataFusionError> {
    let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    ctx.sql_with_options(sql, reading).await
}

async fn source(ctx: &SessionContext, s: &SourceDef) -> Option<TagProblem> {
    let problem = |what: String, remedy: &str| {
        let (file, id) = (s.file.clone(), s.id.clone());
        Some(TagProblem { file, id, field: "sql", what, remedy: remedy.to_owned() })
    };
    match plan(ctx, &s.sql).await {
        Err(e) => problem(e.strip_backtrace(), "correct the query"),
        Ok(df) => match df.schema().field_with_unqualified_name("subscriber") {
            Ok(f) if f.data_type().is_integer() => None,
            _ => problem("it gives no column `subscriber`".to_owned(), "select the subscriber and group by it"),
        },
    }
}

/// Faults of one tag; none if its source is at fault, which is told there.
pub(super) async fn tag(ctx: &SessionContext, catalogue: &TagCatalogue, t: &TagDef) -> Option<TagProblem> {
    let (sql, field) = match &t.origin {
        Origin::Condition(_) => return None,
        Origin::Sql(sql) => (format!("select subscriber, value from ({sql}) as source"), "sql"),
        Origin::Source { source, value } => {
            let inner = &catalogue.source(source)?.sql;
            plan(ctx, inner).await.ok()?;
            (format!("select subscriber, ({value}) as value from ({inner}) as source"), "value")
        }
    };
    let (what, remedy) = match plan(ctx, &sql).await {
        Err(e) => (e.strip_backtrace(), "correct it".to_owned()),
        Ok(df) => misfit(&t.info.ty, df.schema().field(1).data_type())?,
    };
    Some(TagProblem { file: t.file.clone(), id: t.info.id.clone(), field, what, remedy })
}
