//! The subscribers of a synthetic province as handsets: they receive, answer, opt out and order by `synth`'s known truth.

use crate::population::{Answer, FailState, Fate, Population};
use kairos_model::{Msisdn, Span, Timestamp};
use kairos_synth::{Index, Order, Product, Province, Responses, response};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// An order that came about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OrderRow {
    pub at: Timestamp,
    pub subscriber: Index,
    pub offer: Product,
}

/// The handsets of a [`Province`].
///
/// An offer is recognised by its keyword in the text *as it was delivered*; nothing else tells the population of a
/// campaign. Every draw is a hash of (seed, subscriber, offer or message): timing changes nothing.
pub struct SynthPopulation {
    province: Province,
    launch: Timestamp,
    baseline_times: f64,
    uplift_times: f64,
    /// When an offer first reached a subscriber.
    reached: Mutex<BTreeMap<(Index, Product), Timestamp>>,
}

impl SynthPopulation {
    /// `launch` is the instant from which orders that come anyway are counted (`synth::response::WINDOW` begins).
    pub fn new(province: Province, launch: Timestamp) -> Self {
        Self::scaled(province, launch, 1.0, 1.0)
    }
    /// With every baseline and every uplift multiplied.
    pub fn scaled(province: Province, launch: Timestamp, baseline_times: f64, uplift_times: f64) -> Self {
        Self { province, launch, baseline_times, uplift_times, reached: Mutex::default() }
    }

    pub fn province(&self) -> &Province {
        &self.province
    }
    /// The truth behind the population.
    pub fn responses(&self) -> Responses<'_> {
        Responses::scaled(&self.province, self.baseline_times, self.uplift_times)
    }

    /// Orders of `offers` by *every* subscriber up to `until`, in order of time: at the baseline, and with the uplift
    /// where a PDU with that offer was delivered.
    pub fn orders(&self, offers: &[Product], until: Timestamp) -> Vec<OrderRow> {
        let responses = self.responses();
        let reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = Vec::new();
        for subscriber in self.province.indices() {
            for &offer in offers {
                let delivered = reached.get(&(subscriber, offer));
                let at = match (responses.order(subscriber, offer, delivered.is_some()), delivered) {
                    (Some(Order::Anyway { after }), _) => self.launch.plus(after),
                    (Some(Order::Caused { after }), Some(delivered)) => delivered.plus(after),
                    _ => continue,
                };
                if at <= until {
                    rows.push(OrderRow { at, subscriber, offer });
                }
            }
        }
        rows.sort_unstable();
        rows
    }

    /// Whom an offer reached, and when first.
    pub fn reached(&self, offer: Product) -> Vec<(Index, Timestamp)> {
        let reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached.iter().filter(|(k, _)| k.1 == offer).map(|(k, &at)| (k.0, at)).collect()
    }
}

impl Population for SynthPopulation {
    fn fate(&self, to: Msisdn, text: &str, at: Timestamp) -> Fate {
        let Some(i) = self.province.holder(to, at) else {
            return Fate::Failed { after: Span::secs(1), state: FailState::Undeliverable };
        };
        let (responses, message) = (self.responses(), response::message(text));
        let after = responses.delivery_delay(i, message);
        if responses.delivers(i, message) {
            Fate::Delivered { after }
        } else {
            Fate::Failed { after, state: FailState::Undeliverable }
        }
    }

    fn delivered(&self, to: Msisdn, text: &str, at: Timestamp) -> Option<Answer> {
        let i = self.province.holder(to, at)?;
        let offer = Product::in_text(text);
        if let Some(offer) = offer {
            let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
            reached.entry((i, offer)).or_insert(at);
        }
        let reply = self.responses().reply(i, offer, response::message(text))?;
        Some(Answer { after: reply.after, text: reply.word.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kairos_synth::SynthConfig;

    const TEXT: &str = "开通彩铃（RBT）回复Y，退订回复TD";

    /// Sends the offer to the first `n` subscribers and returns who ordered.
    fn orders_after(n: u32) -> Vec<OrderRow> {
        let province = Province::new(SynthConfig::china(7, 4_000)).unwrap();
        let launch = province.end();
        let p = SynthPopulation::scaled(province, launch, 2.0, 6.0);
        for i in (0..n).map(Index) {
            let Some(to) = p.province.number(i, launch) else { continue };
            if let Fate::Delivered { after } = p.fate(to, TEXT, launch) {
                p.delivered(to, TEXT, launch.plus(after));
            }
        }
        p.orders(&[Product::RingBackTone], launch.plus(response::WINDOW))
    }

    #[test]
    fn everyone_orders_at_the_baseline_and_the_reached_beyond_it() {
        let (alone, told) = (orders_after(0), orders_after(2_000));
        let ordered = |rows: &[OrderRow], i| rows.iter().any(|r| r.subscriber == i);
        assert!(alone.len() > 40 && alone.iter().any(|r| r.subscriber.0 >= 2_000), "{}", alone.len());
        assert!(told.len() > alone.len() + 100, "{} {}", told.len(), alone.len());
        for i in (2_000..4_000).map(Index) {
            assert_eq!(ordered(&told, i), ordered(&alone, i), "{i:?} was not contacted");
        }
        assert_eq!(told, orders_after(2_000));
        assert!(told.is_sorted());
    }
}
