//! What the engine runs on, made of what the stores say: playbook and facts, swapped in when they differ.

use crate::{
    app::{App, catalog_error},
    books::{BookCampaign, BookFile},
    error::{Context, Kind, Result},
    facts::{Agreement, SnapshotFacts, TriggerBits},
};
use kairos_catalog::{Campaign, CampaignDef, CampaignState};
use kairos_decide::Layout;
use kairos_engine::Input;
use kairos_model::{CampaignClass, Channel, PlaybookId, SnapshotId, Span, SubscriberId, Timestamp};

/// Playbook and facts in force, as we made them.
#[derive(Default)]
pub(crate) struct InForce {
    pub book: Option<BookFile>,
    pub facts: Option<SnapshotFacts>,
}

impl App {
    /// Makes a playbook and facts of what the stores say now, and swaps them in if they differ from those in force.
    pub async fn refresh(&self) -> Result<()> {
        let mut in_force = self.in_force.lock().await;
        let (mut inputs, mut next) = (Vec::new(), InForce::default());
        let mut book = self.build_book().await?;
        let (layout, bits) = self.trigger_bits(&book)?;
        let facts = self.build_facts(in_force.facts.as_ref(), layout, bits).await?;
        if let Some(facts) = facts {
            facts.save(self.library.facts_folder())?;
            inputs.push(Input::SwapFacts(facts.id));
            next.facts = Some(facts);
        }
        let same = in_force.book.as_ref().is_some_and(|b| BookFile { id: b.id, ..book.clone() } == *b);
        if !same {
            book.id = self.library.next_book()?.0;
            book.compile()?;
            book.save(self.library.books_folder())?;
            inputs.push(Input::SwapPlaybook(PlaybookId(book.id)));
            next.book = Some(book);
        }
        if !inputs.is_empty() {
            self.runner().handle(inputs).await?;
        }
        // only what the engine has taken is in force
        in_force.facts = next.facts.or(in_force.facts.take());
        in_force.book = next.book.or(in_force.book.take());
        Ok(())
    }

    /// [`App::refresh`], where there is a campaign that decides by it.
    pub async fn refresh_if_running(&self) -> Result<()> {
        if self.campaigns().await?.iter().any(|c| run_state(&c.state).is_some()) {
            self.refresh().await?;
        }
        Ok(())
    }

    /// The playbook's source as the catalog has it now; its id is 0.
    pub async fn build_book(&self) -> Result<BookFile> {
        let now = self.now();
        let mut campaigns = Vec::new();
        for c in self.campaigns().await? {
            let Some(run) = run_state(&c.state) else { continue };
            let holdout_salt = self.holdout_salt(&c, now).await?;
            campaigns.push(BookCampaign {
                id: c.id.0,
                version: c.version.0,
                salt: c.salt,
                holdout_salt,
                run: run.to_owned(),
                hold: run != "stopped" && self.holds(&c.def, now),
                names: c.def.trigger.as_ref().map(|t| self.trigger_names(t)).unwrap_or_default(),
                def: c.def,
            });
        }
        Ok(BookFile { format: BookFile::FORMAT, id: 0, kill: false, tenant: self.tenant.clone(), campaigns })
    }

    /// Whether a campaign keeps its audience now: from `hold_days` before its first wave on.
    fn holds(&self, def: &CampaignDef, now: Timestamp) -> bool {
        let first = def.waves.iter().filter_map(|w| w.start.instant(&self.zone)).min();
        def.hold_days > 0 && first.is_some_and(|t| now >= t.minus(Span::days(i64::from(def.hold_days))))
    }

    /// The tenant's holdout salt for the period in which a campaign starts: fixed for the campaign's whole life.
    pub(crate) async fn holdout_salt(&self, c: &Campaign, now: Timestamp) -> Result<Option<u64>> {
        if !c.def.holdout {
            return Ok(None);
        }
        let at = c.def.start.instant(&self.zone).unwrap_or(now);
        let period = self.tenant.holdout_period(at);
        let actor = kairos_catalog::Actor::system();
        let holdout = self.catalog.holdout(&actor, &period, &mut self.salts(), now).await.map_err(catalog_error)?;
        Ok(Some(holdout.salt))
    }

    /// Facts as the stores say now; `None` if they are those in force.
    async fn build_facts(
        &self,
        current: Option<&SnapshotFacts>,
        layout: Layout,
        bits: Vec<TriggerBits>,
    ) -> Result<Option<SnapshotFacts>> {
        let now = self.now();
        let mut facts = SnapshotFacts { tags: self.newest_snapshot()?.map(|s| s.id()), ..SnapshotFacts::default() };
        let everyone = 0..self.vault.stats().subscribers;
        facts.reachable = everyone.clone().filter(|&s| self.vault.has_number(SubscriberId(s), now)).collect();
        facts.suppressed = everyone.filter(|&s| self.vault.is_suppressed_sub(SubscriberId(s), now)).collect();
        let set = |sql: String| async move {
            self.lake
                .subscriber_set(now, &sql)
                .await
                .or_fail(Kind::Failure, "facts", || "cannot read the facts".to_owned())
        };
        facts.do_not_disturb = set("SELECT subscriber FROM subscriber WHERE do_not_disturb".to_owned()).await?;
        for &class in CampaignClass::ALL {
            for channel in [Channel::Sms, Channel::Mms, Channel::Outbound] {
                // a change of mind is a new row: the newest counts, and of two at one instant the refusal
                let of = |granted: &str| {
                    format!(
                        "SELECT subscriber FROM (SELECT subscriber, granted, row_number() OVER (PARTITION BY subscriber \
                         ORDER BY at DESC, granted ASC) AS n FROM consent WHERE purpose = '{class}' AND channel = '{channel}') \
                         WHERE n = 1 AND {granted}"
                    )
                };
                let agreement = Agreement { granted: set(of("granted")).await?, denied: set(of("NOT granted")).await? };
                if agreement != Agreement::default() {
                    facts.consent.insert((class, channel), agreement);
                }
            }
        }
        for c in self.campaigns().await? {
            if c.def.hold_days == 0 || !matches!(run_state(&c.state), Some("approved" | "running" | "paused")) {
                continue;
            }
            match self.held_audience(&c).await {
                Ok(Some(members)) => {
                    facts.audiences.insert(c.id, members);
                }
                Ok(None) => {}
                Err(e) => {
                    // one broken condition must not stop everybody's decisions: what it held before, it holds on
                    tracing::error!(campaign = %c.slug, error = %e, "its audience cannot be made anew");
                    if let Some(members) = current.and_then(|f| f.audiences.get(&c.id)) {
                        facts.audiences.insert(c.id, members.clone());
                    }
                }
            }
        }
        let stats = self.vault.stats();
        facts.set_triggers(layout, bits, (stats.subscribers, stats.foreign));
        if let Some(current) = current {
            facts.id = current.id;
            if facts == *current {
                return Ok(None);
            }
        }
        facts.id = SnapshotId(self.library.next_facts()?.0);
        Ok(Some(facts))
    }

    pub(crate) async fn facts_in_force(&self) -> Option<SnapshotFacts> {
        self.in_force.lock().await.facts.clone()
    }
}

/// The word of the book for a state that the engine must know; `None`: not in the book.
pub(crate) fn run_state(state: &CampaignState) -> Option<&'static str> {
    match state {
        CampaignState::Draft { .. } | CampaignState::Submitted { .. } => None,
        CampaignState::Approved { .. } => Some("approved"),
        CampaignState::Running { .. } => Some("running"),
        CampaignState::Paused { .. } => Some("paused"),
        CampaignState::Ended { .. } | CampaignState::Evaluated { .. } => Some("stopped"),
    }
}
