//! Why, or why not: for one subscriber, what was decided and what would be decided now.

use crate::{
    app::{App, catalog_error},
    books::BookFile,
    error::{AppError, Context, Kind, Result},
    facts::SnapshotFacts,
};
use kairos_engine::{ContactView, Past, Trail};
use kairos_lake::{Sets, TagCatalogue, TagValue};
use kairos_model::{CampaignId, CellId, ContactState, Reason, SnapshotId, SubscriberId, Timestamp, Verdict, WaveNo};
use kairos_rules::{Compiled, Facts, Lang, Value};
use roaring::RoaringBitmap;
use std::sync::Arc;

/// Where the subscriber stands in one campaign.
#[derive(Clone, Debug)]
pub struct Standing {
    pub campaign: String,
    pub id: CampaignId,
    pub state: String,
    /// The campaign's condition for this subscriber: a line a clause with the value seen, and which decided.
    pub condition: Vec<String>,
    pub selected: Option<bool>,
    /// In each wave whose audience has them.
    pub waves: Vec<(WaveNo, ContactState, Option<Reason>)>,
    /// Decisions on record, oldest first: when, verdict, primary reason, all reasons.
    pub decisions: Vec<(Timestamp, String, Vec<Reason>)>,
    pub contacts: Vec<ContactView>,
    /// What would be said against a contact at the time asked.
    pub now: Vec<Reason>,
    /// From when on the contact policy would allow one.
    pub free_at: Option<Timestamp>,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Explained {
    pub subscriber: SubscriberId,
    pub at: Timestamp,
    pub reachable: bool,
    pub suppressed: bool,
    pub standings: Vec<Standing>,
}

impl App {
    /// The subscriber behind an ordinal (`s42`) or a source key.
    pub fn subscriber(&self, text: &str) -> Result<SubscriberId> {
        if let Some(found) = self.vault.ordinal(text) {
            return Ok(found);
        }
        let ordinal = text.strip_prefix('s').and_then(|d| d.parse::<u32>().ok());
        if let Some(n) = ordinal
            && n < self.vault.stats().subscribers
        {
            return Ok(SubscriberId(n));
        }
        Err(AppError::not_found(
            "subscriber",
            "no subscriber of that key; give the source's key, or the ordinal as `s42`",
        ))
    }

    /// Explains, for one campaign or for all: now, or as it was at an instant.
    pub async fn explain(
        &self,
        subscriber: SubscriberId,
        campaign: Option<&str>,
        at: Option<Timestamp>,
        lang: Lang,
    ) -> Result<Explained> {
        let campaigns = match campaign {
            Some(slug) => vec![self.catalog.campaign(slug).await.map_err(catalog_error)?],
            None => self.campaigns().await?,
        };
        let past = match at.filter(|&t| t < self.now()) {
            Some(t) => Some(self.past(t).await?),
            None => None,
        };
        let at = at.unwrap_or_else(|| self.now());
        let then = past.as_ref().map(|p| self.then(p)).transpose()?;
        let mut standings = Vec::with_capacity(campaigns.len());
        for c in campaigns {
            let mut state = c.state.to_string();
            let (mut condition, mut selected) = (Vec::new(), None);
            match &then {
                None => match self.snapshot() {
                    Ok(snapshot) => {
                        (condition, selected) =
                            self.condition_lines(&c.def, subscriber, snapshot, &self.tags(), lang)?;
                    }
                    Err(e) => condition.push(e.message),
                },
                Some(then) => match then.book.iter().flat_map(|b| &b.campaigns).find(|k| k.id == c.id.0) {
                    Some(k) => {
                        state.clone_from(&k.run);
                        (condition, selected) =
                            self.condition_lines(&k.def, subscriber, then.snapshot, &then.tags, lang)?;
                    }
                    None => "not in the playbook of then".clone_into(&mut state),
                },
            }
            let (waves, mut contacts, judged) = match &past {
                Some(p) => (p.state_of(subscriber, c.id), p.contacts_of(subscriber), p.judge(subscriber, c.id)),
                None => {
                    let engine = self.runner().engine();
                    let judged = engine.judge(at, subscriber, c.id);
                    (engine.state_of(subscriber, c.id), engine.contacts_of(subscriber), judged)
                }
            };
            contacts.retain(|k| k.campaign == c.id);
            let waves = waves.into_iter().map(|(w, m)| (w, m.state, m.reason)).collect();
            let mut now: Vec<Reason> = judged.map(|j| j.all.iter().collect()).unwrap_or_default();
            if selected == Some(false) && !now.contains(&Reason::NotEligible) {
                // the policy is asked about members only: who is none is told so first
                now.insert(0, Reason::NotEligible);
            }
            standings.push(Standing {
                campaign: c.slug.clone(),
                id: c.id,
                state,
                condition,
                selected,
                waves,
                decisions: self.decisions_of(subscriber, c.id, at)?,
                contacts,
                now,
                free_at: judged.and_then(|j| j.free_at),
            });
        }
        Ok(Explained {
            subscriber,
            at,
            reachable: self.vault.has_number(subscriber, at),
            suppressed: self.vault.is_suppressed_sub(subscriber, at),
            standings,
        })
    }

    /// The engine as it was at an instant, made again away from the threads that answer.
    pub(crate) async fn past(&self, at: Timestamp) -> Result<Past> {
        let fail = |e: kairos_engine::EngineError| {
            AppError::unavailable("past", "the state of then cannot be made again from the journal").because(e)
        };
        let replay = self.runner().engine().replay().map_err(fail)?;
        let made = tokio::task::spawn_blocking(move || replay.until(at)).await;
        made.map_err(|e| AppError::failure("internal", "making the state of then ended in a panic").because(e))?
            .map_err(fail)
    }

    /// Playbook, snapshot and lists that decisions went by at a past instant.
    fn then(&self, past: &Past) -> Result<Then> {
        let (book, facts) = past.in_force();
        let book = book.map(|id| BookFile::load(self.library.books_folder(), id)).transpose()?;
        let facts = facts.map(|id| SnapshotFacts::load(self.library.facts_folder(), id)).transpose()?;
        let snapshot = match facts.and_then(|f| f.tags) {
            Some(id) => {
                let found = self.lake.snapshot(id);
                let found =
                    found.or_fail(Kind::Unavailable, "snapshot", || format!("cannot read snapshot {}", id.0))?;
                (found.id(), found.as_of())
            }
            None => self.snapshot_at(past.at)?,
        };
        Ok(Then { book, snapshot, tags: self.tags_at(past.at)? })
    }

    fn condition_lines(
        &self,
        def: &kairos_catalog::CampaignDef,
        subscriber: SubscriberId,
        (snapshot, as_of): (SnapshotId, Timestamp),
        catalogue: &TagCatalogue,
        lang: Lang,
    ) -> Result<(Vec<String>, Option<bool>)> {
        let condition = match self.condition_of(def) {
            Ok(condition) => condition,
            Err(e) => return Ok((e.message.lines().map(str::to_owned).collect(), None)),
        };
        if let Some((list, why)) = condition.lists().iter().find_map(|l| Some((l, catalogue.sets().blocked(l)?))) {
            return Ok((vec![format!("the list `{list}` cannot be used: {why}")], None));
        }
        let tags: Vec<&str> = condition.tags().iter().map(|t| t.id.as_str()).collect();
        let only = RoaringBitmap::from_iter([subscriber.0]);
        let values = self
            .lake
            .values(snapshot, &tags, Some(&only))
            .map_err(|e| AppError::failure("tag", "cannot read the subscriber's tags").because(e))?;
        let Some(row) = values.row_of(subscriber) else {
            return Ok((vec![format!("not in snapshot {}", snapshot.0)], Some(false)));
        };
        let compiled = condition.compile();
        let facts = Row {
            values: (0..tags.len()).map(|i| values.get(row, i)).collect(),
            sets: catalogue.sets(),
            subscriber,
            compiled: &compiled,
        };
        let day = self.zone.day(as_of);
        let trace = kairos_rules::trace(&condition, catalogue, &facts, day, lang);
        let lines = trace.render(lang).lines().map(str::to_owned).collect();
        Ok((lines, Some(trace.verdict() == Some(true))))
    }

    /// The trail's decisions about one subscriber up to a time.
    fn decisions_of(
        &self,
        subscriber: SubscriberId,
        campaign: CampaignId,
        at: Timestamp,
    ) -> Result<Vec<(Timestamp, String, Vec<Reason>)>> {
        let fail = |e: kairos_engine::EngineError| AppError::unavailable("journal", "cannot read the trail").because(e);
        let lines = {
            let engine = self.runner().engine();
            engine.trail_from(engine.trail_ends().0).map_err(fail)?
        };
        let mut found = Vec::new();
        for line in lines {
            let Trail::Decision { record, .. } = line.map_err(fail)?.1 else { continue };
            if record.subscriber != subscriber || record.campaign != campaign || record.stamp > at {
                continue;
            }
            let (name, reasons) = match record.verdict {
                Verdict::Withheld { all, .. } | Verdict::Defer { all, .. } => {
                    (record.verdict.name(), all.iter().collect())
                }
                _ => (record.verdict.name(), Vec::new()),
            };
            found.push((record.stamp, name.to_owned(), reasons));
        }
        Ok(found)
    }
}

/// What was in force at a past instant.
struct Then {
    book: Option<BookFile>,
    snapshot: (SnapshotId, Timestamp),
    tags: Arc<TagCatalogue>,
}

/// One subscriber's tags as a condition reads them.
struct Row<'a> {
    values: Vec<TagValue>,
    sets: &'a Sets,
    subscriber: SubscriberId,
    compiled: &'a Compiled,
}

impl Facts for Row<'_> {
    fn value(&self, tag: usize) -> Value<'_> {
        self.values.get(tag).map_or(Value::Null, TagValue::borrow)
    }
    fn in_list(&self, list: usize) -> bool {
        let name = self.compiled.lists().get(list);
        name.and_then(|n| self.sets.list(n)).is_some_and(|members| members.contains(self.subscriber.0))
    }
    fn in_area(&self, area: usize, cell: CellId) -> bool {
        let name = self.compiled.areas().get(area);
        name.and_then(|n| self.sets.area(n)).is_some_and(|cells| cells.contains(&cell))
    }
}
