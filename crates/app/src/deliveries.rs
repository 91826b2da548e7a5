//! The engine's side of a channel: contacts rendered and addressed, the gate, outcomes and replies.

use crate::{
    app::App,
    campaigns::{Transport, transport},
    error::Result,
    render::Template,
    runner::{Parcel, Runner},
};
use kairos_catalog::Lang;
use kairos_connect::channel::{
    BoxFuture, Deliveries, Dispatch, Inbound, MessageIn, Offered, ReceiptIn, ReceiptState, RefusalStatus,
    SubmitOutcome, Submitted,
};
use kairos_connect::receipts::Ids;
use kairos_engine::{ContactView, Input, Outcome};
use kairos_model::{
    Awake, CampaignId, CampaignVersion, Channel, ContactId, ContactState, Disposition, Reason, SnapshotId, Span,
    SubscriberId, Timestamp, WaveNo, hash::FixedMap, sms,
};
use kairos_vault::{SuppressRow, SuppressionCause, Vault};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

/// What rendering one campaign version needs.
pub struct Creatives {
    templates: BTreeMap<Lang, Template>,
    default_lang: Lang,
    sender: String,
    /// Tag values of the audience as text, by field and subscriber.
    values: BTreeMap<String, FixedMap<u32, String>>,
    uses_name: bool,
    max_segments: usize,
}

/// The tag that says in which language a subscriber is written to.
const LANGUAGE: &str = "language";

/// Creatives are of one wave: its audience and snapshot decide which tag values they show.
/// Those of a trigger are of the snapshot of now.
type CreativeKey = (CampaignId, CampaignVersion, WaveNo, Option<SnapshotId>);

/// Wait after a store could not be read.
const RETRY_AFTER: Span = Span::secs(5);

/// Waves whose creatives are kept at once; the lowest is loaded again when it is needed.
const CREATIVES_MAX: usize = 64;

/// Offered contacts in hand.
#[derive(Default)]
pub(crate) struct Taken {
    pub contacts: Vec<Dispatch>,
    /// Why others of them cannot be sent at all.
    pub refused: Vec<Reason>,
    /// Others went back to the engine: a store could not be read.
    pub put_back: bool,
    awake: Option<Awake>,
}

/// Implements [`Deliveries`] for one channel.
pub struct ChannelSide {
    channel: Channel,
    runner: Runner,
    vault: Arc<Vault>,
    creatives: RwLock<BTreeMap<CreativeKey, Arc<Creatives>>>,
    source: Arc<App>,
    ids: Mutex<Ids>,
}

impl ChannelSide {
    pub fn new(app: &Arc<App>, channel: Channel) -> Arc<Self> {
        Arc::new(Self {
            channel,
            runner: app.runner().clone(),
            vault: app.vault.clone(),
            creatives: RwLock::default(),
            source: app.clone(),
            ids: Mutex::default(),
        })
    }

    fn ids(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn creatives(&self, campaign: CampaignId, version: CampaignVersion, wave: WaveNo) -> Result<Arc<Creatives>> {
        let snapshot = if wave == WaveNo::MOMENT { self.source.snapshot().ok().map(|(id, _)| id) } else { None };
        let key = (campaign, version, wave, snapshot);
        if let Some(c) = self.creatives.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(c.clone());
        }
        let made = Arc::new(self.source.creatives(campaign, version, wave).await?);
        let mut kept = self.creatives.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= CREATIVES_MAX {
            kept.pop_first();
        }
        kept.insert(key, made.clone());
        Ok(made)
    }

    /// Rendered and addressed, or what becomes of it instead.
    async fn dispatch(&self, o: &kairos_engine::Offered, now: Timestamp) -> Result<Dispatch, Outcome> {
        let cancelled = |reason| Outcome::Cancelled { reason };
        let number = self.vault.number_of(o.subscriber, now).map_err(|e| {
            tracing::error!(subscriber = %o.subscriber, error = %e, "the vault does not give a number");
            cancelled(Reason::Unreadable)
        })?;
        let to = number.ok_or(cancelled(Reason::NoAddress))?;
        let creatives = self.creatives(o.campaign, o.version, o.wave).await.map_err(|e| {
            // a store that cannot be read now: the contact goes back, and nobody is lost for it
            tracing::error!(campaign = %o.campaign, error = %e, "no creatives");
            cancelled(Reason::Paused)
        })?;
        let text = creatives.text(o.subscriber, &self.vault).map_err(|e| {
            tracing::warn!(campaign = %o.campaign, subscriber = %o.subscriber, error = %e, "the creative cannot be filled");
            cancelled(Reason::Unreadable)
        })?;
        let needed = sms::segments(&text);
        if needed > creatives.max_segments && transport(self.channel) == Some(Transport::Centre) {
            // a value that is longer than any was when the campaign was approved
            tracing::warn!(campaign = %o.campaign, subscriber = %o.subscriber, needed, max = creatives.max_segments, "too long");
            let status = status_code(RefusalStatus::TooLong { needed, max: creatives.max_segments });
            return Err(Outcome::Refused { status });
        }
        Ok(Dispatch {
            contact: o.contact,
            to,
            from: creatives.sender.clone(),
            text,
            not_after: o.not_after,
            reference: reference(o.contact),
        })
    }

    /// Renders what was offered; those that cannot be sent are answered for.
    async fn filled(&self, parcel: Parcel) -> Taken {
        let now = self.runner.clock().now();
        let mut taken = Taken { contacts: Vec::with_capacity(parcel.contacts().len()), ..Taken::default() };
        let mut answers = Vec::new();
        for o in parcel.contacts() {
            match self.dispatch(o, now).await {
                Ok(d) => taken.contacts.push(d),
                Err(outcome) => {
                    match outcome {
                        Outcome::Cancelled { reason: Reason::Paused } => taken.put_back = true,
                        Outcome::Cancelled { reason } => taken.refused.push(reason),
                        _ => {}
                    }
                    answers.push(Input::Outcome { contact: o.contact, outcome });
                }
            }
        }
        // until here a caller that goes away gives all of them back
        if !answers.is_empty()
            && let Err(e) = self.runner.handle_all(answers).await
        {
            tracing::error!(error = %e, "the engine is gone");
        }
        taken.awake = parcel.take().1;
        taken
    }

    /// Contacts that may be sent at this instant, rendered; none where there are none.
    pub(crate) async fn take_now(&self, max: usize) -> Result<Taken> {
        Ok(self.filled(self.runner.offer_now(self.channel, max).await?).await)
    }

    async fn take(&self, max: usize) -> Offered {
        loop {
            match self.runner.offer(self.channel, max).await {
                Ok(parcel) => {
                    let Taken { contacts, awake, put_back, .. } = self.filled(parcel).await;
                    let awake = awake.unwrap_or_else(|| self.runner.clock().begin());
                    if !contacts.is_empty() {
                        return Offered { contacts, awake };
                    }
                    if put_back {
                        // what could not be read now is asked for again, but not at once
                        let clock = self.runner.clock();
                        let later = clock.sleep_until(clock.now().plus(RETRY_AFTER));
                        drop(awake);
                        later.await;
                    }
                }
                Err(e) => {
                    tracing::error!(error = %e, "no more contacts: the engine is gone");
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    fn outcome(&self, report: &Submitted) -> Option<Input> {
        let contact = report.contact;
        let outcome = match &report.outcome {
            SubmitOutcome::Accepted { segment, segments, message_id } => {
                self.ids().note(message_id, contact, *segments);
                if segment < segments {
                    return None;
                }
                Outcome::Accepted
            }
            // what was written in part has reached somebody in part: never released, never repeated
            SubmitOutcome::Refused { segment, .. } | SubmitOutcome::Cancelled { segment, .. } if *segment > 1 => {
                Outcome::Unknown
            }
            SubmitOutcome::Refused { status, .. } => Outcome::Refused { status: status_code(*status) },
            SubmitOutcome::Cancelled { reason, .. } => Outcome::Cancelled { reason: *reason },
            SubmitOutcome::Unknown { .. } => Outcome::Unknown,
            SubmitOutcome::Returned => Outcome::Cancelled { reason: Reason::Paused },
        };
        Some(Input::Outcome { contact, outcome })
    }

    /// The contact that a receipt is about: by message id (which is given, too), by the echoed reference, else the only
    /// open one to that number.
    fn contact_of<'r>(&self, r: &'r ReceiptIn) -> Option<(ContactView, Option<&'r str>)> {
        // whose number it was when the contact was offered: numbers change hands while receipts are under way
        let theirs = |c: &ContactView| c.offered.is_some_and(|at| self.vault.holder(r.from, at) == Some(c.subscriber));
        let by_id = self.ids().find(&r.message_ids);
        let known = by_id.and_then(|(id, contact)| Some((self.runner.engine().contact(contact)?, Some(id))));
        // an id that is another's contact is no match: centres write ids decimal and hex, and forms collide
        if let Some(found) = known.filter(|(c, _)| theirs(c)) {
            return Some(found);
        }
        let holder = self.vault.holder(r.from, r.at)?;
        let mut contacts = self.runner.engine().contacts_of(holder);
        contacts.retain(theirs);
        if let Some(wanted) = r.reference
            && let Some(c) = contacts.iter().find(|c| reference(c.contact) == wanted)
        {
            return Some((*c, None));
        }
        let mut open = contacts.into_iter().filter(|c| self.awaits_receipt(c));
        match (open.next(), open.next()) {
            (Some(only), None) => Some((only, None)),
            _ => None,
        }
    }

    fn awaits_receipt(&self, c: &ContactView) -> bool {
        c.channel == self.channel
            && matches!(c.state, ContactState::Sent | ContactState::Unknown | ContactState::Pending)
            && c.offered.is_some()
            && !c.seen.has(Disposition::Delivered)
            && !c.seen.has(Disposition::Undelivered)
            && !c.seen.has(Disposition::Expired)
    }

    async fn receipt(&self, r: &ReceiptIn) -> Option<Input> {
        let said = match r.state {
            ReceiptState::Delivered => Disposition::Delivered,
            ReceiptState::Expired => Disposition::Expired,
            ReceiptState::Deleted | ReceiptState::Undeliverable | ReceiptState::Rejected => Disposition::Undelivered,
            ReceiptState::Enroute | ReceiptState::Accepted | ReceiptState::Unknown => return None,
        };
        let Some((contact, known)) = self.contact_of(r) else {
            tracing::warn!(from = %r.from, "a receipt that matches no contact");
            return None;
        };
        let id = known.or(r.message_ids.first().map(String::as_str)).unwrap_or_default();
        if known.is_none() {
            // the centre's answer went to an earlier process, or is about to be handed over
            match self.segments(&contact).await {
                // without ids the segments cannot be told apart
                Ok(segments) if segments > 1 && id.is_empty() => return None,
                Ok(segments) => self.ids().note(id, contact.contact, segments),
                Err(e) => {
                    tracing::error!(contact = %contact.contact, error = %e, "a receipt of a text whose length is not known");
                    return None;
                }
            }
        }
        let accepted = contact.state == ContactState::Sent;
        let disposition = self.ids().says(contact.contact, id, said, accepted)?;
        Some(Input::Outcome { contact: contact.contact, outcome: Outcome::Seen(disposition) })
    }

    /// How many segments a contact's text has.
    async fn segments(&self, c: &ContactView) -> Result<u8> {
        let creatives = self.creatives(c.campaign, c.version, c.wave).await?;
        Ok(sms::segments(&creatives.text(c.subscriber, &self.vault)?).min(u8::MAX.into()) as u8)
    }

    fn message(&self, m: &MessageIn, inputs: &mut Vec<Input>, suppress: &mut Vec<SuppressRow>) {
        let opt_out = self.source.tenant.replies.is_opt_out(&m.text);
        if opt_out {
            suppress.push(SuppressRow { number: m.from, at: m.at, cause: SuppressionCause::Reply });
        }
        let Some(subscriber) = self.vault.holder(m.from, m.at) else {
            tracing::warn!(from = %m.from, "a message from a number that is no subscriber's");
            return;
        };
        if opt_out {
            inputs.push(Input::OptOut { subscriber, class: None });
        }
        let latest = self
            .runner
            .engine()
            .contacts_of(subscriber)
            .into_iter()
            .filter(|c| c.offered.is_some())
            .max_by_key(|c| c.offered);
        if let Some(c) = latest {
            let seen = |d| Input::Outcome { contact: c.contact, outcome: Outcome::Seen(d) };
            inputs.push(seen(Disposition::Replied));
            if opt_out {
                inputs.push(seen(Disposition::OptedOut));
            }
        }
    }
}

impl Deliveries for ChannelSide {
    fn next(&self, max: usize) -> BoxFuture<'_, Offered> {
        Box::pin(self.take(max))
    }

    fn gate(&self, d: &Dispatch, now: Timestamp) -> Result<(), Reason> {
        if self.vault.is_suppressed(d.to) {
            return Err(Reason::Suppressed);
        }
        if now >= d.not_after {
            return Err(Reason::TooLate);
        }
        let engine = self.runner.engine();
        let Some(contact) = engine.contact(d.contact) else { return Err(Reason::Unreadable) };
        if contact.state == ContactState::Unknown {
            // waited unwritten past the response timeout: it goes back, to be offered again
            return Err(Reason::Paused);
        }
        if self.vault.holder(d.to, now) != Some(contact.subscriber) {
            // the number changed hands, or its holder was erased, since the text was made
            return Err(Reason::NoAddress);
        }
        engine.gate(now, d.contact)
    }

    fn submitted(&self, reports: Vec<Submitted>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let inputs: Vec<Input> = reports.iter().filter_map(|r| self.outcome(r)).collect();
            self.hand_over(inputs).await;
        })
    }

    fn received(&self, inbound: Vec<Inbound>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let (mut inputs, mut suppress) = (Vec::new(), Vec::new());
            for i in &inbound {
                match i {
                    Inbound::Receipt(r) => inputs.extend(self.receipt(r).await),
                    Inbound::Message(m) => self.message(m, &mut inputs, &mut suppress),
                }
            }
            // the opt-out is durable and in the gate before anything is acknowledged
            if !suppress.is_empty()
                && let Err(e) = self.vault.suppress(&suppress)
            {
                tracing::error!(error = %e, "an opt-out cannot be kept");
                std::process::exit(70);
            }
            self.hand_over(inputs).await;
        })
    }
}

impl ChannelSide {
    async fn hand_over(&self, inputs: Vec<Input>) {
        if inputs.is_empty() {
            return;
        }
        if let Err(e) = self.runner.handle_all(inputs).await {
            tracing::error!(error = %e, "the engine is gone");
            std::future::pending::<()>().await;
        }
    }
}

/// 16 bits of the contact by which a receipt may name it.
fn reference(contact: ContactId) -> u16 {
    (contact.0 >> 48) as u16
}

fn status_code(status: RefusalStatus) -> u32 {
    match status {
        RefusalStatus::Centre(code) => code,
        // the channel's own: outside SMPP's range
        RefusalStatus::TooLong { .. } => 0xFFFF_0001,
        RefusalStatus::BadSource => 0xFFFF_0002,
    }
}

impl Creatives {
    /// The text for one subscriber: in their language, else in the tenant's, else in the only one there is.
    fn text(&self, subscriber: SubscriberId, vault: &Vault) -> Result<String> {
        let own = self.values.get(LANGUAGE).and_then(|by| by.get(&subscriber.0)).and_then(|l| l.parse::<Lang>().ok());
        let template = own
            .and_then(|lang| self.templates.get(&lang))
            .or_else(|| self.templates.get(&self.default_lang))
            .or_else(|| self.templates.values().next());
        let Some(template) = template else {
            return Err(crate::AppError::failure("creative", "the campaign has no creative"));
        };
        let mut values: BTreeMap<&str, String> = BTreeMap::new();
        for (field, by_subscriber) in &self.values {
            if let Some(v) = by_subscriber.get(&subscriber.0) {
                values.insert(field, v.clone());
            }
        }
        if self.uses_name
            && let Some(name) =
                vault.secret(subscriber, "name").map_err(|e| crate::resolve::vault_error("no name", e))?
        {
            values.insert("name", name);
        }
        template.render(&values)
    }
}

impl App {
    /// Loads templates and the tag values that they show, for the audiences of the campaign's waves.
    async fn creatives(&self, campaign: CampaignId, version: CampaignVersion, wave: WaveNo) -> Result<Creatives> {
        let c = self.catalog.campaign_by_id(campaign).await.map_err(crate::app::catalog_error)?;
        let def = self.catalog.definition(&c.slug, version).await.map_err(crate::app::catalog_error)?;
        let known = self.fields();
        let mut templates = BTreeMap::new();
        for creative in &def.creatives {
            templates.insert(creative.lang, Template::parse(&creative.text, &known)?);
        }
        let mut fields: Vec<String> = templates.values().flat_map(|t| t.fields().to_vec()).collect();
        fields.sort();
        fields.dedup();
        let uses_name = fields.iter().any(|f| f == "name");
        fields.retain(|f| f != "name");
        if templates.len() > 1 && self.tags().def(LANGUAGE).is_some() && !fields.iter().any(|f| f == LANGUAGE) {
            fields.push(LANGUAGE.to_owned());
        }
        let values =
            if fields.is_empty() { BTreeMap::new() } else { self.audience_values(&c.slug, wave, &fields).await? };
        let sender = def
            .sender
            .clone()
            .or_else(|| self.tenant.channel(def.channel).and_then(|c| c.sender.clone()))
            .unwrap_or_default();
        Ok(Creatives {
            templates,
            default_lang: self.tenant.language,
            sender,
            values,
            uses_name,
            max_segments: usize::from(def.max_segments),
        })
    }
}
