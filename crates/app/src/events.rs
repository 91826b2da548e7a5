//! Events from the network: decoded by `connect`, numbers turned into parties by the vault, handed to the engine once.

use crate::{
    app::App,
    error::{AppError, Context, Kind, Result},
};
use kairos_connect::{
    cloudevents::{Decoder, Problem, Refusal},
    event::{Decoded, EventBatch as DecodedBatch, EventConfig, Who, parse_events},
};
use kairos_engine::{EventBatch, Input, Origin};
use kairos_model::{Dialled, Event, PartyId, SourceId, SubscriberId, Timestamp};
use std::sync::Arc;

/// What became of one request's events: `read` is the sum of the others and of the problems.
#[derive(Clone, Debug, Default)]
pub struct TakenEvents {
    pub read: u64,
    /// Handed to the engine; durable. It takes an event once, however often it is sent.
    pub taken: u64,
    /// Of numbers that belong to no subscriber at the event's time.
    pub unknown: u64,
    /// Say nothing that is asked for, by rule.
    pub ignored: u64,
    /// Not decoded, each with its place.
    pub problems: Vec<Problem>,
}

/// Custom types and circles of `events.toml`; the built-in types where there is none.
pub fn event_config(definitions: &crate::Definitions) -> Result<EventConfig> {
    match definitions.text("events.toml") {
        None => Ok(EventConfig::default()),
        Some(text) => {
            let shown = definitions.shown("events.toml");
            parse_events(text, &shown).or_fail(Kind::Invalid, "events", || format!("`{shown}` is not valid"))
        }
    }
}

impl App {
    /// Decodes CloudEvents.
    pub(crate) fn decoder(&self) -> Decoder {
        let secret = self.vault.derived_key("event ids");
        let mut key = [0; 16];
        key.copy_from_slice(&secret[..16]);
        Decoder {
            source: SourceId::default(),
            catalog: Arc::new(self.events.catalog.clone()),
            circles: self.events.circles.clone(),
            plan: self.plan.clone(),
            secret: key,
        }
    }

    /// Takes the CloudEvents of one request; durable when it returns. `Invalid` if the body as a whole cannot be read:
    /// then nothing of it was taken.
    pub async fn take_cloudevents(
        &self,
        body: &[u8],
        content_type: &str,
        header: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Result<TakenEvents> {
        let given: Vec<(&str, String)> =
            ["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time", "ce-subject", "ce-datacontenttype"]
                .into_iter()
                .filter_map(|name| Some((name, header(name)?)))
                .collect();
        let look = |name: &str| given.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str());
        let decoder = self.decoder.get_or_init(|| self.decoder());
        let intake = decoder
            .decode(body, content_type, &look)
            .map_err(|e: Refusal| AppError::invalid("cloudevents", e.to_string()).because(e))?;
        let mut taken = TakenEvents {
            read: intake.batch.read(),
            ignored: intake.batch.ignored(),
            problems: intake.problems,
            ..TakenEvents::default()
        };
        let batch = self.resolve_events(&intake.batch, &mut taken)?;
        if batch.events.is_empty() {
            return Ok(taken);
        }
        if self.runner().engine().book().is_none() {
            // the first event of a directory without a campaign: from here on there is something to judge it by
            self.refresh().await?;
        }
        self.runner().handle(vec![Input::Events(Arc::new(batch))]).await?;
        Ok(taken)
    }

    /// Numbers become parties.
    fn resolve_events(&self, batch: &DecodedBatch, taken: &mut TakenEvents) -> Result<EventBatch> {
        let asked: Vec<(Dialled, Timestamp)> = batch
            .events
            .iter()
            .filter_map(|e| match e.who {
                Who::Number(n) => Some((Dialled::Number(n), e.at)),
                Who::Imsi(_) => None,
            })
            .collect();
        let mut owners = self.vault.parties(&asked).into_iter();
        let peers: Vec<(Dialled, Timestamp)> = batch.events.iter().filter_map(|e| Some((e.peer?, e.at))).collect();
        let mut found = self.vault.parties(&peers);
        if found.iter().any(Option::is_none) {
            // numbers never seen before get a party of their own: a deny list lets them, an allow list does not
            let all = self.vault.ensure_parties(&peers);
            let all = all.or_fail(Kind::Unavailable, "vault", || "cannot resolve the numbers of events".to_owned())?;
            found = all.into_iter().map(Some).collect();
        }
        let mut peers = found.into_iter();
        let (mut events, mut ids) = (Vec::with_capacity(batch.events.len()), Vec::new());
        for e in &batch.events {
            // both look-ups stand in the order of the events
            let peer = e.peer.and_then(|_| peers.next().flatten());
            let owner = match e.who {
                Who::Number(_) => owners.next().flatten().and_then(subscriber),
                // the vault keeps no IMSI yet
                Who::Imsi(_) => None,
            };
            match owner {
                Some(s) => {
                    events.push(header(e, s, peer));
                    ids.push((e.key >> 64) as u64 ^ e.key as u64);
                }
                None => taken.unknown += 1,
            }
        }
        taken.taken = events.len() as u64;
        Ok(EventBatch { origin: Origin::Ids(ids), events })
    }
}

fn subscriber(p: PartyId) -> Option<SubscriberId> {
    match p.party() {
        Some(kairos_model::Party::Subscriber(s)) => Some(s),
        _ => None,
    }
}

/// The engine stamps the arrival.
fn header(e: &Decoded, subscriber: SubscriberId, peer: Option<PartyId>) -> Event {
    e.header(subscriber, peer.unwrap_or(PartyId::NONE), Timestamp::MIN)
}
