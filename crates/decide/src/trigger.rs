//! Triggers as plain data: what on the network makes a campaign act, and when.

use crate::window::MinuteRange;
use kairos_model::{CellId, Event, EventType, Span};
use std::sync::Arc;

/// Cells of an area, sorted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CellSet {
    cells: Vec<u32>,
}

impl CellSet {
    pub fn new(cells: impl IntoIterator<Item = CellId>) -> Self {
        let mut cells: Vec<u32> = cells.into_iter().map(|c| c.0).collect();
        cells.sort_unstable();
        cells.dedup();
        Self { cells }
    }
    pub fn has(&self, cell: CellId) -> bool {
        self.cells.binary_search(&cell.0).is_ok()
    }
    pub fn cells(&self) -> impl Iterator<Item = CellId> + '_ {
        self.cells.iter().map(|&c| CellId(c))
    }
    pub fn len(&self) -> usize {
        self.cells.len()
    }
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}

/// Some bits of an event's `aux`, as an unsigned number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    pub shift: u8,
    /// 1–63; `shift + bits` at most 64.
    pub bits: u8,
}

impl Field {
    /// The lower 63 bits: types whose `aux` is one number.
    pub const AUX: Self = Self { shift: 0, bits: 63 };
    /// The lower 32 bits: duration in seconds.
    pub const LOW: Self = Self { shift: 0, bits: 32 };
    /// The upper 32 bits.
    pub const HIGH: Self = Self { shift: 32, bits: 32 };

    #[inline]
    const fn of(self, aux: u64) -> i64 {
        (aux >> self.shift & ((1 << self.bits) - 1)) as i64
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cmp {
    Less,
    AtMost,
    Equal,
    NotEqual,
    AtLeast,
    More,
}

/// A comparison with a field of the event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Test {
    pub field: Field,
    pub cmp: Cmp,
    pub value: i64,
}

impl Test {
    #[inline]
    fn lets(&self, aux: u64) -> bool {
        let x = self.field.of(aux);
        match self.cmp {
            Cmp::Less => x < self.value,
            Cmp::AtMost => x <= self.value,
            Cmp::Equal => x == self.value,
            Cmp::NotEqual => x != self.value,
            Cmp::AtLeast => x >= self.value,
            Cmp::More => x > self.value,
        }
    }
}

/// Which events are meant: all parts must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    pub kind: EventType,
    /// All of these flags are set. Own number as caller: ``Event::CALLER``.
    pub flags_all: u16,
    /// None of these is set.
    pub flags_none: u16,
    pub tests: Vec<Test>,
    /// `None`: anywhere, also where the cell is not known.
    pub area: Option<Arc<CellSet>>,
}

impl Filter {
    pub const fn of(kind: EventType) -> Self {
        Self { kind, flags_all: 0, flags_none: 0, tests: Vec::new(), area: None }
    }
    /// Flags and comparisons.
    #[inline]
    pub(crate) fn lets_fields(&self, e: &Event) -> bool {
        e.flags & self.flags_all == self.flags_all
            && e.flags & self.flags_none == 0
            && self.tests.iter().all(|t| t.lets(e.aux))
    }
    pub fn lets(&self, e: &Event) -> bool {
        e.kind == self.kind && self.lets_fields(e) && self.area.as_ref().is_none_or(|a| a.has(e.cell))
    }
}

/// What must have come before the event, of the same subscriber. Counted only for those whose static bit is set; a match
/// uses it up, so that it starts anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Earlier {
    /// With this event it is at least the `n`th within the span: `n - 1` earlier ones of `of`, each less than `within` old.
    Count { n: u16, of: Filter, within: Span },
    /// All steps, in the order of their arrival, the first of them less than `within` ago.
    Sequence { steps: Vec<Filter>, within: Span },
}

impl Earlier {
    pub(crate) fn filters(&self) -> &[Filter] {
        match self {
            Self::Count { of, .. } => std::slice::from_ref(of),
            Self::Sequence { steps, .. } => steps,
        }
    }
}

/// What follows a match. Whatever waits is judged again when it fires: window, power, static bit, the whole policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Then {
    Now,
    /// `powered_on`: and only if the phone is on then.
    Wait {
        delay: Span,
        powered_on: bool,
    },
    /// As `Wait`; leaving the trigger's area in between ends it.
    Dwell {
        delay: Span,
        powered_on: bool,
    },
    /// Fires after `within`, unless an event of `of` comes that is not older than the one that matched.
    Absence {
        of: Filter,
        within: Span,
        powered_on: bool,
    },
}

impl Then {
    /// `None`: at once.
    pub const fn delay(&self) -> Option<Span> {
        match *self {
            Self::Now => None,
            Self::Wait { delay, .. } | Self::Dwell { delay, .. } => Some(delay),
            Self::Absence { within, .. } => Some(within),
        }
    }
    pub(crate) const fn powered_on(&self) -> bool {
        match *self {
            Self::Now => false,
            Self::Wait { powered_on, .. } | Self::Dwell { powered_on, .. } | Self::Absence { powered_on, .. } => {
                powered_on
            }
        }
    }
}

/// The trigger of a campaign, compiled from its definition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trigger {
    pub on: Filter,
    /// Minutes of the tenant's local day, at the match and at the firing; empty: always.
    pub window: Vec<MinuteRange>,
    /// The snapshot's own bit must be set (static condition true, on the allow list, not on the deny list).
    pub own: bool,
    /// The snapshot's peer bit must be set (peer's tags, peer lists). An event without a peer does not match then.
    pub peer: bool,
    pub earlier: Option<Earlier>,
    pub then: Then,
    /// A contact that is not written so long after it was decided is cancelled.
    pub valid_for: Span,
}

/// Longest delay and window: what the history may be asked for.
pub(crate) const SPAN_MAX: Span = Span::days(366);

impl Trigger {
    /// On every event of a type, at once, for whoever has the own bit.
    pub const fn on(kind: EventType) -> Self {
        Self {
            on: Filter::of(kind),
            window: Vec::new(),
            own: true,
            peer: false,
            earlier: None,
            then: Then::Now,
            valid_for: Span::mins(10),
        }
    }
    pub(crate) fn in_window(&self, minute: u16) -> bool {
        self.window.is_empty() || self.window.iter().any(|r| r.has(minute))
    }

    /// What is wrong with it, in words.
    pub(crate) fn check(&self) -> Result<(), String> {
        let span = |name: &str, s: Span| {
            if s <= Span::ZERO || s > SPAN_MAX {
                return Err(format!("the trigger's {name} must be above 0 and at most 366 days"));
            }
            Ok(())
        };
        let filter = |f: &Filter| {
            let bad = |t: &Test| t.field.bits == 0 || t.field.bits > 63 || t.field.shift > 64 - t.field.bits;
            if f.kind == EventType::WAVE_REACHED {
                return Err("a wave is no trigger".to_owned());
            }
            if f.tests.iter().any(bad) {
                return Err("a trigger compares bits that an event does not have".to_owned());
            }
            if f.area.as_ref().is_some_and(|a| a.is_empty()) {
                return Err("an area of the trigger has no cell".to_owned());
            }
            Ok(())
        };
        filter(&self.on)?;
        span("valid_for", self.valid_for)?;
        if let Some(delay) = self.then.delay() {
            span("delay", delay)?;
        }
        if self.window.iter().any(|r| r.from >= 1440 || r.to >= 1440 || r.from == r.to) {
            return Err("a window of the trigger is no range of a day".to_owned());
        }
        if let Then::Absence { of, .. } = &self.then {
            filter(of)?;
        }
        match &self.earlier {
            None => {}
            Some(Earlier::Count { n, of, within }) => {
                span("count window", *within)?;
                filter(of)?;
                if !(2..=1_000).contains(n) {
                    return Err("the trigger counts to 2 at least and 1,000 at most".to_owned());
                }
            }
            Some(Earlier::Sequence { steps, within }) => {
                span("sequence window", *within)?;
                steps.iter().try_for_each(filter)?;
                if !(1..=32).contains(&steps.len()) {
                    return Err("the trigger's sequence has 1 to 32 earlier steps".to_owned());
                }
            }
        }
        Ok(())
    }
}
