//! `tag check`: every source and value planned against the tables, each fault with file, tag and field.

use super::{
    catalogue::{Origin, SourceDef, TagCatalogue, TagDef, TagProblem},
    column::tag_arrow,
};
use crate::{error::Result, lake::Lake};
use datafusion::{
    arrow::{compute::can_cast_types, datatypes::DataType},
    error::DataFusionError,
    execution::context::SQLOptions,
    prelude::{DataFrame, SessionContext},
};
use kairos_model::Timestamp;
use kairos_rules::TagType;

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
    let problem = |what: String, remedy: String| {
        Some(TagProblem { file: t.file.clone(), id: t.info.id.clone(), field, what, remedy })
    };
    let df = match plan(ctx, &sql).await {
        Ok(df) => df,
        Err(e) => return problem(e.strip_backtrace(), "correct it".to_owned()),
    };
    let found = df.schema().field(1).data_type().clone();
    let want = tag_arrow(&t.info.ty);
    if matches!(t.info.ty, TagType::Money(_)) && found.is_floating() {
        return problem("it is a binary fraction, and money is exact".to_owned(), "cast to decimal(18, 6)".to_owned());
    }
    let fits = found == DataType::Null || can_cast_types(&found, &want);
    if !fits || (want == DataType::Boolean && !matches!(found, DataType::Boolean | DataType::Null)) {
        let what = format!("it gives {found}, the type is {}", t.info.ty.name());
        return problem(what, "change the type or cast the value".to_owned());
    }
    None
}
