//! Parquet out: zstd level 1, hashed while written, synced before it is named.

use crate::error::{LakeError, Result};
use datafusion::arrow::{
    array::RecordBatch,
    datatypes::{DataType, SchemaRef},
};
use kairos_model::TenantId;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding, ZstdLevel},
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
};

/// Rows of a row group: enough groups for two cores to share a month of usage, few enough to prune quickly.
const ROW_GROUP: usize = 262_144;
/// Format of the Parquet files, in their key-value metadata.
const VERSION: &str = "1";

/// Hashes what passes through.
struct Hashing {
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, b: &[u8]) -> io::Result<usize> {
        let n = self.file.write(b)?;
        self.hasher.update(&b[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A Parquet file being written. Dropped without `finish`, its file is an orphan: the owner removes it.
pub(crate) struct ParquetOut {
    path: PathBuf,
    writer: ArrowWriter<Hashing>,
    rows: u64,
}

/// What a finished file is.
pub(crate) struct Written {
    pub blake3: String,
    pub bytes: u64,
    pub rows: u64,
}

fn properties(schema: &SchemaRef, tenant: TenantId) -> Result<WriterProperties, parquet::errors::ParquetError> {
    let own = [("kairos.format", VERSION.to_owned()), ("kairos.tenant", tenant.0.to_string())];
    let mut p = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_key_value_metadata(Some(own.map(|(k, v)| KeyValue::new(k.to_owned(), v)).to_vec()));
    for f in schema.fields() {
        // a dictionary pays for words; for numbers it costs a hash a value and saves nothing after zstd
        let words = matches!(f.data_type(), DataType::Utf8 | DataType::List(_));
        let path = if matches!(f.data_type(), DataType::List(_)) {
            ColumnPath::new(vec![f.name().clone(), "list".to_owned(), "item".to_owned()])
        } else {
            ColumnPath::new(vec![f.name().clone()])
        };
        p = p.set_column_dictionary_enabled(path.clone(), words);
        if !words && *f.data_type() != DataType::Boolean {
            p = p.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
    }
    Ok(p.build())
}

impl ParquetOut {
    pub fn create(path: PathBuf, schema: &SchemaRef, tenant: TenantId) -> Result<Self> {
        let file = File::create(&path).map_err(LakeError::io("create", &path))?;
        let out = Hashing { file: BufWriter::with_capacity(1 << 20, file), hasher: blake3::Hasher::new(), bytes: 0 };
        let writer = properties(schema, tenant)
            .and_then(|p| ArrowWriter::try_new(out, schema.clone(), Some(p)))
            .map_err(LakeError::parquet("begin", &path))?;
        Ok(Self { path, writer, rows: 0 })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).map_err(LakeError::parquet("write", &self.path))
    }

    /// Ends the file and makes it durable.
    pub fn finish(self) -> Result<Written> {
        let Self { path, writer, rows } = self;
        let out = writer.into_inner().map_err(LakeError::parquet("end", &path))?;
        let file = out.file.into_inner().map_err(|e| LakeError::io("write", &path)(e.into_error()))?;
        file.sync_all().map_err(LakeError::io("sync", &path))?;
        Ok(Written { blake3: out.hasher.finalize().to_hex().to_string(), bytes: out.bytes, rows })
    }
}
