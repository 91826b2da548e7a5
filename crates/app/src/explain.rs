//! Why, or why not: for one subscriber, what was decided and what would be decided now.

use crate::{
    app::{App, catalog_error},
    error::{AppError, Result},
};
use kairos_engine::{ContactView, Trail};
use kairos_lake::TagValue;
use kairos_model::{CampaignId, CellId, ContactState, Reason, SubscriberId, Timestamp, Verdict, WaveNo};
use kairos_rules::{Compiled, Facts, Lang, Value};
use roaring::RoaringBitmap;

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

    /// Explains, for one campaign or for all that were approved.
    pub async fn explain(
        &self,
        subscriber: SubscriberId,
        campaign: Option<&str>,
        at: Timestamp,
        lang: Lang,
    ) -> Result<Explained> {
        let campaigns = match campaign {
            Some(slug) => vec![self.catalog.campaign(slug).await.map_err(catalog_error)?],
            None => self.campaigns().await?,
        };
        let mut standings = Vec::with_capacity(campaigns.len());
        for c in campaigns {
            let (condition, selected) = self.condition_lines(&c.def, subscriber, lang)?;
            let (waves, contacts, judged) = {
                let engine = self.runner().engine();
                let waves =
                    engine.state_of(subscriber, c.id).into_iter().map(|(w, m)| (w, m.state, m.reason)).collect();
                let contacts =
                    engine.contacts_of(subscriber).into_iter().filter(|k| k.campaign == c.id).collect::<Vec<_>>();
                (waves, contacts, engine.judge(at, subscriber, c.id))
            };
            let mut now: Vec<Reason> = judged.map(|j| j.all.iter().collect()).unwrap_or_default();
            if selected == Some(false) && !now.contains(&Reason::NotEligible) {
                // the policy is asked about members only: who is none is told so first
                now.insert(0, Reason::NotEligible);
            }
            standings.push(Standing {
                campaign: c.slug.clone(),
                id: c.id,
                state: c.state.to_string(),
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

    fn condition_lines(
        &self,
        def: &kairos_catalog::CampaignDef,
        subscriber: SubscriberId,
        lang: Lang,
    ) -> Result<(Vec<String>, Option<bool>)> {
        let (Ok((snapshot, as_of)), Ok(condition)) = (self.snapshot(), self.condition_of(def)) else {
            return Ok((Vec::new(), None));
        };
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
            app: self,
            subscriber,
            compiled: &compiled,
        };
        let day = self.zone.day(as_of);
        let trace = kairos_rules::trace(&condition, &*self.tags, &facts, day, lang);
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

/// One subscriber's tags as a condition reads them.
struct Row<'a> {
    values: Vec<TagValue>,
    app: &'a App,
    subscriber: SubscriberId,
    compiled: &'a Compiled,
}

impl Facts for Row<'_> {
    fn value(&self, tag: usize) -> Value<'_> {
        self.values.get(tag).map_or(Value::Null, TagValue::borrow)
    }
    fn in_list(&self, list: usize) -> bool {
        let name = self.compiled.lists().get(list);
        name.and_then(|n| self.app.tags.sets().list(n)).is_some_and(|members| members.contains(self.subscriber.0))
    }
    fn in_area(&self, area: usize, cell: CellId) -> bool {
        let name = self.compiled.areas().get(area);
        name.and_then(|n| self.app.tags.sets().area(n)).is_some_and(|cells| cells.contains(&cell))
    }
}
