//! Triggers of campaign files compiled to what `decide` runs, and the static bits that they read.

use crate::{
    app::App,
    books::{BookCampaign, BookFile},
    error::{AppError, Result},
    facts::TriggerBits,
    lists::ListKind,
};
use kairos_catalog::{EarlierDef, EventFilter, Role, ThenDef, TriggerDef};
use kairos_decide::{CellSet, Cmp, Earlier, Field, Filter, Layout, MinuteRange, Test, Then, Trigger};
use kairos_model::{CampaignId, CellId, Event, EventCatalog, EventType, event_type::Place, near::hint};
use roaring::RoaringBitmap;
use std::{collections::BTreeMap, sync::Arc};

/// What a trigger's names stand for: kept in the book file, so that it compiles the same for ever.
#[derive(Clone, Default, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// Codes of the custom event types.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<String, u16>,
    /// Cells of the areas.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub areas: BTreeMap<String, Vec<u32>>,
}

impl Names {
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.areas.is_empty()
    }
}

/// A fault of a trigger: JSON pointer into the definition, and what is wrong.
pub type Fault = (String, String);

struct Compiler<'a> {
    events: EventCatalog,
    names: &'a Names,
    areas: BTreeMap<&'a str, Arc<CellSet>>,
    faults: Vec<Fault>,
}

/// Compiles; every fault at once.
pub fn compile(t: &TriggerDef, names: &Names) -> std::result::Result<Trigger, Vec<Fault>> {
    let mut c = Compiler { events: EventCatalog::standard(), names, areas: BTreeMap::new(), faults: Vec::new() };
    for (name, cells) in &names.areas {
        c.areas.insert(name, Arc::new(CellSet::new(cells.iter().map(|&n| CellId(n)))));
    }
    let on = c.filter("/trigger/on", &t.on);
    let earlier = t.earlier.as_ref().map(|e| c.earlier(e, &on));
    let then = t.then.as_ref().map_or(Then::Now, |then| c.then(then));
    let trigger = Trigger {
        on,
        window: t
            .windows
            .iter()
            .map(|w| MinuteRange { from: w.from.minutes() % 1440, to: w.to.minutes() % 1440 })
            .collect(),
        own: true,
        peer: t.peer.is_some(),
        earlier,
        then,
        valid_for: t.valid_for.0,
    };
    if c.faults.is_empty() { Ok(trigger) } else { Err(c.faults) }
}

impl Compiler<'_> {
    fn fault(&mut self, pointer: &str, what: String) {
        self.faults.push((pointer.to_owned(), what));
    }

    fn filter(&mut self, at: &str, f: &EventFilter) -> Filter {
        let code = match (self.events.named(&f.event), self.names.events.get(&f.event)) {
            (Some(def), _) => def.code,
            (None, Some(&code)) => EventType(code),
            (None, None) => {
                let near = hint(&f.event, self.events.types().iter().map(|t| t.name.as_str()));
                self.fault(&format!("{at}/event"), format!("unknown event `{}`{near}", f.event));
                EventType(0)
            }
        };
        let mut filter = Filter::of(code);
        match f.role {
            Some(Role::Caller) => filter.flags_all |= Event::CALLER,
            Some(Role::Callee) => filter.flags_all |= Event::CALLEE,
            None => {}
        }
        match f.long_distance {
            Some(true) => filter.flags_all |= Event::LONG_DISTANCE,
            Some(false) => filter.flags_none |= Event::LONG_DISTANCE,
            None => {}
        }
        for (i, text) in f.tests.iter().enumerate() {
            match self.test(&f.event, text) {
                Ok(test) => filter.tests.push(test),
                Err(what) => self.fault(&format!("{at}/where/{i}"), what),
            }
        }
        if let Some(area) = &f.area {
            match self.areas.get(area.as_str()) {
                Some(cells) => filter.area = Some(cells.clone()),
                None => {
                    self.fault(&format!("{at}/area"), format!("there is no area `{area}`; `areas/*.toml` names them"))
                }
            }
        }
        filter
    }

    /// `duration_s >= 30`.
    fn test(&self, event: &str, text: &str) -> std::result::Result<Test, String> {
        let shape = || format!("`{text}` is no comparison; write a field, <, <=, =, !=, >= or >, and a whole number");
        let at = text.find(['<', '>', '=', '!']).ok_or_else(shape)?;
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let (cmp, number) = [
            ("<=", Cmp::AtMost),
            (">=", Cmp::AtLeast),
            ("!=", Cmp::NotEqual),
            ("<", Cmp::Less),
            (">", Cmp::More),
            ("=", Cmp::Equal),
        ]
        .into_iter()
        .find_map(|(sign, cmp)| Some((cmp, rest.strip_prefix(sign)?)))
        .ok_or_else(shape)?;
        let value: i64 = number.trim().parse().map_err(|_| shape())?;
        let Some(def) = self.events.named(event) else {
            return Err(format!("fields of the custom event `{event}` cannot be compared yet; leave `where` out"));
        };
        let Some(field) = def.field(name) else {
            let known: Vec<&str> = def.fields.iter().map(|f| f.name.as_str()).collect();
            return Err(format!("`{event}` has no field `{name}`{}", hint(name, known)));
        };
        match field.place {
            Place::Aux { bits: 64, .. } => Ok(Test { field: Field::AUX, cmp, value }),
            Place::Aux { shift, bits } => Ok(Test { field: Field { shift, bits }, cmp, value }),
            Place::Tail(_) => Err(format!("the field `{name}` of `{event}` is no number that a trigger compares")),
        }
    }

    fn earlier(&mut self, e: &EarlierDef, on: &Filter) -> Earlier {
        match e.count {
            Some(n) => Earlier::Count { n, of: on.clone(), within: e.within.0 },
            None => {
                let steps = e.sequence.iter().enumerate();
                let steps = steps.map(|(i, f)| self.filter(&format!("/trigger/earlier/sequence/{i}"), f)).collect();
                Earlier::Sequence { steps, within: e.within.0 }
            }
        }
    }

    fn then(&mut self, t: &ThenDef) -> Then {
        let powered_on = t.powered_on;
        if let Some(a) = &t.absence {
            let of = self.filter("/trigger/then/absence/of", &a.of);
            return Then::Absence { of, within: a.within.0, powered_on };
        }
        match (t.wait, t.dwell) {
            (Some(delay), _) => Then::Wait { delay: delay.0, powered_on },
            (None, Some(delay)) => Then::Dwell { delay: delay.0, powered_on },
            (None, None) => Then::Now,
        }
    }
}

impl App {
    /// What the names of a trigger stand for today.
    pub(crate) fn trigger_names(&self, t: &TriggerDef) -> Names {
        let tags = self.tags();
        let mut names = Names::default();
        for (_, f) in t.filters() {
            if let Some(def) = self.events.catalog.named(&f.event).filter(|d| d.code.0 >= EventType::CUSTOM_FROM) {
                names.events.insert(f.event.clone(), def.code.0);
            }
            if let Some(area) = &f.area
                && let Some(cells) = tags.sets().area(area)
            {
                names.areas.insert(area.clone(), cells.iter().map(|c| c.0).collect());
            }
        }
        names
    }

    /// Static bits of every campaign with a trigger in a playbook, by the newest snapshot. One whose condition or list
    /// cannot be asked has no bits: it does not match, and the log says why.
    pub(crate) fn trigger_bits(&self, book: &BookFile) -> Result<(Layout, Vec<TriggerBits>)> {
        let compiled = book.compile()?;
        let layout = Layout::of(compiled.campaigns());
        let mut all = Vec::new();
        for c in book.campaigns.iter().filter(|c| c.def.trigger.is_some() && c.run != "stopped") {
            match self.bits_of(c) {
                Ok(bits) => all.push(bits),
                Err(e) => tracing::error!(campaign = %c.def.id, error = %e, "its trigger matches nobody"),
            }
        }
        Ok((layout, all))
    }

    fn bits_of(&self, c: &BookCampaign) -> Result<TriggerBits> {
        let (snapshot, _) = self.snapshot()?;
        let own = self.members(snapshot, &self.condition_of(&c.def)?)?;
        let mut bits = TriggerBits { campaign: CampaignId(c.id), own, peer: RoaringBitmap::new(), unknown_peer: false };
        let Some(peer) = c.def.trigger.as_ref().and_then(|t| t.peer.as_ref()) else { return Ok(bits) };
        let stats = self.vault.stats();
        bits.peer = match (&peer.list, &peer.condition) {
            (Some(list), _) => self.list_members(list, ListKind::Peer)?,
            (None, Some(_)) => (0..stats.subscribers).collect(),
            (None, None) => {
                bits.unknown_peer = true;
                let foreign = kairos_model::PartyId::from(kairos_model::Party::Foreign(kairos_model::ForeignId(0))).0;
                (0..stats.subscribers).chain(foreign..foreign + stats.foreign).collect()
            }
        };
        if let Some(condition) = &peer.condition {
            bits.peer &= self.members(snapshot, &self.condition(condition)?)?;
        }
        if let Some(list) = &peer.not_list {
            bits.peer -= self.list_members(list, ListKind::Peer)?;
        }
        Ok(bits)
    }

    /// Judges a trigger's names before approval.
    pub(crate) fn check_trigger(&self, t: &TriggerDef) -> Vec<Fault> {
        let mut faults = compile(t, &self.trigger_names(t)).err().unwrap_or_default();
        if let Some(peer) = &t.peer {
            for (field, list) in [("list", &peer.list), ("not_list", &peer.not_list)] {
                if let Some(list) = list {
                    match self.list_members(list, ListKind::Peer) {
                        Ok(members) if members.is_empty() => {
                            faults.push((format!("/trigger/peer/{field}"), format!("the list `{list}` is empty")));
                        }
                        Ok(_) => {}
                        Err(e) => faults.push((format!("/trigger/peer/{field}"), e.message)),
                    }
                }
            }
            if let Some(condition) = &peer.condition
                && let Err(e) = self.condition(condition)
            {
                faults.push(("/trigger/peer/condition".to_owned(), e.message));
            }
            let event = self.events.catalog.named(&t.on.event);
            if event.is_some_and(|e| !e.has_peer) {
                let what = format!("`{}` has no other side: this could never match", t.on.event);
                faults.push(("/trigger/peer".to_owned(), what));
            }
        }
        faults
    }
}

/// The trigger of a campaign of a book.
pub fn of_book(c: &BookCampaign) -> Result<Option<Trigger>> {
    let Some(t) = &c.def.trigger else { return Ok(None) };
    compile(t, &c.names).map(Some).map_err(|faults| {
        let said = faults.iter().map(|(p, w)| format!("{p}: {w}")).collect::<Vec<_>>().join("; ");
        AppError::failure("playbook_invalid", format!("the trigger of `{}` does not compile: {said}", c.def.id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn def(toml: &str) -> TriggerDef {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn a_trigger_is_compiled_with_its_names() {
        let names = Names { areas: [("campus".to_owned(), vec![7, 9])].into(), ..Names::default() };
        let t =
            def("[on]\nevent = \"call_ended\"\nrole = \"caller\"\nwhere = [\"duration_s >= 30\"]\narea = \"campus\"\n\
             [then]\nwait = \"5 min\"\npowered_on = true\n");
        let t = compile(&t, &names).unwrap();
        assert_eq!((t.on.kind, t.on.flags_all), (EventType::CALL_ENDED, Event::CALLER));
        assert_eq!(t.on.tests, [Test { field: Field::LOW, cmp: Cmp::AtLeast, value: 30 }]);
        assert!(t.on.area.as_ref().unwrap().has(CellId(9)));
        assert_eq!(t.then, Then::Wait { delay: kairos_model::Span::mins(5), powered_on: true });
    }

    #[test]
    fn every_fault_is_named_at_its_place() {
        let t = def("[on]\nevent = \"call_endet\"\narea = \"nowhere\"\n[then.absence]\nwithin = \"1 h\"\n\
             of = { event = \"top_up\", where = [\"amount > five\", \"colour = 1\"] }\n");
        let faults: Vec<String> = compile(&t, &Names::default()).unwrap_err().into_iter().map(|f| f.0).collect();
        assert_eq!(
            faults,
            [
                "/trigger/on/event",
                "/trigger/on/area",
                "/trigger/then/absence/of/where/0",
                "/trigger/then/absence/of/where/1"
            ]
        );
    }
}
