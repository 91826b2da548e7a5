//! Event layouts: TOML in, a checked [`EventLayout`] out, or every fault at once.

use super::{
    event_spec::{BadPeer, Col, EventLayout, Is, Recipe, Rule, Test, Then, Unknown, WhoKind},
    parse::read_id,
    parse_file::{named, origin, read_file},
    spec::{FileSpec, Origin},
    walk::{Faults, LayoutErrors, Walk, read_document},
    when::TimeFormat,
};
use kairos_model::{Event, EventCatalog, EventTypeDef, Zone, near::hint};
use std::{path::Path, sync::Arc};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

const TOP: &[&str] = &["id", "file", "event"];
/// What `[event]` says for every rule and a rule may say anew.
const PARTS: &[&str] = &["number", "imsi", "identity", "peer", "time", "cell", "fields"];
const EVENT: &[&str] = &["other", "unique", "caller", "callee", "bad_peer", "rule"];
const RULE: &[&str] = &["when", "event", "ignore", "role", "long_distance"];
/// A record walks the rules in order: more of them would be a table, not a list.
const RULES_MAX: usize = 256;

/// What is read on the way.
pub(super) struct Reading<'f, 't> {
    pub file: &'f FileSpec,
    pub faults: &'f mut Faults<'t>,
    pub columns: Vec<Origin>,
    pub clocks: Vec<(TimeFormat, Zone)>,
    ignored: Vec<Arc<str>>,
}

impl EventLayout {
    /// Reads and checks an event layout; its events are those of `catalog`. `path` is only named in messages.
    pub fn parse(text: &str, path: impl AsRef<Path>, catalog: &EventCatalog) -> Result<Self, LayoutErrors> {
        let path = path.as_ref();
        read_document(text, path, |top, faults| read(top, path, catalog, faults))
    }

    /// Whether a layout file is of this form.
    pub fn is_one(text: &str) -> bool {
        DeTable::parse(text).is_ok_and(|d| d.get_ref().contains_key("event"))
    }
}

fn read(top: &Walk<'_, '_>, path: &Path, catalog: &EventCatalog, faults: &mut Faults<'_>) -> Option<EventLayout> {
    top.known(TOP, faults);
    let id = read_id(top, faults);
    let empty = DeTable::default();
    let file_walk = top.table("file", faults).unwrap_or_else(|| Walk::new(&empty, top.span.clone(), "[file]"));
    let file = read_file(&file_walk, faults);
    let Some(event) = top.table("event", faults) else {
        faults.add(&top.span, &top.place, "`[event]` is missing: it says which records mean which event");
        return None;
    };
    event.known(&[EVENT, PARTS].concat(), faults);
    let ignored = vec!["unknown".into(), "duplicate".into()];
    let mut r = Reading { file: &file, faults, columns: Vec::new(), clocks: Vec::new(), ignored };
    let unique = r.columns(&event, "unique").unwrap_or_default();
    let others = [("ignore", Unknown::Ignore), ("quarantine", Unknown::Quarantine)];
    let other = event.one_of("other", &others, r.faults).unwrap_or(Unknown::Ignore);
    let peers = [("quarantine", BadPeer::Quarantine), ("none", BadPeer::Drop)];
    let bad_peer = event.one_of("bad_peer", &peers, r.faults).unwrap_or(BadPeer::Quarantine);
    let rules = r.rules(&event, catalog);
    r.unused_fields(&event, &rules);
    let Reading { columns, clocks, ignored, .. } = r;
    let path = path.to_path_buf();
    Some(EventLayout { id: id?, file, columns, clocks, unique, other, bad_peer, rules, ignored, path })
}

impl Reading<'_, '_> {
    pub fn column(&mut self, value: &Spanned<DeValue<'_>>, place: &str) -> Col {
        let origin = origin(value, place, self.file, self.faults);
        self.once(origin)
    }

    /// A column, known once.
    fn once(&mut self, origin: Origin) -> Col {
        let found = self.columns.iter().position(|c| *c == origin).unwrap_or_else(|| {
            self.columns.push(origin);
            self.columns.len() - 1
        });
        // fewer than 65,536: positions end at 4,096, and each name is a column of the header
        Col(found as u16)
    }

    /// One column or a list of them.
    pub fn columns(&mut self, w: &Walk<'_, '_>, key: &str) -> Option<Vec<Col>> {
        let value = w.get(key)?;
        let place = format!("{}.{key}", w.place);
        Some(match value.get_ref() {
            DeValue::Array(list) => list.iter().map(|v| self.column(v, &place)).collect(),
            _ => vec![self.column(value, &place)],
        })
    }

    pub fn clock(&mut self, format: TimeFormat, zone: Zone) -> usize {
        let clock = (format, zone);
        self.clocks.iter().position(|c| *c == clock).unwrap_or_else(|| {
            self.clocks.push(clock);
            self.clocks.len() - 1
        })
    }

    fn rules(&mut self, event: &Walk<'_, '_>, catalog: &EventCatalog) -> Vec<Rule> {
        let list = event.get("rule").and_then(|v| v.get_ref().as_array());
        let Some(list) = list.filter(|l| (1..=RULES_MAX).contains(&l.len())) else {
            let message = format!("there must be 1 … {RULES_MAX} [[event.rule]]: which records mean which event");
            self.faults.add(&event.span, &event.place, message);
            return Vec::new();
        };
        let mut rules = Vec::with_capacity(list.len());
        for (i, item) in list.iter().enumerate() {
            let place = format!("rule {}", i + 1);
            let Some(table) = item.get_ref().as_table() else {
                self.faults.add(&item.span(), &place, "must be a table");
                continue;
            };
            rules.extend(self.rule(&Walk::new(table, item.span(), place), event, catalog));
        }
        rules
    }

    fn rule(&mut self, w: &Walk<'_, '_>, event: &Walk<'_, '_>, catalog: &EventCatalog) -> Option<Rule> {
        w.known(&[RULE, PARTS].concat(), self.faults);
        let when = self.when(w);
        let then = match (w.str("event", self.faults), w.str("ignore", self.faults)) {
            (Some((name, span)), None) => {
                let Some(def) = catalog.named(name) else {
                    let near = hint(name, catalog.types().iter().map(|t| t.name.as_str()));
                    self.faults.add(&span, &w.place, format!("unknown event `{name}`{near}"));
                    return None;
                };
                Then::Event(Box::new(self.recipe(w, event, def)?))
            }
            (None, Some((name, _))) => {
                let known = self.ignored.iter().position(|n| **n == *name);
                Then::Ignore(known.unwrap_or_else(|| {
                    self.ignored.push(name.into());
                    self.ignored.len() - 1
                }))
            }
            _ => {
                let message = "says either `event`, what such a record means, or `ignore`, a name to count it by";
                self.faults.add(&w.span, &w.place, message);
                return None;
            }
        };
        Some(Rule { when, then })
    }

    fn when(&mut self, w: &Walk<'_, '_>) -> Vec<Test> {
        let Some(when) = w.table("when", self.faults) else { return Vec::new() };
        let mut tests = Vec::new();
        for (key, value) in when.entries() {
            // a position stands in quotes here, since it is a key
            let name: &str = key.get_ref();
            let origin = match name.parse::<usize>() {
                Ok(p @ 1..=4_096) if !self.file.header && self.file.names.is_none() => Origin::Position(p),
                _ => named(name, &key.span(), &w.place, self.file, self.faults),
            };
            let column = self.once(origin);
            if let Some(is) = self.is(value, &w.place) {
                tests.push(Test { column, is });
            }
        }
        tests
    }

    fn is(&mut self, value: &Spanned<DeValue<'_>>, place: &str) -> Option<Is> {
        if let Some(words) = words(value.get_ref()) {
            return Some(Is::OneOf(words));
        }
        let table = value.get_ref().as_table().map(|t| Walk::new(t, value.span(), place));
        if let Some(w) = table {
            w.known(&["not", "differs"], self.faults);
            match (w.get("not").map(|v| words(v.get_ref())), w.get("differs")) {
                (Some(Some(words)), None) => return Some(Is::NoneOf(words)),
                (None, Some(other)) => return Some(Is::Differs(self.column(other, place))),
                _ => {}
            }
        }
        let message = "a condition is a word, a list of words, { not = [words] } or { differs = column }";
        self.faults.add(&value.span(), place, message);
        None
    }

    fn recipe(&mut self, w: &Walk<'_, '_>, event: &Walk<'_, '_>, def: &EventTypeDef) -> Option<Recipe> {
        let roles = [("caller", Event::CALLER), ("callee", Event::CALLEE)];
        let role = w.one_of("role", &roles, self.faults);
        let distance = w.bool("long_distance", self.faults).unwrap_or(false);
        let flags = role.unwrap_or(0) | if distance { Event::LONG_DISTANCE } else { 0 };
        let (own, far) = match role {
            Some(Event::CALLER) => (Some("caller"), Some("callee")),
            Some(_) => (Some("callee"), Some("caller")),
            None => (None, None),
        };
        let mut either = |key: &str, side: Option<&str>| {
            let by_rule = self.columns(w, key);
            let by_side = side.and_then(|s| self.columns(event, s));
            by_rule.or(by_side).or_else(|| self.columns(event, key)).unwrap_or_default()
        };
        let numbers = either("number", own);
        let peer = either("peer", far);
        let imsis = either("imsi", None);
        let who = self.identity(w, event, &numbers, &imsis);
        if who.is_empty() {
            let message =
                "nothing says who the subscriber is: give `number` or `imsi` (or `caller` and `callee` in [event])";
            self.faults.add(&w.span, &w.place, message);
        }
        let peer = if def.has_peer { peer } else { Vec::new() };
        let cells = self.cells(w).or_else(|| self.cells(event)).unwrap_or_default();
        if def.needs_cell && cells.is_empty() {
            self.faults.add(&w.span, &w.place, format!("event `{}` needs `cell`", def.name));
        }
        let time = self.time(w).or_else(|| self.time(event));
        if time.is_none() && w.get("time").is_none() && event.get("time").is_none() {
            self.faults.add(&w.span, &w.place, "nothing says when it happened: give `time`");
        }
        let fields = self.fields(w, event, def, time.as_ref().map_or(0, |t| t.clock));
        Some(Recipe { kind: Arc::new(def.clone()), flags, time: time?, who, peer, cells, fields })
    }

    fn identity(
        &mut self,
        w: &Walk<'_, '_>,
        event: &Walk<'_, '_>,
        numbers: &[Col],
        imsis: &[Col],
    ) -> Vec<(WhoKind, Col)> {
        let number = || numbers.iter().map(|c| (WhoKind::Number, *c));
        let imsi = || imsis.iter().map(|c| (WhoKind::Imsi, *c));
        let given = if w.get("identity").is_some() { w } else { event };
        match given.strings("identity", self.faults) {
            None => number().chain(imsi()).collect(),
            Some((order, span)) => match order.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["number", "imsi"] => number().chain(imsi()).collect(),
                ["imsi", "number"] => imsi().chain(number()).collect(),
                _ => {
                    let message = "`identity` is [\"number\", \"imsi\"] (default) or [\"imsi\", \"number\"]";
                    self.faults.add(&span, &given.place, message);
                    Vec::new()
                }
            },
        }
    }

    /// A field of `[event.fields]` that no event of the rules has is a slip.
    fn unused_fields(&mut self, event: &Walk<'_, '_>, rules: &[Rule]) {
        let Some(fields) = event.table("fields", self.faults) else { return };
        let kinds: Vec<&EventTypeDef> = rules
            .iter()
            .filter_map(|r| if let Then::Event(recipe) = &r.then { Some(&*recipe.kind) } else { None })
            .collect();
        for (key, _) in fields.entries() {
            let name: &str = key.get_ref();
            if kinds.iter().all(|k| k.field(name).is_none()) {
                let near = hint(name, kinds.iter().flat_map(|k| &k.fields).map(|f| f.name.as_str()));
                self.faults.add(
                    &key.span(),
                    "[event.fields]",
                    format!("no event of the rules has a field `{name}`{near}"),
                );
            }
        }
    }
}

/// A word or a list of words; numbers are taken as they are written.
fn words(value: &DeValue<'_>) -> Option<Vec<String>> {
    match value {
        DeValue::Array(list) => list.iter().map(|v| super::walk::scalar(v.get_ref())).collect(),
        other => super::walk::scalar(other).map(|word| vec![word]),
    }
}
