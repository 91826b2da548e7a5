//! After events: what triggers asked for is granted, and told with what was withheld for the first time.

use crate::{
    engine::Engine,
    error::EngineError,
    output::Output,
    record::{FiredItem, FiredRec, Rec},
};
use kairos_decide::{Grant, Request, Withheld};
use kairos_model::{Channel, LocalDay, Reason, ReasonSet, Verdict, hash::FixedSet};

/// Items in one record: far below the journal's limit of a record.
const ITEMS_MAX: usize = 2_000;
/// Withholdings remembered of one local day. Past it they are counted and no longer told: 16 MiB.
const TOLD_MAX: usize = 1 << 20;

/// Who was withheld from which campaign for which reason, in the local day of `day`.
#[derive(Default)]
pub struct Told {
    day: LocalDay,
    hour: i64,
    seen: FixedSet<u128>,
}

impl Engine {
    /// Grants in the order (stamp, priority, salted hash, campaign, subscriber), whatever the partitions.
    pub(crate) fn settle(&mut self, out: &mut Vec<Output>) -> Result<(), EngineError> {
        if self.core.asked.is_empty() && self.core.refused.is_empty() {
            return Ok(());
        }
        let mut asked = std::mem::take(&mut self.core.asked);
        let mut refused = std::mem::take(&mut self.core.refused);
        asked.sort_unstable_by_key(|r| (r.stamp, r.priority, r.order, r.campaign, r.subscriber));
        refused.sort_unstable_by_key(|w| (w.record.stamp, w.record.campaign, w.record.subscriber));
        let Some(facts) = self.core.facts.as_ref().map(|f| f.snapshot()) else { return Ok(()) };
        let Some(book) = self.core.book.clone() else { return Ok(()) };
        let mut items: Vec<FiredItem> = Vec::with_capacity(asked.len());
        let mut tally = self.core.allocator.clone();
        for r in &asked {
            let verdict = match tally.grant_moment(&book, r) {
                Grant::Granted => r.arm.verdict(),
                Grant::Denied(reason) => withheld(reason),
            };
            items.push(asked_item(r, verdict));
        }
        self.remember_day(&book.tenant.zone);
        for w in &refused {
            if self.told.is_first(w) {
                let channel = book.campaign(w.record.campaign).map_or(Channel::Sms, |c| c.channel);
                items.push(refused_item(w, channel));
            }
        }
        // the vectors keep their room
        asked.clear();
        refused.clear();
        (self.core.asked, self.core.refused) = (asked, refused);
        let (stamp, book) = (self.core.last, book.id);
        for part in items.chunks(ITEMS_MAX) {
            self.record(stamp, &Rec::Fired(FiredRec { book, snapshot: facts, items: part.to_vec() }), out)?;
        }
        Ok(())
    }
    /// The local day is looked up once an hour: zones change days on whole quarters, and a trail may lag by one.
    fn remember_day(&mut self, zone: &kairos_model::Zone) {
        let hour = self.core.last.0.div_euclid(900_000_000);
        if hour != self.told.hour {
            let day = zone.day(self.core.last);
            if day != self.told.day {
                self.told.seen.clear();
            }
            (self.told.hour, self.told.day) = (hour, day);
        }
    }
}

impl Told {
    fn is_first(&mut self, w: &Withheld) -> bool {
        let Verdict::Withheld { primary, .. } = w.record.verdict else { return true };
        let key =
            u128::from(w.record.subscriber.0) << 64 | u128::from(w.record.campaign.0) << 8 | u128::from(primary as u8);
        if self.seen.len() >= TOLD_MAX { false } else { self.seen.insert(key) }
    }
}

const fn withheld(reason: Reason) -> Verdict {
    Verdict::Withheld { primary: reason, all: ReasonSet::EMPTY.with(reason), by: None }
}

fn asked_item(r: &Request, verdict: Verdict) -> FiredItem {
    FiredItem {
        stamp: r.stamp,
        subscriber: r.subscriber,
        campaign: r.campaign,
        version: r.version,
        occurrence: r.moment.map_or(r.stamp, |m| m.occurrence),
        treatment: r.treatment,
        channel: r.channel,
        cost: r.cost.micros,
        asked: Some(r.arm),
        verdict,
    }
}
fn refused_item(w: &Withheld, channel: Channel) -> FiredItem {
    FiredItem {
        stamp: w.record.stamp,
        subscriber: w.record.subscriber,
        campaign: w.record.campaign,
        version: w.record.version,
        occurrence: w.moment.occurrence,
        treatment: 0,
        channel,
        cost: 0,
        asked: None,
        verdict: w.record.verdict,
    }
}
