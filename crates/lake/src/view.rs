//! Tables as of a time.

use crate::{
    error::{LakeError, Result},
    import::{AS_OF, KEY_HIGH, KEY_LOW, SEQ},
    lake::{Inner, Lake},
    manifest::{DataFile, Manifest, Mode, TableState},
    schema,
    tags::SnapshotTable,
    udf,
};
use datafusion::{
    arrow::datatypes::{DataType, Field, Schema, SchemaRef},
    catalog::{MemTable, TableProvider},
    datasource::{
        file_format::parquet::ParquetFormat,
        listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl},
    },
    prelude::{DataFrame, SessionConfig, SessionContext},
};
use kairos_model::{Timestamp, table::TableDef};
use std::{path::Path, sync::Arc};

impl Lake {
    /// A context whose tables show what was known at `as_of`: every canonical table and the lake's own, empty ones too.
    ///
    /// - append: rows whose time is at or before `as_of`; later moments in other time columns (an end, a payment) are
    ///   NULL, since they had not happened;
    /// - upsert: of each key the latest version whose `_as_of` is at or before;
    /// - snapshot: of each layout the latest state at or before.
    ///
    /// Columns that only some files have are NULL in the others. `tags` is the latest snapshot at or before `as_of`.
    pub async fn context(&self, as_of: Timestamp) -> Result<SessionContext> {
        let manifest = self.inner.manifest();
        let ctx = self.inner.tables(&manifest, as_of).await?;
        if let Some(snapshot) = self.inner.latest_snapshot(as_of)? {
            let table = SnapshotTable::new(self.inner.clone(), snapshot);
            ctx.register_table("tags", Arc::new(table)).map_err(LakeError::query("show table `tags`"))?;
        }
        Ok(ctx)
    }
}

impl Inner {
    /// The tables as of a time, without `tags`.
    pub async fn tables(&self, manifest: &Manifest, as_of: Timestamp) -> Result<SessionContext> {
        let ctx = self.session(as_of);
        for def in schema::tables() {
            let view = self.view(&ctx, manifest, def, as_of)?;
            ctx.register_table(def.name, view).map_err(LakeError::query(format!("show table `{}`", def.name)))?;
        }
        Ok(ctx)
    }

    /// A context without tables.
    pub fn session(&self, as_of: Timestamp) -> SessionContext {
        let mut config = SessionConfig::new()
            .with_target_partitions(self.options.target_partitions.max(1))
            .with_information_schema(true)
            .with_collect_statistics(false)
            .with_default_catalog_and_schema("kairos", "lake");
        let options = config.options_mut();
        options.execution.parquet.pushdown_filters = false;
        options.sql_parser.default_null_ordering = "nulls_last".to_owned();
        let ctx = SessionContext::new_with_config_rt(config, self.runtime.clone());
        for f in udf::functions(as_of, &self.zone) {
            ctx.register_udf(f);
        }
        ctx
    }

    fn view(
        &self,
        ctx: &SessionContext,
        m: &Manifest,
        def: &TableDef,
        as_of: Timestamp,
    ) -> Result<Arc<dyn TableProvider>> {
        let none = TableState::default();
        let state = m.table(def.name).unwrap_or(&none);
        let schema = reading(&schema::view_schema(def, &state.extra));
        let mut parts: Vec<DataFrame> = Vec::new();
        for mode in [Mode::Append, Mode::Upsert, Mode::Snapshot] {
            let files = visible(state, mode, def, as_of);
            if !files.is_empty() {
                parts.push(self.part(ctx, def, &schema, &files, state, as_of)?);
            }
        }
        let failed = || LakeError::query(format!("show table `{}`", def.name));
        let mut parts = parts.into_iter();
        let Some(first) = parts.next() else {
            return Ok(Arc::new(MemTable::try_new(schema, vec![vec![]]).map_err(failed())?));
        };
        let all = parts.try_fold(first, |a, b| a.union(b)).map_err(failed())?;
        Ok(all.into_view())
    }

    fn part(
        &self,
        ctx: &SessionContext,
        def: &TableDef,
        schema: &SchemaRef,
        files: &[&DataFile],
        state: &TableState,
        as_of: Timestamp,
    ) -> Result<DataFrame> {
        use datafusion::prelude::{ident, lit, when};
        let failed = || LakeError::query(format!("read table `{}`", def.name));
        let mode = files[0].mode;
        let versions = mode == Mode::Upsert && state.versions;
        let table = self.listing(&with_hidden(schema, versions), files)?;
        let mut df = ctx.read_table(table).map_err(failed())?;
        let now = || lit(datafusion::common::ScalarValue::TimestampMicrosecond(Some(as_of.0), Some("+00:00".into())));
        if versions {
            df = latest(df).map_err(failed())?;
        }
        if let Some(time) = def.time
            && files.iter().any(|f| f.last.is_some_and(|l| l > as_of.0))
        {
            df = df.filter(ident(time).lt_eq(now())).map_err(failed())?;
        }
        let later = mode == Mode::Append && files.iter().any(|f| f.last_moment.is_some_and(|l| l > as_of.0));
        let mut columns = Vec::new();
        for f in schema.fields() {
            let is_time = f.data_type() == &schema::time_type() && def.time != Some(f.name().as_str());
            columns.push(if later && is_time {
                let known = when(ident(f.name()).lt_eq(now()), ident(f.name())).end().map_err(failed())?;
                known.alias(f.name())
            } else {
                ident(f.name())
            });
        }
        df.select(columns).map_err(failed())
    }

    /// Files as one table of the given schema.
    fn listing(&self, schema: &SchemaRef, files: &[&DataFile]) -> Result<Arc<dyn TableProvider>> {
        let failed = || LakeError::query("open the files of a table");
        let urls = files.iter().map(|f| url(&self.dir.join(&f.path))).collect::<Result<Vec<_>>>()?;
        let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
        let config =
            ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema.clone());
        Ok(Arc::new(ListingTable::try_new(config).map_err(failed())?))
    }
}

/// The files of a mode that a reader at `as_of` may see something of.
pub(crate) fn visible<'a>(state: &'a TableState, mode: Mode, def: &TableDef, as_of: Timestamp) -> Vec<&'a DataFile> {
    let of_mode = state.files.iter().filter(|f| f.mode == mode);
    match mode {
        Mode::Append if def.time.is_some() => of_mode.filter(|f| f.first.is_some_and(|t| t <= as_of.0)).collect(),
        Mode::Append | Mode::Upsert => of_mode.filter(|f| f.as_of <= as_of.0).collect(),
        Mode::Snapshot => {
            let mut latest: std::collections::BTreeMap<&str, &DataFile> = Default::default();
            for f in of_mode.filter(|f| f.as_of <= as_of.0) {
                let best = latest.entry(&f.layout).or_insert(f);
                if (f.as_of, f.seq) > (best.as_of, best.seq) {
                    *best = f;
                }
            }
            latest.into_values().collect()
        }
    }
}

/// The table's schema as it is read: text as views, which compare without touching the heap.
fn reading(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|f| match f.data_type() {
        DataType::Utf8 => Arc::new(f.as_ref().clone().with_data_type(DataType::Utf8View)),
        _ => f.clone(),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn with_hidden(schema: &SchemaRef, versions: bool) -> SchemaRef {
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
    if versions {
        for (name, ty) in [
            (KEY_HIGH, DataType::UInt64),
            (KEY_LOW, DataType::UInt64),
            (AS_OF, schema::time_type()),
            (SEQ, DataType::Int64),
        ] {
            fields.push(Arc::new(Field::new(name, ty, true)));
        }
    }
    Arc::new(Schema::new(fields))
}

/// Of each key the latest version; the files are those of the time asked for.
fn latest(df: DataFrame) -> datafusion::error::Result<DataFrame> {
    use datafusion::{
        functions_window::expr_fn::row_number,
        logical_expr::ExprFunctionExt,
        prelude::{ident, lit},
    };
    let order = vec![ident(AS_OF).sort(false, false), ident(SEQ).sort(false, false)];
    let number =
        row_number().partition_by(vec![ident(KEY_HIGH), ident(KEY_LOW)]).order_by(order).build()?.alias("_row");
    df.window(vec![number])?.filter(ident("_row").eq(lit(1u64)))
}

/// A file's address with everything but plain characters escaped, so that no part of a path reads as a pattern.
fn url(path: &Path) -> Result<ListingTableUrl> {
    use std::os::unix::ffi::OsStrExt;
    let mut text = String::from("file://");
    for &b in path.as_os_str().as_bytes() {
        if b.is_ascii_alphanumeric() || b"/._-".contains(&b) {
            text.push(b as char);
        } else {
            text.push_str(&format!("%{b:02X}"));
        }
    }
    ListingTableUrl::parse(&text).map_err(LakeError::query(format!("open `{}`", path.display())))
}
