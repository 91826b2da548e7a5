//! One record of text cells → one event, or why not.

use super::{
    event_cell,
    event_reader::EventOptions,
    event_spec::{
        BadPeer, CellSpec, Col, EventLayout, FieldFrom, FieldSpec, IGNORED_DUPLICATE, IGNORED_UNKNOWN, Is, Recipe,
        Test, Then, TimeSpec, Unknown, WhoKind,
    },
    map::{At, Cells, Misfit, places},
    number::{self, Scale},
    reject::{Flaw, RejectReason},
    spec::MapOther,
    when::WhenReader,
};
use crate::event::{Draft, EventBatch, Recent, Who, event_key};
use kairos_model::{
    CellId, Currency, Dialled, FieldDef, Imsi, NumberPlan, Span, Timestamp,
    event_tail::{self, FieldValue, TEXT_MAX},
    event_type::Place,
    table::ColumnType,
};
use std::sync::Arc;

/// A layout bound to the columns of one file.
pub(crate) struct EventMapper {
    layout: Arc<EventLayout>,
    /// Place in the record of each of the layout's columns.
    places: Vec<usize>,
    nulls: Vec<String>,
    clocks: Vec<WhenReader>,
    plan: Arc<NumberPlan>,
    secret: [u8; 16],
    seen: Recent,
}

/// The cells of one record by the layout's columns: trimmed, `None` where blank.
struct Row<'a, C: ?Sized> {
    cells: &'a C,
    places: &'a [usize],
    nulls: &'a [String],
}

impl<'a, C: Cells + ?Sized> Row<'a, C> {
    #[inline]
    fn get(&self, column: Col) -> Option<&'a str> {
        let text = self.cells.cell(self.places[usize::from(column.0)])?.trim_ascii();
        (!text.is_empty() && !self.nulls.iter().any(|n| n == text)).then_some(text)
    }
    fn first(&self, columns: &[Col]) -> Option<&'a str> {
        columns.iter().find_map(|c| self.get(*c))
    }
    fn holds(&self, Test { column, is }: &Test) -> bool {
        let cell = self.get(*column);
        let word = cell.unwrap_or_default();
        match is {
            Is::OneOf(words) => words.iter().any(|w| w == word),
            Is::NoneOf(words) => !words.iter().any(|w| w == word),
            Is::Differs(other) => cell.zip(self.get(*other)).is_some_and(|(a, b)| a != b),
        }
    }
}

type Made<T> = Result<T, Flaw>;

fn flaw<T>(field: &str, reason: RejectReason) -> Made<T> {
    Err(Flaw { field: Some(field.to_owned()), reason })
}

impl EventMapper {
    /// Binds `layout` to a file's columns: `header` holds their names, `None` where the file has none.
    pub fn new(layout: Arc<EventLayout>, header: Option<&[&str]>, options: &EventOptions) -> Result<Self, Misfit> {
        let found = places(layout.columns.iter().map(|c| ("event", c)), header)?;
        check_currencies(&layout, options.currency)?;
        // the parser makes no constant a column
        let places = found.into_iter().map(|at| if let At::Field(i) = at { i } else { usize::MAX }).collect();
        let blanks = layout.file.null.iter().map(|n| n.trim_ascii().to_owned()).filter(|n| !n.is_empty());
        Ok(Self {
            places,
            nulls: blanks.collect(),
            clocks: layout.clocks.iter().map(|(f, z)| WhenReader::new(f.clone(), z.clone())).collect(),
            plan: options.plan.clone(),
            secret: options.secret,
            seen: Recent::new(Recent::FILE),
            layout,
        })
    }

    /// Maps the record at `offset` into `batch`: an event, or a count of what is ignored.
    pub fn map<C: Cells + ?Sized>(&mut self, cells: &C, offset: u64, batch: &mut EventBatch) -> Made<()> {
        let Self { layout, places, nulls, clocks, plan, secret, seen } = self;
        let row = Row { cells, places, nulls };
        let rule = layout.rules.iter().find(|r| r.when.iter().all(|t| row.holds(t)));
        let recipe = match rule.map(|r| &r.then) {
            Some(Then::Event(recipe)) => recipe,
            Some(Then::Ignore(name)) => {
                batch.ignore(&layout.ignored[*name]);
                return Ok(());
            }
            None if layout.other == Unknown::Ignore => {
                batch.ignore(&layout.ignored[IGNORED_UNKNOWN]);
                return Ok(());
            }
            None => return Err(Flaw { field: None, reason: RejectReason::UnknownRecord }),
        };
        let tail_from = batch.tails.len();
        let mut making = Making { row, recipe, clocks, plan, bad_peer: layout.bad_peer, peer_dropped: false };
        let made = making.make(&mut batch.tails);
        let dropped = making.peer_dropped;
        let draft = match made {
            Ok(draft) => draft,
            Err(flaw) => {
                batch.tails.truncate(tail_from);
                return Err(flaw);
            }
        };
        if !layout.unique.is_empty() {
            let row = Row { cells, places, nulls };
            let key = event_key(secret, layout.unique.iter().map(|c| row.get(*c).unwrap_or_default()));
            if !seen.insert(key) {
                batch.tails.truncate(tail_from);
                batch.ignore(&layout.ignored[IGNORED_DUPLICATE]);
                return Ok(());
            }
        }
        batch.peers_dropped += u64::from(dropped);
        batch.push(draft, tail_from, offset, 0);
        Ok(())
    }
}

fn check_currencies(layout: &EventLayout, tenant: Currency) -> Result<(), Misfit> {
    let recipes =
        layout.rules.iter().filter_map(|r| if let Then::Event(recipe) = &r.then { Some(recipe) } else { None });
    for (def, spec) in recipes.flat_map(|r| r.kind.fields.iter().zip(&r.fields)) {
        match spec.as_ref().and_then(|s| s.currency) {
            Some(unit) if unit != tenant => {
                return Err(Misfit::Currency { column: def.name.clone(), unit, currency: tenant });
            }
            _ => {}
        }
    }
    Ok(())
}

/// One record on its way.
struct Making<'a, C: ?Sized> {
    row: Row<'a, C>,
    recipe: &'a Recipe,
    clocks: &'a mut [WhenReader],
    plan: &'a NumberPlan,
    bad_peer: BadPeer,
    peer_dropped: bool,
}

impl<C: Cells + ?Sized> Making<'_, C> {
    fn make(&mut self, tails: &mut Vec<u8>) -> Made<Draft> {
        let recipe = self.recipe;
        let at = self.time(&recipe.time)?;
        let who = self.who(&recipe.who)?;
        let cell = self.cell(&recipe.cells)?;
        let peer = self.peer(&recipe.peer)?;
        let mut aux = 0;
        for (def, spec) in recipe.kind.fields.iter().zip(&recipe.fields) {
            self.field(def, spec.as_ref(), &mut aux, tails)?;
        }
        Ok(Draft { kind: recipe.kind.code, flags: recipe.flags, who, peer, cell, at, aux })
    }

    fn time(&mut self, spec: &TimeSpec) -> Made<Timestamp> {
        let Some(text) = self.row.first(&spec.from) else { return flaw("time", RejectReason::Missing) };
        let at = self.clocks[spec.clock].time(text).or_else(|reason| flaw("time", reason))?;
        let Some((text, scale)) = spec.plus.and_then(|(c, scale)| Some((self.row.get(c)?, scale))) else {
            return Ok(at);
        };
        let micros = number::micros(text.as_bytes(), scale).or_else(|reason| flaw("time", reason))?;
        Ok(at.plus(Span(micros)))
    }

    fn who(&self, columns: &[(WhoKind, Col)]) -> Made<Who> {
        let found = columns.iter().find_map(|(kind, c)| Some((*kind, self.row.get(*c)?)));
        match found {
            None => flaw("number", RejectReason::Missing),
            Some((WhoKind::Imsi, text)) => match Imsi::parse(text) {
                Some(imsi) => Ok(Who::Imsi(imsi)),
                None => flaw("imsi", RejectReason::Imsi),
            },
            Some((WhoKind::Number, text)) => match self.plan.parse(text) {
                Ok(Dialled::Number(number)) => Ok(Who::Number(number)),
                Ok(Dialled::Short(_)) => flaw("number", RejectReason::ShortCode),
                Err(e) => flaw("number", RejectReason::Number(e)),
            },
        }
    }

    fn peer(&mut self, columns: &[Col]) -> Made<Option<Dialled>> {
        let Some(text) = self.row.first(columns) else { return Ok(None) };
        match self.plan.parse(text) {
            Ok(dialled) => Ok(Some(dialled)),
            Err(_) if self.bad_peer == BadPeer::Drop => {
                self.peer_dropped = true;
                Ok(None)
            }
            Err(e) => flaw("peer", RejectReason::Number(e)),
        }
    }

    fn cell(&self, specs: &[CellSpec]) -> Made<Option<CellId>> {
        for spec in specs {
            match event_cell::read(spec, |c| self.row.get(c)) {
                Ok(None) => {}
                Ok(cell) => return Ok(cell),
                Err(reason) => return flaw("cell", reason),
            }
        }
        if self.recipe.kind.needs_cell { flaw("cell", RejectReason::Missing) } else { Ok(None) }
    }

    fn field(&mut self, def: &FieldDef, spec: Option<&FieldSpec>, aux: &mut u64, tails: &mut Vec<u8>) -> Made<()> {
        let value = match spec {
            Some(spec) => self.value(def, spec).or_else(|reason| flaw(&def.name, reason))?,
            None => FieldValue::Null,
        };
        if value == FieldValue::Null && def.required {
            return flaw(&def.name, RejectReason::Missing);
        }
        match def.place {
            Place::Tail(_) => event_tail::push(tails, value),
            Place::Aux { .. } => {
                let n = match value {
                    FieldValue::Int(n) | FieldValue::Micros(n) => n,
                    FieldValue::Bool(b) => i64::from(b),
                    _ => return Ok(()),
                };
                if !def.put(aux, n) {
                    return flaw(&def.name, RejectReason::OutOfRange);
                }
            }
        }
        Ok(())
    }

    fn value<'s>(&'s mut self, def: &FieldDef, spec: &'s FieldSpec) -> Result<FieldValue<'s>, RejectReason> {
        let text = match &spec.from {
            FieldFrom::First(columns) => self.row.first(columns),
            FieldFrom::Const(text) => Some(text.as_str()),
            FieldFrom::Sum(columns) => return self.sum(columns, def, spec.scale).map(FieldValue::Int),
            FieldFrom::Between { since, until } => {
                let clock = &mut self.clocks[spec.clock];
                let mut time = |c| clock.time(self.row.get(c).ok_or(RejectReason::Missing)?);
                let (since, until) = (time(*since)?, time(*until)?);
                return match until.since(since).0 {
                    micros @ 0.. => Ok(FieldValue::Int(micros / 1_000_000)),
                    _ => Err(RejectReason::OutOfRange),
                };
            }
        };
        let text = match (text, &spec.map) {
            (Some(text), Some(map)) => match (map.words.iter().find(|(w, _)| w == text), map.other) {
                (Some((_, ours)), _) => Some(ours.as_str()).filter(|t| !t.is_empty()),
                (None, MapOther::Keep) => Some(text),
                (None, MapOther::Null) => None,
                (None, MapOther::Quarantine) => return Err(RejectReason::NotInMap),
            },
            (text, _) => text,
        };
        let Some(text) = text else { return Ok(FieldValue::Null) };
        Ok(match def.kind {
            ColumnType::Int => FieldValue::Int(number::int(text.as_bytes(), spec.scale)?),
            ColumnType::Decimal | ColumnType::Money => FieldValue::Micros(number::micros(text.as_bytes(), spec.scale)?),
            ColumnType::Bool => match text {
                "1" | "true" => FieldValue::Bool(true),
                "0" | "false" => FieldValue::Bool(false),
                _ => return Err(RejectReason::NotABool),
            },
            ColumnType::Date => FieldValue::Date(self.clocks[spec.clock].date(text)?),
            ColumnType::Time => FieldValue::Time(self.clocks[spec.clock].time(text)?),
            _ if text.len() > TEXT_MAX => return Err(RejectReason::TooLong { max: TEXT_MAX }),
            _ => FieldValue::Text(text),
        })
    }

    /// What does not fit a volume's bits is its largest value: its type says so.
    fn sum(&self, columns: &[Col], def: &FieldDef, scale: Scale) -> Result<i64, RejectReason> {
        let one = Scale { num: 1, den: 1, round: number::Round::Exact };
        let mut total = 0i64;
        for text in columns.iter().filter_map(|c| self.row.get(*c)) {
            match number::int(text.as_bytes(), one)? {
                n @ 0.. => total = total.saturating_add(n),
                _ => return Err(RejectReason::OutOfRange),
            }
        }
        let scaled = number::scaled(total, scale).ok_or(RejectReason::NotWhole)?;
        Ok(if def.name.ends_with("_kib") { scaled.min(def.max()) } else { scaled })
    }
}
