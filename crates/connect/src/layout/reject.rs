//! Why a row is quarantined. No reason ever holds a value of the row: it is written in clear.

use kairos_model::NumberError;

/// One row that was read but not mapped.
#[derive(Clone, PartialEq, Eq)]
pub struct Reject {
    /// 1-based line of the (decompressed) file at which the record begins; the header is a line. Parquet: 1-based row.
    pub row: u64,
    /// The layout's column that failed; `None` when the row as a whole is at fault.
    pub field: Option<String>,
    pub reason: RejectReason,
    /// The record as it stands in the file, without its line end; at most [`RAW_MAX`] bytes. May hold numbers and names:
    /// it goes to the vault and nowhere else.
    pub raw: Vec<u8>,
}

/// Enough of a bad row to see and repair it; an over-long line is cut, since the file itself still holds it.
pub const RAW_MAX: usize = 4_096;

impl std::fmt::Debug for Reject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { row, field, reason, raw } = self;
        write!(f, "row {row}")?;
        if let Some(field) = field {
            write!(f, " {field}")?;
        }
        write!(f, ": {reason} [{} raw bytes]", raw.len())
    }
}

/// A fault of one row: which column, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    pub field: Option<String>,
    pub reason: RejectReason,
}

/// The reasons, each with what a person needs to mend the file or the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RejectReason {
    #[error("byte {byte} of the row is not {encoding}")]
    Undecodable { byte: usize, encoding: &'static str },
    #[error("longer than line_max = {max} bytes")]
    LineTooLong { max: usize },
    #[error("a quote opens and does not close within line_max")]
    UnclosedQuote,
    #[error("text between a closing quote and the delimiter")]
    TextAfterQuote,
    #[error("{found} field(s) instead of {expected}")]
    FieldCount { found: usize, expected: usize },
    #[error("repeated header")]
    RepeatedHeader,
    #[error("required, but blank")]
    Missing,
    #[error("value not in the layout's map")]
    NotInMap,
    #[error("neither a true nor a false word")]
    NotABool,
    #[error("no plain decimal number")]
    NotANumber,
    #[error("not a whole number in the column's unit; the layout has no `round`")]
    NotWhole,
    #[error("more than six decimals; the layout has no `round`")]
    TooManyDecimals,
    #[error("number out of range")]
    OutOfRange,
    #[error("no date in the layout's format")]
    NotADate,
    #[error("no time in the layout's format")]
    NotATime,
    #[error("{0}")]
    Number(NumberError),
    #[error("a short code is no subscriber's number")]
    ShortCode,
    #[error("no IMSI: 14 or 15 digits")]
    Imsi,
    #[error("no cell in the layout's form, or out of its range")]
    Cell,
    #[error("a text longer than {max} bytes")]
    TooLong { max: usize },
    #[error("no rule of the layout knows this record")]
    UnknownRecord,
}

impl RejectReason {
    /// A stable word to count by.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Undecodable { .. } => "undecodable",
            Self::LineTooLong { .. } => "line_too_long",
            Self::UnclosedQuote => "unclosed_quote",
            Self::TextAfterQuote => "text_after_quote",
            Self::FieldCount { .. } => "field_count",
            Self::RepeatedHeader => "repeated_header",
            Self::Missing => "missing",
            Self::NotInMap => "not_in_map",
            Self::NotABool => "not_a_bool",
            Self::NotANumber => "not_a_number",
            Self::NotWhole => "not_whole",
            Self::TooManyDecimals => "too_many_decimals",
            Self::OutOfRange => "out_of_range",
            Self::NotADate => "not_a_date",
            Self::NotATime => "not_a_time",
            Self::Number(_) => "bad_number",
            Self::ShortCode => "short_code",
            Self::Imsi => "bad_imsi",
            Self::Cell => "bad_cell",
            Self::TooLong { .. } => "too_long",
            Self::UnknownRecord => "unknown_record",
        }
    }
}
