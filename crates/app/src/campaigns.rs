//! The life of a campaign, as its people live it: check, submit, approve, start, pause, resume, stop, simulate.

use crate::{
    app::{App, catalog_error},
    books::BookCampaign,
    error::{AppError, Kind, Result},
    render::{Extremes, Template, WorstCase},
};
use kairos_catalog::{
    Actor, Campaign, CampaignDef, CampaignState, ContentHash, Findings, Severity, Step, WaveStart, check_def,
};
use kairos_decide::Playbook;
use kairos_engine::{Input, Waterfall};
use kairos_model::{CampaignId, Channel, PlaybookId, Reason, Timestamp, WaveNo};
use std::collections::{BTreeMap, BTreeSet};

/// Characters of a name with which a template is checked for its worst case: names are not read for it.
const NAME_LONGEST: usize = 10;

/// A definition judged: findings, how many it would reach, what its creatives cost at most.
pub struct Checked {
    pub def: CampaignDef,
    pub content: ContentHash,
    pub findings: Findings,
    /// Members by the newest snapshot, if there is one and the condition is sound.
    pub members: Option<u64>,
    /// Language and worst case of each creative that parses.
    pub creatives: Vec<(String, WorstCase)>,
}

/// What would happen to an audience now; contacts nobody.
pub struct Simulation {
    pub campaign: String,
    pub at: Timestamp,
    pub everyone: u64,
    pub matched: u64,
    pub waterfall: Waterfall,
    /// Quiet hours or a holiday are on, and until when.
    pub closed: Option<(Reason, Timestamp)>,
}

fn no_transport(slug: &str, channel: Channel) -> AppError {
    AppError::unavailable(
        "no_transport",
        format!("`{slug}` goes by {channel}, which has no transport in this program yet; nothing was launched"),
    )
}

/// How a channel's contacts leave the house.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// Over SMPP to a message centre.
    Centre,
    /// As files for people: sent means exported.
    File,
}

/// The transport of a channel; `None`: none is built yet.
pub const fn transport(channel: Channel) -> Option<Transport> {
    match channel {
        Channel::Sms => Some(Transport::Centre),
        Channel::Mms | Channel::Outbound => Some(Transport::File),
        _ => None,
    }
}

impl App {
    /// Who a token belongs to. `Denied` for none or an unknown one.
    pub async fn actor(&self, token: Option<&str>) -> Result<Actor> {
        let denied = |message: &str| AppError::new(Kind::Denied, "token", message);
        let token = token.ok_or_else(|| {
            denied("this needs a token; set KAIROS_TOKEN or give --token (an operator's token is shown once, by `kairos user add`)")
        })?;
        let found = self.catalog.authenticate(token, self.now()).await.map_err(catalog_error)?;
        found.ok_or_else(|| denied("the token is not known, or was revoked"))
    }

    /// A definition file: TOML, or JSON if it begins with `{`.
    pub fn read_definition(&self, file: &str, text: &str) -> Result<CampaignDef> {
        let read = if text.trim_start().starts_with('{') {
            CampaignDef::from_json(file, text)
        } else {
            CampaignDef::from_toml(file, text)
        };
        read.map_err(|e| AppError::invalid("definition", e.to_string()).because(e))
    }

    /// Judges a definition against tenant, tags and templates.
    pub async fn check(&self, def: CampaignDef) -> Result<Checked> {
        let mut findings = check_def(&def, &self.tenant);
        if self.is_over(&def) {
            findings.push(Severity::Warning, "/end", format!("the end {} has passed; move it to submit this", def.end));
        }
        if def.waves.iter().any(|w| def.waves.first().is_some_and(|first| w.window != first.window)) {
            findings.push(
                Severity::Error,
                "/waves",
                "waves with different daily windows cannot be kept apart yet; give all the same, or make two campaigns",
            );
        }
        match transport(def.channel) {
            Some(Transport::Centre) => {}
            Some(Transport::File) => findings.push(
                Severity::Warning,
                "/channel",
                format!(
                    "{} goes out as files (`kairos contact export`): reports say exported, not delivered",
                    def.channel
                ),
            ),
            None => findings.push(
                Severity::Warning,
                "/channel",
                format!("{} has no transport in this program yet; it cannot be started", def.channel),
            ),
        }
        if let Some(t) = &def.trigger {
            for (pointer, what) in self.check_trigger(t) {
                findings.push(Severity::Error, &pointer, what);
            }
        }
        let mut members = None;
        match self.condition_of(&def) {
            Ok(condition) => {
                if let Ok((snapshot, _)) = self.snapshot() {
                    let found = self.members(snapshot, &condition)?;
                    if found.is_empty() {
                        findings.push(
                            Severity::Error,
                            "/audience/condition",
                            "nobody satisfies the condition in the newest snapshot; `kairos audience count` shows which clause removes them",
                        );
                    }
                    members = Some(found.len());
                }
            }
            Err(e) => findings.push(Severity::Error, "/audience/condition", e),
        }
        let creatives = self.check_creatives(&def, &mut findings).await?;
        Ok(Checked { content: def.content_hash(), def, findings, members, creatives })
    }

    pub(crate) fn is_over(&self, def: &CampaignDef) -> bool {
        def.end.instant(&self.zone).is_some_and(|end| end <= self.now())
    }

    async fn check_creatives(&self, def: &CampaignDef, findings: &mut Findings) -> Result<Vec<(String, WorstCase)>> {
        let known = self.fields();
        let mut checked = Vec::new();
        for (i, creative) in def.creatives.iter().enumerate() {
            let pointer = format!("/creatives/{i}/text");
            let template = match Template::parse(&creative.text, &known) {
                Ok(t) => t,
                Err(e) => {
                    findings.push(Severity::Error, &pointer, e.message);
                    continue;
                }
            };
            match template.worst_case(&self.field_extremes(template.fields())?) {
                // a caller's script is read, not sent
                Ok(worst)
                    if worst.segments > usize::from(def.max_segments)
                        && transport(def.channel) != Some(Transport::File) =>
                {
                    findings.push(
                    Severity::Error,
                    &pointer,
                    format!(
                        "the longest rendering takes {} segments of {:?}, more than max_segments = {}; shorten the text, or allow more",
                        worst.segments, worst.alphabet, def.max_segments
                    ),
                    );
                }
                Ok(worst) => checked.push((creative.lang.name().to_owned(), worst)),
                Err(e) => findings.push(Severity::Error, &pointer, e.message),
            }
        }
        Ok(checked)
    }

    /// Fields that a template may use: every tag, and the subscriber's name.
    pub fn fields(&self) -> BTreeSet<String> {
        use kairos_rules::Catalogue;
        let mut fields: BTreeSet<String> = self.tags().tags().map(|t| t.id.clone()).collect();
        fields.insert("name".to_owned());
        fields
    }

    /// The longest values of each field over all subscribers of the newest snapshot.
    fn field_extremes(&self, fields: &[String]) -> Result<BTreeMap<String, Extremes>> {
        let tags: Vec<&str> = fields.iter().map(String::as_str).filter(|f| *f != "name").collect();
        let mut all = self.extremes(&tags)?;
        if tags.len() < fields.len() {
            all.insert("name".to_owned(), Extremes::one(&"名".repeat(NAME_LONGEST)));
        }
        Ok(all)
    }

    /// Keeps a definition and asks for approval. `Invalid` with every finding if it is not sound.
    pub async fn submit(&self, actor: &Actor, def: CampaignDef) -> Result<(Campaign, Checked)> {
        let checked = self.sound(def).await?;
        let now = self.now();
        self.catalog.put(actor, &checked.def, &mut self.salts(), now).await.map_err(catalog_error)?;
        let campaign =
            self.catalog.step(actor, &checked.def.id, &Step::Submit, &self.tenant, now).await.map_err(catalog_error)?;
        // an approval that this edit voided holds nobody any longer
        self.refresh().await?;
        Ok((campaign, checked))
    }

    /// Approves exactly the content that was submitted.
    pub async fn approve(&self, actor: &Actor, slug: &str, seen: Option<ContentHash>) -> Result<Campaign> {
        let campaign = self.step(actor, slug, Step::Approve { seen }).await?;
        self.refresh().await?;
        Ok(campaign)
    }

    /// Launches the next wave: freezes its audience, records it, and hands it to the engine. Of a campaign with a trigger
    /// there is no wave: from here on its events count.
    pub async fn start(&self, actor: &Actor, slug: &str) -> Result<(Campaign, Option<WaveStart>)> {
        let now = self.now();
        let before = self.catalog.campaign(slug).await.map_err(catalog_error)?;
        if before.def.trigger.is_some() {
            if transport(before.def.channel).is_none() {
                return Err(no_transport(slug, before.def.channel));
            }
            let campaign = self.step(actor, slug, Step::Start).await?;
            self.refresh().await?;
            return Ok((campaign, None));
        }
        let launched = self.catalog.waves(slug).await.map_err(catalog_error)?;
        let next =
            before.def.waves.iter().filter(|w| launched.iter().all(|l| l.start.wave.0 != w.no)).min_by_key(|w| w.no);
        if transport(before.def.channel).is_none() {
            return Err(no_transport(slug, before.def.channel));
        }
        let Some(wave) = next else {
            return Err(AppError::conflict(
                "second_launch",
                format!("all {} wave(s) of `{slug}` have been launched; a wave is launched once", launched.len()),
            ));
        };
        let begins = wave.start.instant(&self.zone).unwrap_or(now);
        if now < begins && matches!(before.state, CampaignState::Approved { .. } | CampaignState::Running { .. }) {
            return Err(AppError::conflict(
                "too_early",
                format!(
                    "wave {} of `{slug}` starts at {} ({}); now it is {}",
                    wave.no,
                    wave.start,
                    self.zone.name(),
                    now
                ),
            ));
        }
        let wave_no = kairos_model::WaveNo(wave.no);
        let condition = self.condition_of(&before.def)?;
        let audience = self.freeze(&condition, now)?;
        if audience.members.is_empty() {
            return Err(AppError::invalid(
                "empty_audience",
                format!(
                    "nobody satisfies the condition of `{slug}` in snapshot {}; nothing was launched",
                    audience.head.snapshot
                ),
            ));
        }
        let start = WaveStart {
            wave: wave_no,
            audience: audience
                .head
                .hash
                .parse()
                .map_err(|_| AppError::failure("internal", "the frozen audience has no hash".to_owned()))?,
            condition: kairos_catalog::ContentHash(*blake3::hash(condition.text().as_bytes()).as_bytes()),
            members: audience.members.len(),
            snapshot: kairos_model::SnapshotId(audience.head.snapshot),
            as_of: Timestamp(audience.head.as_of),
        };
        let (campaign, _) = self.catalog.launch(actor, slug, start, &self.tenant, now).await.map_err(catalog_error)?;
        self.refresh().await?;
        self.start_in_engine(&campaign, &start).await?;
        Ok((campaign, Some(start)))
    }

    /// Nothing more is decided or offered until it resumes; within the next commit of the engine.
    pub async fn pause(&self, actor: &Actor, slug: &str, reason: &str) -> Result<Campaign> {
        let campaign = self.step(actor, slug, Step::Pause { reason: reason.to_owned() }).await?;
        self.runner().handle(vec![Input::Pause(campaign.id)]).await?;
        self.refresh().await?;
        Ok(campaign)
    }

    pub async fn resume(&self, actor: &Actor, slug: &str) -> Result<Campaign> {
        let campaign = self.step(actor, slug, Step::Resume).await?;
        // the book first: an older one that still says paused would win over the resume
        self.refresh().await?;
        self.runner().handle(vec![Input::Resume(campaign.id)]).await?;
        Ok(campaign)
    }

    /// For good: whoever is not yet offered is cancelled.
    pub async fn stop(&self, actor: &Actor, slug: &str, reason: &str) -> Result<Campaign> {
        let campaign = self.step(actor, slug, Step::Stop { reason: reason.to_owned() }).await?;
        self.runner().handle(vec![Input::Stop(campaign.id)]).await?;
        self.refresh().await?;
        Ok(campaign)
    }

    /// The engine has nothing left to do for it.
    pub async fn complete(&self, slug: &str) -> Result<Campaign> {
        let campaign = self.step(&Actor::system(), slug, Step::Complete).await?;
        self.refresh().await?;
        Ok(campaign)
    }

    async fn step(&self, actor: &Actor, slug: &str, step: Step) -> Result<Campaign> {
        self.catalog.step(actor, slug, &step, &self.tenant, self.now()).await.map_err(catalog_error)
    }

    /// Judges every member as its wave would: now, or at another time. Of a past time with the snapshot and the contacts
    /// of then; playbook, consent and lists are those of now.
    pub async fn simulate(&self, def: CampaignDef, at: Option<Timestamp>) -> Result<Simulation> {
        let past = at.filter(|&t| t < self.now());
        let at = at.unwrap_or_else(|| self.now());
        let condition = self.condition_of(&def)?;
        let (snapshot, _) = self.snapshot_at(past.unwrap_or_else(|| self.now()))?;
        let everyone = self.members(snapshot, &kairos_rules::Condition::everyone())?.len();
        let members = self.members(snapshot, &condition)?;
        let mut file = self.build_book().await?;
        let known = self.catalog.campaign(&def.id).await.ok();
        let id = known.as_ref().map_or(u32::MAX, |c| c.id.0);
        let salt = known.as_ref().map_or(0x5349_4d55_4c41_5445, |c| c.salt);
        let holdout_salt = match &known {
            Some(c) => self.holdout_salt(c, at).await?,
            None => None,
        };
        file.campaigns.retain(|c| c.id != id);
        let name = def.id.clone();
        file.campaigns.push(BookCampaign {
            id,
            version: 1,
            salt,
            holdout_salt,
            run: "running".to_owned(),
            hold: false,
            names: def.trigger.as_ref().map(|t| self.trigger_names(t)).unwrap_or_default(),
            def,
        });
        file.kill = self.runner().engine().killed();
        let book: Playbook = file.compile()?;
        let closed = book.campaign(CampaignId(id)).and_then(|c| book.closed_until(c, at));
        let facts = self.current_facts().await?;
        let waterfall = match past {
            Some(t) => self.past(t).await?.simulate(&book, &facts, CampaignId(id), &members),
            None => self.runner().engine().simulate(at, &book, &facts, CampaignId(id), &members),
        };
        debug_assert_eq!(book.id, PlaybookId(0));
        Ok(Simulation { campaign: name, at, everyone, matched: members.len(), waterfall, closed })
    }
}

impl App {
    /// Campaigns all of whose waves are launched and have nothing open any more are completed.
    pub async fn complete_settled(&self) -> Result<()> {
        let running = self.campaigns().await?.into_iter().filter(|c| matches!(c.state, CampaignState::Running { .. }));
        for c in running {
            let done = {
                let engine = self.runner().engine();
                let waves: Vec<_> = engine.waves().into_iter().filter(|w| w.campaign == c.id).collect();
                let over = c.def.end.instant(&self.zone).is_some_and(|end| self.now() >= end);
                let launched = c.def.trigger.is_none() && waves.len() >= c.def.waves.len();
                let moments = engine.sums(c.id, WaveNo::MOMENT).is_none_or(|s| s.is_settled());
                (over || launched) && moments && waves.iter().all(|w| w.sums.is_settled())
            };
            if done {
                self.complete(&c.slug).await?;
            }
        }
        Ok(())
    }
}
