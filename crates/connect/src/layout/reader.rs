//! A file by its layout: chunks of mapped rows, and every row that was not mapped with its reason.

use super::{
    map::{Builder, Mapper, ReadOptions},
    records::{Next, ReadError, Records, Wanted},
    reject::{Flaw, Reject},
    source::Packing,
    spec::{Layout, Origin},
};
use kairos_model::table::Batch;
use std::{fs::File, io::Read, path::Path};

/// Rows of a file in order.
pub struct Chunk {
    pub batch: Batch,
    /// Hash of each row's key, in the order of the batch's rows.
    pub keys: Vec<u128>,
    pub rejects: Vec<Reject>,
    /// Rows read in this chunk = rows of the batch + rejects.
    pub read: u64,
    /// Bytes of the file taken from the disk so far, for a progress bar.
    pub bytes_read: u64,
}

impl std::fmt::Debug for Chunk {
    /// Counts only: the batch holds keys and secrets in clear.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { batch, rejects, read, bytes_read, .. } = self;
        write!(f, "Chunk {{ read {read}, rows {}, rejects {}, bytes {bytes_read} }}", batch.rows(), rejects.len())
    }
}

/// Reads one file. Iterate it; after the last chunk [`Reader::content_hash`] is known.
pub struct Reader {
    records: Records,
    mapper: Mapper,
    options: ReadOptions,
    finished: bool,
}

impl Reader {
    /// Opens a text file, reads its header and binds the layout to it.
    pub fn open(path: impl AsRef<Path>, layout: &Layout, options: &ReadOptions) -> Result<Self, ReadError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|cause| ReadError::Open { path: path.to_path_buf(), cause })?;
        Self::from_read(Box::new(file), path, layout, options)
    }

    /// The same over any bytes; `path` is only named in messages.
    pub fn from_read(
        bytes: Box<dyn Read + Send>,
        path: &Path,
        layout: &Layout,
        options: &ReadOptions,
    ) -> Result<Self, ReadError> {
        let mut records = Records::open(bytes, path, &layout.id, &layout.file)?;
        let wanted = Wanted {
            names: layout.names_read().collect(),
            positions: layout.columns.iter().any(|c| matches!(c.source, Origin::Position(_))),
        };
        let bind = |layout: &Layout, header: Option<&[String]>, records: &Records| {
            let names = header.map(|h| h.iter().map(String::as_str).collect::<Vec<_>>());
            Mapper::new(layout, names.as_deref(), options).map_err(|misfit| records.misfit(misfit, &wanted))
        };
        let mapper = if layout.file.header {
            match records.read_header()? {
                Some(names) => bind(layout, Some(&names), &records)?,
                // an empty file has no header to bind to: an unbound mapper will not see a row
                None => bind(&Layout { columns: Vec::new(), key: Vec::new(), ..layout.clone() }, None, &records)?,
            }
        } else {
            let mapper = bind(layout, layout.file.names.as_deref(), &records)?;
            records.width = layout.file.width(layout.position_max());
            records.check_first_row()?;
            mapper
        };
        Ok(Self { records, mapper, options: options.clone(), finished: false })
    }

    /// BLAKE3 of the file's raw bytes, once the last chunk was taken.
    pub fn content_hash(&self) -> Option<[u8; 32]> {
        self.records.content_hash().filter(|_| self.finished)
    }

    /// How the file is packed.
    pub fn packing(&self) -> Packing {
        self.records.packing
    }

    fn chunk(&mut self) -> Result<Option<Chunk>, ReadError> {
        let Self { records, mapper, .. } = self;
        let (rows_max, bytes_max) = self.options.limits();
        let mut builder = mapper.builder(rows_max.min(65_536));
        let mut rejects = Vec::new();
        let (mut read, mut bytes) = (0u64, 0);
        while (read as usize) < rows_max && bytes < bytes_max {
            match records.next_record()? {
                Next::End => break,
                Next::Flawed(row, reason, raw) => {
                    bytes += raw.len();
                    rejects.push(records.flawed(row, reason, &raw));
                }
                Next::Record(len) => {
                    if let Err(flaw) = map(records, mapper, &mut builder, len) {
                        rejects.push(records.reject(len, flaw));
                    }
                    bytes += len;
                    records.step_over(len);
                }
            }
            read += 1;
        }
        records.counted(read, &rejects)?;
        if read == 0 {
            return Ok(None);
        }
        let (batch, keys) = builder.finish();
        Ok(Some(Chunk { batch, keys, rejects, read, bytes_read: records.bytes_read() }))
    }
}

fn map(records: &Records, mapper: &mut Mapper, into: &mut Builder, len: usize) -> Result<(), Flaw> {
    mapper.map_cells(into, records.line(), &records.record(len)?)
}

impl Iterator for Reader {
    type Item = Result<Chunk, ReadError>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let chunk = self.chunk().transpose();
        self.finished = !matches!(chunk, Some(Ok(_)));
        chunk
    }
}
