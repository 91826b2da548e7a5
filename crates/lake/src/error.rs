//! What can go wrong in the lake, said with the attempt and the remedy.

use std::{io, path::PathBuf};

/// An attempt on the lake that failed; nothing of it is visible to readers.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    #[error("cannot {doing} `{path}`")]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("`{path}` has format {found}, newer than {known} which this program reads; use the newer program")]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("`{path}` is damaged: {what}; restore it from a backup")]
    Damaged { path: PathBuf, what: String },
    #[error("`{path}` belongs to {found}, not to {wanted}; give the data directory of {wanted}")]
    OtherTenant { path: PathBuf, found: String, wanted: String },
    #[error("unknown table `{name}`; one of {known}")]
    UnknownTable { name: String, known: String },
    #[error(
        "column `{column}` of table `{table}` is {have}, not {given}; give the layout's column another name or type"
    )]
    ColumnType { table: String, column: String, have: String, given: String },
    #[error("a batch for table `{table}` is malformed: {what}; every column needs one value and one flag a row")]
    Batch { table: String, what: String },
    #[error("file name `{name}` has a folder in it; give its last part only")]
    FileName { name: String },
    #[error("`{file}` with layout `{layout}` is already in the lake; nothing is to be done")]
    AlreadyImported { file: String, layout: String },
    #[error(
        "table `{table}` stream `{stream}` stands at position {have}, the rows begin after {given}; send from {have}"
    )]
    Position { table: String, stream: String, have: u64, given: u64 },
    #[error("cannot {doing} `{path}`")]
    Parquet {
        doing: &'static str,
        path: PathBuf,
        #[source]
        cause: Box<parquet::errors::ParquetError>,
    },
    #[error("cannot {doing}")]
    Query {
        doing: String,
        #[source]
        cause: Box<datafusion::error::DataFusionError>,
    },
    #[error("only reading is allowed here: {what}")]
    ReadOnly { what: String },
    #[error("the query ran longer than {seconds} s; narrow it or raise the limit")]
    TooLong { seconds: u64 },
    #[error("there is no snapshot {id}; list them with `kairos tag list`")]
    UnknownSnapshot { id: String },
    #[error("snapshot {snapshot} has no tag `{tag}`; compute the tags again")]
    UnknownTag { snapshot: String, tag: String },
    #[error("the tags cannot be computed:\n{0}")]
    Tags(#[source] crate::tags::TagProblems),
    #[error("{what}")]
    Limit { what: String },
}

pub type Result<T, E = LakeError> = std::result::Result<T, E>;

impl LakeError {
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Io { doing, path, cause }
    }
    pub(crate) fn parquet(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(parquet::errors::ParquetError) -> Self {
        let path = path.into();
        move |cause| Self::Parquet { doing, path, cause: Box::new(cause) }
    }
    pub(crate) fn query(doing: impl Into<String>) -> impl FnOnce(datafusion::error::DataFusionError) -> Self {
        let doing = doing.into();
        move |cause| Self::Query { doing, cause: Box::new(cause) }
    }
    pub(crate) fn arrow(doing: impl Into<String>) -> impl FnOnce(datafusion::arrow::error::ArrowError) -> Self {
        let doing = doing.into();
        move |cause| Self::Query { doing, cause: Box::new(cause.into()) }
    }
    pub(crate) fn damaged(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.into(), what: what.into() }
    }
}
