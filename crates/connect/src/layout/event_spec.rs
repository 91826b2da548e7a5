//! What an event layout says, checked: which records mean which event, and where its parts stand.

use super::{
    number::Scale,
    spec::{FileSpec, Origin, WordMap},
    when::TimeFormat,
};
use kairos_model::{Currency, EventTypeDef, Zone};
use std::{path::PathBuf, sync::Arc};

/// A column of the file that the layout reads: its place in [`EventLayout::columns`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Col(pub(crate) u16);

/// A checked event layout.
#[derive(Clone, Debug, PartialEq)]
pub struct EventLayout {
    pub id: String,
    pub file: FileSpec,
    /// Each column that something reads, once.
    pub columns: Vec<Origin>,
    /// Each way in which a time is written, once.
    pub clocks: Vec<(TimeFormat, Zone)>,
    /// A record whose values here are all those of an earlier one of the same file is a duplicate. Empty: none is.
    pub unique: Vec<Col>,
    pub other: Unknown,
    pub bad_peer: BadPeer,
    /// The first rule that holds decides.
    pub rules: Vec<Rule>,
    /// Names by which ignored records are counted: [`IGNORED_UNKNOWN`], [`IGNORED_DUPLICATE`], then those of the rules.
    pub ignored: Vec<Arc<str>>,
    /// Where the layout was read from, for messages.
    pub path: PathBuf,
}

/// Place of "unknown" in [`EventLayout::ignored`].
pub const IGNORED_UNKNOWN: usize = 0;
/// Place of "duplicate".
pub const IGNORED_DUPLICATE: usize = 1;

/// What becomes of a record for which no rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    Ignore,
    Quarantine,
}

/// What becomes of an event whose other side is no number that the plan knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPeer {
    Quarantine,
    /// It is kept without its peer, and counted.
    Drop,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// All must hold.
    pub when: Vec<Test>,
    pub then: Then,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    /// By its place in [`EventLayout::ignored`].
    Ignore(usize),
    Event(Box<Recipe>),
}

/// A condition on one column; a blank cell is the word "".
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    pub column: Col,
    pub is: Is,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Is {
    OneOf(Vec<String>),
    NoneOf(Vec<String>),
    /// Both are given and differ.
    Differs(Col),
}

/// How a record becomes an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    pub kind: Arc<EventTypeDef>,
    pub flags: u16,
    pub time: TimeSpec,
    /// The first that is not blank is the subscriber.
    pub who: Vec<(WhoKind, Col)>,
    /// The first that is not blank is the other side.
    pub peer: Vec<Col>,
    /// The first that is not blank is the place.
    pub cells: Vec<CellSpec>,
    /// One for each field of the type.
    pub fields: Vec<Option<FieldSpec>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhoKind {
    Number,
    Imsi,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TimeSpec {
    /// The first that is not blank.
    pub from: Vec<Col>,
    /// Place in [`EventLayout::clocks`].
    pub clock: usize,
    /// A length of time to add; blank adds nothing.
    pub(crate) plus: Option<(Col, Scale)>,
}

/// How a cell is written. Each form gives 32 bits ([`kairos_model::CellId`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellSpec {
    pub form: CellForm,
    pub hex: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CellForm {
    /// A number that is the cell's id as it stands.
    Id(Col),
    /// 2G and 3G: LAC × 65,536 + CI, each of 16 bits.
    LacCi(Col, Col),
    /// 4G: the ECI of 28 bits; the TAC is only checked (16 bits).
    TacEci(Option<Col>, Col),
    /// 4G: eNodeB (20 bits) × 256 + cell (8 bits) = ECI.
    EnbCell(Col, Col),
    /// One text: operator code (5 or 6 digits), perhaps `-`, ECI.
    Ecgi(Col),
}

/// Where the value of a field comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldSpec {
    pub from: FieldFrom,
    pub(crate) scale: Scale,
    /// Of an amount with a unit: it must be the tenant's.
    pub currency: Option<Currency>,
    pub map: Option<WordMap>,
    /// Place in [`EventLayout::clocks`], for times, dates and differences.
    pub clock: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub enum FieldFrom {
    /// The first that is not blank.
    First(Vec<Col>),
    /// Of whole numbers, none of them negative; a blank is 0.
    Sum(Vec<Col>),
    /// Between two times; both are needed.
    Between {
        since: Col,
        until: Col,
    },
    Const(String),
}

impl EventLayout {
    /// Names in the file's header that the layout reads.
    pub fn names_read(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter_map(|c| match c {
            Origin::Name(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The highest position that the layout reads in a file without header.
    pub fn position_max(&self) -> usize {
        self.columns.iter().map(|c| c.position(self.file.names.as_deref())).max().unwrap_or(0)
    }
}
