//! A record file by its event layout: batches of decoded events, and what became of every other record.

use super::{
    event_map::EventMapper,
    event_spec::EventLayout,
    records::{Next, ReadError, Records, Wanted},
    reject::{Flaw, RejectReason},
    source::Packing,
    spec::Origin,
};
use crate::event::EventBatch;
use kairos_model::{Currency, NumberPlan, SourceId};
use std::{io::Read, path::Path, sync::Arc};

/// What reading events needs besides the layout.
#[derive(Clone)]
pub struct EventOptions {
    pub source: SourceId,
    /// Decides what is a number and what a short code.
    pub plan: Arc<NumberPlan>,
    /// The tenant's: a layout with amounts in another one is refused.
    pub currency: Currency,
    /// Keys the hashes of ids ([`crate::event::event_key`]).
    pub secret: [u8; 16],
    /// Records of one batch at most, 1 … 65,536: what is decoded and not yet committed is held in memory.
    pub batch_records: usize,
}

impl EventOptions {
    pub fn new(source: SourceId, plan: Arc<NumberPlan>, currency: Currency, secret: [u8; 16]) -> Self {
        Self { source, plan, currency, secret, batch_records: 4_096 }
    }
}

/// Bytes of records in one batch at most: bounds memory whatever the rows' length.
const BATCH_BYTES: usize = 8 << 20;

/// Reads one file. Iterate it. The n-th record (from 0) has the offset `base + n`.
pub struct EventReader {
    records: Records,
    mapper: EventMapper,
    options: EventOptions,
    /// Offset of the record at the front.
    offset: u64,
    /// Records before it were taken in already: they are read for their ids only.
    from: u64,
    finished: bool,
    /// Told after the batch that stood before it.
    failed: Option<ReadError>,
    /// Records read, and how many of them had another number of fields.
    read: u64,
    misshapen: u64,
}

/// So many records must have another number of fields, and the greater part, before the file is said not to fit; some
/// short rows of a good file are quarantined like any other.
const MISSHAPEN_MIN: u64 = 10;

impl EventReader {
    /// Opens a record file over any bytes and binds the layout to it. Batches begin with the record at offset `from`.
    /// `path` is only named in messages.
    pub fn from_read(
        bytes: Box<dyn Read + Send>,
        path: &Path,
        layout: &Arc<EventLayout>,
        options: &EventOptions,
        base: u64,
        from: u64,
    ) -> Result<Self, ReadError> {
        let mut records = Records::open(bytes, path, &layout.id, &layout.file)?;
        let wanted = Wanted {
            names: layout.names_read().collect(),
            positions: layout.columns.iter().any(|c| matches!(c, Origin::Position(_))),
        };
        let bind = |layout: Arc<EventLayout>, header: Option<&[String]>, records: &Records| {
            let names = header.map(|h| h.iter().map(String::as_str).collect::<Vec<_>>());
            EventMapper::new(layout, names.as_deref(), options).map_err(|misfit| records.misfit(misfit, &wanted))
        };
        let mapper = if layout.file.header {
            match records.read_header()? {
                Some(names) => bind(layout.clone(), Some(&names), &records)?,
                // an empty file has no header to bind to, and no record that would miss it
                None => bind(Arc::new(EventLayout { columns: Vec::new(), ..(**layout).clone() }), None, &records)?,
            }
        } else {
            records.width = layout.file.width(layout.position_max());
            records.check_first_row()?;
            bind(layout.clone(), layout.file.names.as_deref(), &records)?
        };
        let from = from.max(base);
        Ok(Self {
            records,
            mapper,
            options: options.clone(),
            offset: base,
            from,
            finished: false,
            failed: None,
            read: 0,
            misshapen: 0,
        })
    }

    /// How the file is packed.
    pub fn packing(&self) -> Packing {
        self.records.packing
    }

    /// Offset behind the last record that was read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next batch; `None` at the end.
    fn batch(&mut self) -> Result<Option<EventBatch>, ReadError> {
        let most = self.options.batch_records.clamp(1, 65_536) as u64;
        while self.offset < self.from {
            // what was taken in before is read again, so that its ids are known and the place is right
            let most = most.min(self.from - self.offset);
            if self.read(most)?.is_none() {
                return Ok(None);
            }
        }
        self.read(most)
    }

    /// What stands before a damage is given out first: it was read and is sound.
    fn read(&mut self, most: u64) -> Result<Option<EventBatch>, ReadError> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        let Self { records, mapper, offset, .. } = self;
        let mut batch =
            EventBatch { source: self.options.source, first: *offset, next: *offset, ..EventBatch::default() };
        let mut bytes = 0;
        while batch.read() < most && bytes < BATCH_BYTES {
            let next = match records.next_record() {
                Ok(next) => next,
                Err(failed) => {
                    self.failed = Some(failed);
                    break;
                }
            };
            match next {
                Next::End => break,
                Next::Flawed(row, reason, raw) => {
                    bytes += raw.len();
                    batch.rejects.push(records.flawed(row, reason, &raw));
                }
                Next::Record(len) => {
                    if let Err(flaw) = map(records, mapper, batch.next, &mut batch, len) {
                        batch.rejects.push(records.reject(len, flaw));
                    }
                    bytes += len;
                    records.step_over(len);
                }
            }
            batch.next += 1;
        }
        *offset = batch.next;
        let counted = records.counted(batch.read(), &batch.rejects);
        if let Err(failed) = counted.and_then(|()| self.shape(&batch)) {
            self.failed.get_or_insert(failed);
        }
        match self.failed.take() {
            Some(failed) if batch.read() == 0 => Err(failed),
            failed => {
                self.failed = failed;
                Ok((batch.read() > 0).then_some(batch))
            }
        }
    }
}

fn map(
    records: &Records,
    mapper: &mut EventMapper,
    offset: u64,
    batch: &mut EventBatch,
    len: usize,
) -> Result<(), Flaw> {
    mapper.map(&records.record(len)?, offset, batch)
}

impl EventReader {
    /// Whether the records have the layout's fields, by and large.
    fn shape(&mut self, batch: &EventBatch) -> Result<(), ReadError> {
        let mut counts = batch.rejects.iter().filter_map(|r| match r.reason {
            RejectReason::FieldCount { found, expected } => Some((found, expected)),
            _ => None,
        });
        self.read += batch.read();
        self.misshapen += counts.clone().count() as u64;
        match counts.next_back() {
            Some((found, expected)) if self.misshapen >= MISSHAPEN_MIN && self.misshapen * 2 > self.read => {
                let (path, layout) = (self.records.path.clone(), self.records.layout.clone());
                Err(ReadError::Shape { path, layout, rows: self.misshapen, of: self.read, expected, found })
            }
            _ => Ok(()),
        }
    }
}

impl Iterator for EventReader {
    type Item = Result<EventBatch, ReadError>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let batch = self.batch().transpose();
        self.finished = !matches!(batch, Some(Ok(_)));
        batch
    }
}
