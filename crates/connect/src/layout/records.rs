//! Records of a text file, whatever becomes of their cells: opened, unpacked, decoded, cut, counted, and the errors that
//! concern the file as a whole.

use super::map::Misfit;
use super::{
    map::Cells,
    reject::{Flaw, RAW_MAX, Reject, RejectReason},
    source::{self, NotText, Packing, Raw, Source},
    spec::{Encoding, FileFormat, FileSpec},
    split::{Cut, Fields, Splitter, find, plain_split},
};
use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Why a file cannot be read, or not to its end. An import keeps nothing of it, since a later chunk may fail though earlier
/// ones did not; a source has taken in what stood before.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot open `{path}`")]
    Open {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot read `{path}` behind byte {at}")]
    Read {
        path: PathBuf,
        at: u64,
        #[source]
        cause: io::Error,
    },
    #[error("`{path}` is a broken {packing} file: it ends early or is damaged behind byte {at}; fetch it again")]
    Packed {
        path: PathBuf,
        packing: &'static str,
        at: u64,
        #[source]
        cause: io::Error,
    },
    #[error("`{path}` is {what}; {remedy}")]
    NotText { path: PathBuf, what: &'static str, remedy: &'static str },
    #[error("layout `{layout}` does not fit `{path}`: {misfit}")]
    Misfit {
        path: PathBuf,
        layout: String,
        #[source]
        misfit: Misfit,
    },
    #[error(
        "`{path}` is not delimited by {given:?} but, it seems, by {likely:?}: set delimiter = {likely:?} in [file] of layout `{layout}`"
    )]
    Delimiter { path: PathBuf, layout: String, given: String, likely: String },
    #[error("`{path}` is not {encoding}: {detail}; set `encoding` in [file] of layout `{layout}`{remedy}")]
    Encoding { path: PathBuf, layout: String, encoding: &'static str, detail: String, remedy: String },
    #[error("the header of `{path}` is {what}; {remedy}")]
    Header { path: PathBuf, what: String, remedy: &'static str },
    #[error(
        "{rows} of the first {of} records of `{path}` do not have the {expected} fields of layout `{layout}`, the last of them has {found}: is it the layout of these files, and `names` and `fields` in [file] those of this vendor?"
    )]
    Shape { path: PathBuf, layout: String, rows: u64, of: u64, expected: usize, found: usize },
    #[error("layout `{layout}` is for Parquet files, which the lake reads; `{path}` was opened as text")]
    Parquet { path: PathBuf, layout: String },
}

/// So many rows must be undecodable, and the greater part, before the file as a whole is called wrongly encoded; a few bad
/// rows of a small file are quarantined like any other.
const UNDECODABLE_MIN: u64 = 10;
/// What the disk is asked for at once.
const BLOCK: usize = 256 * 1024;
/// Delimiters looked for when the layout's does not fit.
const DELIMITERS: &[&str] = &["|@|", "||", "^|^", "@@", ",", "\t", ";", "|", "^", "~", "\u{1}", "，", " "];

/// The records of one file, one after the other.
pub(crate) struct Records {
    pub path: PathBuf,
    pub layout: String,
    pub file: FileSpec,
    pub packing: Packing,
    source: Source,
    /// Bytes not yet cut begin at `at`.
    buffer: Vec<u8>,
    at: usize,
    eof: bool,
    splitter: Splitter,
    fields: Fields,
    /// The header's bytes as they stand in the file.
    header: Vec<u8>,
    /// Fields that each record must have: exactly, or at least.
    pub width: (usize, bool),
    /// 1-based line at which the next record begins.
    line: u64,
    read: u64,
    undecodable: u64,
    /// A first record that was looked at and is behind us.
    pending: Option<Next>,
}

/// What the next record turned out to be.
pub(crate) enum Next {
    /// `len` bytes at the front.
    Record(usize),
    /// A record that could not be cut, by its row; its place is already behind us.
    Flawed(u64, RejectReason, Vec<u8>),
    End,
}

/// The cells of the record at the front.
pub(crate) struct Record<'a> {
    text: &'a str,
    ranges: &'a [(u32, u32)],
}

impl Cells for Record<'_> {
    #[inline]
    fn cell(&self, i: usize) -> Option<&str> {
        let &(from, to) = self.ranges.get(i)?;
        self.text.get(from as usize..to as usize)
    }
}

/// What a layout reads, for the search of a better delimiter.
pub(crate) struct Wanted<'a> {
    pub names: Vec<&'a str>,
    pub positions: bool,
}

impl Records {
    /// Opens `bytes`, looks at their packing and skips a byte-order mark. `path` is only named in messages.
    pub fn open(bytes: Box<dyn Read + Send>, path: &Path, layout: &str, file: &FileSpec) -> Result<Self, ReadError> {
        if file.format == FileFormat::Parquet {
            return Err(ReadError::Parquet { path: path.to_path_buf(), layout: layout.to_owned() });
        }
        let source = Source::new(Raw::new(bytes), file.encoding);
        let opened = source.map_err(|cause| ReadError::Read { path: path.to_path_buf(), at: 0, cause })?;
        let (source, packing) = opened.map_err(|what| not_text(path, what))?;
        let mut records = Self {
            path: path.to_path_buf(),
            layout: layout.to_owned(),
            file: file.clone(),
            packing,
            source,
            buffer: Vec::with_capacity(2 * BLOCK),
            at: 0,
            eof: false,
            splitter: Splitter::new(&file.delimiter, file.quote),
            fields: Fields::default(),
            header: Vec::new(),
            width: (0, false),
            line: 1,
            read: 0,
            undecodable: 0,
            pending: None,
        };
        records.skip_bom()?;
        Ok(records)
    }

    /// BLAKE3 of the file's raw bytes, once the end was seen.
    pub fn content_hash(&self) -> Option<[u8; 32]> {
        self.source.content_hash()
    }
    pub fn bytes_read(&self) -> u64 {
        self.source.bytes_read()
    }
    /// 1-based line of the record at the front.
    pub fn line(&self) -> u64 {
        self.line
    }

    fn fail(&self, cause: io::Error) -> ReadError {
        let (path, at) = (self.path.clone(), self.source.bytes_read());
        match self.packing {
            Packing::Gzip => ReadError::Packed { path, packing: "gzip", at, cause },
            Packing::Zstd => ReadError::Packed { path, packing: "zstd", at, cause },
            Packing::None => ReadError::Read { path, at, cause },
        }
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Moves what is not yet cut to the front and reads on: at least a block, or as much again as is held, so that the
    /// work for one long record stays linear.
    fn fill(&mut self) -> Result<(), ReadError> {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        let want = BLOCK.max(self.buffer.len());
        match self.source.fill(&mut self.buffer, want) {
            Ok(n) => self.eof = n == 0,
            Err(cause) => return Err(self.fail(cause)),
        }
        Ok(())
    }

    fn skip_bom(&mut self) -> Result<(), ReadError> {
        while !self.eof && self.buffer.len() < 8 {
            self.fill()?;
        }
        let utf8_bom_read_as_gbk = [0xe9, 0x94, 0x98]; // EF BB is U+9518 in GBK
        if self.file.encoding != Encoding::Utf8 && self.buffer.starts_with(&utf8_bom_read_as_gbk) {
            return Err(ReadError::Encoding {
                path: self.path.clone(),
                layout: self.layout.clone(),
                encoding: self.file.encoding.name(),
                detail: "it begins with the mark of UTF-8".to_owned(),
                remedy: " to \"utf-8\"".to_owned(),
            });
        }
        if self.buffer.starts_with("\u{feff}".as_bytes()) {
            self.at = 3;
        }
        Ok(())
    }

    /// The next record's place and fields.
    pub fn next_record(&mut self) -> Result<Next, ReadError> {
        if let Some(pending) = self.pending.take() {
            return Ok(pending);
        }
        loop {
            let line_max = self.file.line_max;
            let cut = self.splitter.cut(&self.buffer[self.at..], self.eof, &mut self.fields);
            match cut {
                Cut::Record { len } if len <= line_max + 2 => return Ok(Next::Record(len)),
                Cut::Blank { len } => {
                    self.at += len;
                    self.line += 1;
                }
                Cut::End => return Ok(Next::End),
                Cut::More if self.rest().len() <= line_max + 2 => self.fill()?,
                Cut::Unclosed | Cut::More | Cut::Record { .. } => return self.first_line(),
            }
        }
    }

    /// Gives up a record that is too long or whose quote does not close: only its first line is lost, the next one is
    /// read as if nothing had been. Holds at most a block of an endless line.
    fn first_line(&mut self) -> Result<Next, ReadError> {
        let (in_quotes, row) = (self.fields.quoted, self.line);
        let mut kept = Vec::new();
        let mut length = 0;
        let ended = loop {
            let rest = self.rest();
            let end = find(rest, b'\n');
            let piece = &rest[..end.unwrap_or(rest.len())];
            kept.extend_from_slice(&piece[..piece.len().min(RAW_MAX - kept.len())]);
            length += piece.len();
            self.at += piece.len();
            if end.is_some() || self.eof {
                break end.is_some();
            }
            self.fill()?;
        };
        self.at += usize::from(ended);
        self.line += u64::from(ended);
        let max = self.file.line_max;
        let reason = match in_quotes && length <= max {
            true => RejectReason::UnclosedQuote,
            false => RejectReason::LineTooLong { max },
        };
        Ok(Next::Flawed(row, reason, kept))
    }

    /// The names in the header; `None` in an empty file.
    pub fn read_header(&mut self) -> Result<Option<Vec<String>>, ReadError> {
        let len = match self.next_record()? {
            Next::End => return Ok(None),
            Next::Record(len) => len,
            Next::Flawed(_, reason, _) => {
                return Err(ReadError::Header {
                    path: self.path.clone(),
                    what: reason.to_string(),
                    remedy: "is it a text file with a header, and is `quote` right?",
                });
            }
        };
        let raw = self.buffer[self.at..self.at + len].to_vec();
        let base = if self.fields.quoted { &self.fields.scratch } else { &raw };
        let Ok(text) = std::str::from_utf8(base) else {
            return Err(self.wrong_encoding("the header cannot be decoded".to_owned(), &raw));
        };
        if text.trim_end().contains(['\r', '\0']) && !self.fields.quoted {
            return Err(ReadError::Header {
                path: self.path.clone(),
                what: "broken by zero bytes or bare carriage returns".to_owned(),
                remedy: "convert the file to UTF-8 text with line feeds",
            });
        }
        let cell = |&(a, b): &(u32, u32)| text.get(a as usize..b as usize).unwrap_or_default().trim().to_owned();
        let names: Vec<String> = self.fields.ranges.iter().map(cell).collect();
        self.width = (names.len(), true);
        self.header = trim_line_end(&raw).to_vec();
        self.step_over(len);
        Ok(Some(names))
    }

    /// Why the layout does not fit the header that was read: perhaps the delimiter is wrong.
    pub fn misfit(&self, misfit: Misfit, wanted: &Wanted<'_>) -> ReadError {
        let (path, layout) = (self.path.clone(), self.layout.clone());
        let header = String::from_utf8_lossy(&self.header);
        match likely_delimiter(&self.file.delimiter, wanted, &header, &misfit) {
            Some(likely) => {
                let given = self.file.delimiter.clone();
                ReadError::Delimiter { path, layout, given, likely: likely.to_owned() }
            }
            None => ReadError::Misfit { path, layout, misfit },
        }
    }

    /// Without header a wrong delimiter shows as a first row of one field in a block that holds no delimiter at all.
    pub fn check_first_row(&mut self) -> Result<(), ReadError> {
        let len = match self.next_record()? {
            Next::Record(len) => len,
            flawed => {
                self.pending = Some(flawed);
                return Ok(());
            }
        };
        let record = &self.buffer[self.at..self.at + len];
        let (wanted, found) = (self.width.0, self.fields.ranges.len());
        let delimiter = self.file.delimiter.as_bytes();
        if found > 1 || wanted < 2 || self.rest().windows(delimiter.len()).any(|w| w == delimiter) {
            return Ok(());
        }
        let text = String::from_utf8_lossy(record);
        let fits = |d: &&&str| plain_split(text.trim_end(), d).len() >= wanted;
        match DELIMITERS.iter().find(fits) {
            Some(likely) => Err(ReadError::Delimiter {
                path: self.path.clone(),
                layout: self.layout.clone(),
                given: self.file.delimiter.clone(),
                likely: (*likely).to_owned(),
            }),
            None => Ok(()),
        }
    }

    pub fn step_over(&mut self, len: usize) {
        let newlines = if self.fields.quoted {
            self.buffer[self.at..self.at + len].iter().filter(|b| **b == b'\n').count() as u64
        } else {
            1
        };
        self.at += len;
        self.line += newlines;
    }

    fn wrong_encoding(&self, detail: String, sample: &[u8]) -> ReadError {
        let decodes = |e: Encoding| {
            e.other().is_some_and(|o| o.decode_without_bom_handling_and_without_replacement(sample).is_some())
        };
        let remedy = match self.file.encoding {
            Encoding::Utf8 if decodes(Encoding::Gb18030) => ", probably to \"gb18030\"",
            Encoding::Utf8 => "",
            _ => ", perhaps to \"utf-8\"",
        };
        ReadError::Encoding {
            path: self.path.clone(),
            layout: self.layout.clone(),
            encoding: self.file.encoding.name(),
            detail,
            remedy: remedy.to_owned(),
        }
    }

    /// The cells of the record at the front, of `len` bytes, or what is wrong with it as a whole.
    pub fn record(&self, len: usize) -> Result<Record<'_>, Flaw> {
        let Self { buffer, at, fields, header, width, file, .. } = self;
        let record = &buffer[*at..*at + len];
        let whole = |reason| Err(Flaw { field: None, reason });
        if file.header && record.len() >= header.len() && record.starts_with(header) && trim_line_end(record) == header
        {
            return whole(RejectReason::RepeatedHeader);
        }
        let base = if fields.quoted { &fields.scratch[..] } else { record };
        let Ok(text) = std::str::from_utf8(base) else {
            return whole(undecodable(record, file.encoding));
        };
        if fields.text_after_quote {
            return whole(RejectReason::TextAfterQuote);
        }
        let (expected, exactly) = *width;
        let found = fields.ranges.len();
        if found < expected || (exactly && found != expected) {
            return whole(RejectReason::FieldCount { found, expected });
        }
        Ok(Record { text, ranges: &fields.ranges })
    }

    /// The quarantine's entry for the record at the front.
    pub fn reject(&mut self, len: usize, flaw: Flaw) -> Reject {
        let line = trim_line_end(&self.buffer[self.at..self.at + len]);
        let raw = source::original(&line[..line.len().min(RAW_MAX)], self.file.encoding);
        self.undecodable += u64::from(matches!(flaw.reason, RejectReason::Undecodable { .. }));
        Reject { row: self.line, field: flaw.field, reason: flaw.reason, raw }
    }

    /// The quarantine's entry for a record that could not be cut.
    pub fn flawed(&self, row: u64, reason: RejectReason, raw: &[u8]) -> Reject {
        Reject { row, field: None, reason, raw: source::original(raw, self.file.encoding) }
    }

    /// Counts `rows` more, and refuses the file when most of what was read is in another encoding.
    pub fn counted(&mut self, rows: u64, rejects: &[Reject]) -> Result<(), ReadError> {
        self.read += rows;
        if self.undecodable < UNDECODABLE_MIN || self.undecodable * 2 <= self.read {
            return Ok(());
        }
        let detail = format!("{} of the first {} rows cannot be decoded", self.undecodable, self.read);
        let undecodable = |r: &&Reject| matches!(r.reason, RejectReason::Undecodable { .. });
        let sample = rejects.iter().find(undecodable).map_or(&[][..], |r| &r.raw);
        Err(self.wrong_encoding(detail, sample))
    }
}

fn trim_line_end(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

/// The place, in the file's own bytes, of the first one that its encoding does not know.
fn undecodable(record: &[u8], encoding: Encoding) -> RejectReason {
    let good = std::str::from_utf8(record).map_or_else(|e| e.valid_up_to(), str::len);
    let byte = source::original(&record[..good], encoding).len() + 1;
    RejectReason::Undecodable { byte, encoding: encoding.name() }
}

fn not_text(path: &Path, what: NotText) -> ReadError {
    let (what, remedy) = match what {
        NotText::Parquet => ("a Parquet file", "set format = \"parquet\" in [file] of the layout"),
        NotText::ZipOrWorkbook => ("a ZIP archive or a workbook", "unpack it, or save the sheet as CSV"),
        NotText::Utf16 => ("UTF-16 text", "save it as UTF-8"),
        NotText::OtherPacking => ("packed with bzip2 or xz", "unpack it, or pack it with gzip or zstd"),
    };
    ReadError::NotText { path: path.to_path_buf(), what, remedy }
}

/// Another delimiter under which the header holds more of the layout's names.
fn likely_delimiter(given: &str, wanted: &Wanted<'_>, header: &str, misfit: &Misfit) -> Option<&'static str> {
    let Misfit::Missing { missing, .. } = misfit else { return None };
    let all = wanted.names.len();
    let found_now = all - missing.len().min(all);
    let count = |d: &str| {
        let names = plain_split(header.trim_end(), d);
        wanted.names.iter().filter(|n| names.contains(n)).count()
    };
    let best = DELIMITERS.iter().filter(|d| **d != given).max_by_key(|d| (count(d), d.len()))?;
    (count(best) > found_now && (count(best) * 2 > all || wanted.positions)).then_some(*best)
}
