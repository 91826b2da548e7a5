//! How subscribers respond, with the truth known: for every subscriber and offer the probability of an order when left
//! alone, what a delivered message adds to it, and the probability of delivery.
//!
//! Every draw is a hash of (seed, subscriber, offer or message): *when* something is asked changes nothing, and a
//! subscriber answers the same in every run. An order happens iff `u < baseline + (delivered ? uplift : 0)` with the
//! same `u` either way, so a message never prevents an order where the uplift is positive.

use crate::{
    draw::{Draws, Stream, unit_of},
    province::{Index, Province},
    subscriber::Subscriber,
    vocab::{Brand, Group, Product, Status, Trend},
};
use kairos_model::{Span, hash};

/// From the launch of a campaign to the end of its success window: what is drawn here falls inside.
pub const WINDOW: Span = Span::days(7);
/// Orders of those left alone come no earlier than this after the launch, so that a wave of a working day decides
/// everyone before the first of them, and no later than `WINDOW` − `LEAD`.
pub const LEAD: Span = Span::hours(24);
/// Orders caused by a message come at most this long after its delivery.
pub const CAUSED_WITHIN: Span = Span::hours(48);
/// Replies come at most this long after the delivery.
pub const REPLY_WITHIN: Span = Span::hours(6);

/// Words that opt out, as handsets write them.
pub const OPT_OUT_WORDS: [&str; 8] = ["T", "TD", "退订", "STOP", "QX", "取消", "unsubscribe", "不要再发"];
/// Words that accept.
pub const YES_WORDS: [&str; 4] = ["Y", "y", "是", "YES"];
const OTHER_WORDS: [&str; 6] = ["?", "谢谢", "什么业务", "在吗", "多少钱", "ok"];

/// An order of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Would have come anyway: `after` the launch of the campaign, in `LEAD ..= WINDOW − LEAD`.
    Anyway { after: Span },
    /// Came because of the message: `after` its delivery, at most [`CAUSED_WITHIN`].
    Caused { after: Span },
}

/// What a handset answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    pub kind: ReplyKind,
    /// The text of the reply.
    pub word: &'static str,
    /// After the delivery.
    pub after: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// Accepts the offer; such a subscriber also orders it, see [`Responses::order`].
    Yes,
    OptOut,
    Other,
}

/// The truth over a set of subscribers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truth {
    pub n: u64,
    /// Mean probability of an order when left alone.
    pub baseline: f64,
    /// Mean of P(order | chosen) − P(order | left alone); the delivery's probability is included.
    pub uplift: f64,
}

/// The response model over a province.
#[derive(Clone, Copy, Debug)]
pub struct Responses<'a> {
    province: &'a Province,
    baseline_times: f64,
    uplift_times: f64,
}

impl<'a> Responses<'a> {
    pub fn new(province: &'a Province) -> Self {
        Self::scaled(province, 1.0, 1.0)
    }
    /// The same strata with every baseline and every uplift multiplied; 0 for an offer that nobody would take, or a
    /// message without effect. Negative or non-finite factors count as 0.
    pub fn scaled(province: &'a Province, baseline_times: f64, uplift_times: f64) -> Self {
        let sane = |x: f64| if x.is_finite() && x > 0.0 { x } else { 0.0 };
        Self { province, baseline_times: sane(baseline_times), uplift_times: sane(uplift_times) }
    }

    /// Probability of an order within [`WINDOW`] when left alone. 0 for who holds the product or has left.
    pub fn baseline(&self, i: Index, offer: Product) -> f64 {
        self.odds(i, offer).0
    }
    /// What a delivered message adds to [`Self::baseline`]; a few are put off by it: slightly negative, but never below
    /// −baseline.
    pub fn uplift(&self, i: Index, offer: Product) -> f64 {
        self.odds(i, offer).1
    }
    /// (baseline, uplift) at once: they share the costly part.
    pub fn odds(&self, i: Index, offer: Product) -> (f64, f64) {
        let p = self.province;
        let s = p.subscriber(i);
        let held = p.holding(&s, offer).is_some_and(|h| h.until == crate::subscriber::NEVER);
        if s.status == Status::Closed || held {
            return (0.0, 0.0);
        }
        let (baseline, uplift) = strata(p, &s, offer);
        let baseline = (baseline * self.baseline_times).clamp(0.0, 1.0);
        (baseline, (uplift * self.uplift_times).clamp(-baseline, 1.0 - baseline))
    }

    /// Probability that a message reaches the handset: 0.90–0.99, mean about 0.96; 0 for who has left.
    pub fn delivery(&self, i: Index) -> f64 {
        let s = self.province.subscriber(i);
        if s.status == Status::Closed {
            return 0.0;
        }
        let off = self.province.whim(i, Stream::Delivery, 0);
        let suspended = if s.status == Status::Suspended { 0.3 } else { 0.0 };
        0.99 - 0.06 * off - suspended
    }
    /// Whether a message reaches the handset. `message` is any stable identity of it, see [`message`].
    pub fn delivers(&self, i: Index, message: u64) -> bool {
        self.draw(Stream::Delivery, i, message | 1) < self.delivery(i)
    }
    /// The receipt's delay after the submit: 0.3 s to 2 min, most under 5 s.
    pub fn delivery_delay(&self, i: Index, message: u64) -> Span {
        let u = self.draw(Stream::Delivery, i, hash::mix(message) | 1);
        Span::millis(300 + (4_000.0 * u) as i64 + if u > 0.97 { (u * 4_000_000.0) as i64 % 115_000 } else { 0 })
    }

    /// The order of an offer, if there is one. Ask it for *every* subscriber: `delivered` says whether a message with
    /// the offer reached him.
    pub fn order(&self, i: Index, offer: Product, delivered: bool) -> Option<Order> {
        self.order_at(self.odds(i, offer), i, offer, delivered)
    }
    /// As [`Self::order`], for who has the [`Self::odds`] already.
    pub fn order_at(&self, odds: (f64, f64), i: Index, offer: Product, delivered: bool) -> Option<Order> {
        let (baseline, uplift) = odds;
        let u = self.draw(Stream::Order, i, offer as u64);
        if u >= baseline + if delivered { uplift } else { 0.0 } {
            return None;
        }
        let mut d = Draws::new(self.province.seed(), Stream::Order, u64::from(i.0) << 8 | offer as u64);
        let v = d.unit();
        if u < baseline {
            let room = WINDOW.0 - 2 * LEAD.0;
            Some(Order::Anyway { after: Span(LEAD.0 + (v * room as f64) as i64) })
        } else {
            // most within hours
            let (least, room) = (Span::mins(5).0, CAUSED_WITHIN.0 - Span::mins(5).0);
            Some(Order::Caused { after: Span(least + (v * v * v * room as f64) as i64) })
        }
    }

    /// What the handset answers to a delivered message. Six in ten of those whom the message moved answer yes; a few in
    /// a thousand opt out, or write something else.
    pub fn reply(&self, i: Index, offer: Option<Product>, message: u64) -> Option<Reply> {
        let mut d = Draws::new(self.province.seed(), Stream::Reply, hash::salted2(message, i.0.into(), 1));
        let (kind_draw, word_draw, v) = (d.unit(), d.bits() as usize, d.unit());
        let moved = offer.is_some_and(|o| matches!(self.order(i, o, true), Some(Order::Caused { .. })));
        let after = Span(Span::secs(20).0 + (v * v * v * v * (REPLY_WITHIN.0 - Span::secs(20).0) as f64) as i64);
        let (kind, word) = if moved && kind_draw < 0.6 {
            (ReplyKind::Yes, YES_WORDS[word_draw % YES_WORDS.len()])
        } else if (0.6..0.604).contains(&kind_draw) {
            (ReplyKind::OptOut, OPT_OUT_WORDS[word_draw % OPT_OUT_WORDS.len()])
        } else if (0.7..0.706).contains(&kind_draw) {
            (ReplyKind::Other, OTHER_WORDS[word_draw % OTHER_WORDS.len()])
        } else {
            return None;
        };
        Some(Reply { kind, word, after })
    }

    /// The truth that an evaluation of these subscribers should find.
    pub fn truth(&self, chosen: impl IntoIterator<Item = Index>, offer: Product) -> Truth {
        let (mut n, mut base, mut up) = (0u64, 0.0, 0.0);
        for i in chosen {
            let (b, u) = self.odds(i, offer);
            n += 1;
            base += b;
            up += u * self.delivery(i);
        }
        let mean = |sum: f64| if n == 0 { 0.0 } else { sum / n as f64 };
        Truth { n, baseline: mean(base), uplift: mean(up) }
    }

    fn draw(&self, stream: Stream, i: Index, what: u64) -> f64 {
        unit_of(self.province.seed(), stream, i.0.into(), what)
    }
}

/// The identity of a message: a hash of its text, the same in every run.
pub fn message(text: &str) -> u64 {
    text.bytes().fold(0x6b61_6972_6f73, |h, b| hash::mix(h ^ u64::from(b)))
}

/// (baseline, uplift) of a stratum. The numbers are invented; they are the truth of this province.
fn strata(p: &Province, s: &Subscriber, offer: Product) -> (f64, f64) {
    let mood = match s.group {
        Group::Student => 1.2,
        Group::Trend => 1.25,
        Group::Business | Group::Civil => 0.8,
        Group::Farmer => 0.5,
        Group::Senior => 0.35,
        _ => 1.0,
    };
    let (baseline, uplift) = match offer {
        Product::RingBackTone => {
            let share = p.circle_share(s.index, offer);
            let young = if s.brand == Brand::Mzone { 1.0 } else { 0.0 };
            (0.006 + 0.016 * share + 0.004 * young, 0.012 + 0.055 * share + 0.012 * young)
        }
        Product::MobileNewspaper if !s.device.mms => (0.0005, 0.0),
        Product::MobileNewspaper => (0.008, 0.02 + if s.device.screen >= 1280 { 0.02 } else { 0.0 }),
        Product::Data10m | Product::Data50m | Product::Data500m => {
            let smart = f64::from(s.device.class) / 3.0;
            (0.004 + 0.012 * smart, 0.005 + 0.03 * smart * s.data_use.min(2.0))
        }
        Product::Messenger => (0.012, 0.03),
        Product::MusicClub | Product::Reading => (0.007, 0.022),
        Product::MmsPack if !s.device.mms => (0.0, 0.0),
        Product::MmsPack => (0.005, 0.015),
        Product::MissedCall => (0.009, 0.025),
        Product::Vpmn => (0.004, 0.01),
        Product::Wlan => (0.003, 0.012),
    };
    let baseline = baseline * (0.5 + 0.5 * mood);
    let fading = if s.trend == Trend::Declining { 0.6 } else { 1.0 };
    match p.whim(s.index, Stream::Response, offer as u64) {
        // some never look at a message, some are put off by it
        x if x < 0.10 => (baseline, 0.0),
        x if x < 0.13 => (baseline, -0.004),
        _ => (baseline, uplift * mood * fading),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SynthConfig;

    const RBT: Product = Product::RingBackTone;

    fn province() -> Province {
        Province::new(SynthConfig::china(7, 20_000)).unwrap()
    }

    /// Active non-owners of whose circle at least half owns a ring-back tone.
    fn audience(p: &Province) -> Vec<Index> {
        let wanted =
            |&i: &Index| p.subscriber(i).status == Status::Active && !p.holds(i, RBT) && p.circle_share(i, RBT) >= 0.5;
        p.indices().filter(wanted).collect()
    }

    #[test]
    fn the_audience_of_the_ring_back_campaign_is_worth_a_message() {
        let p = province();
        let (r, chosen) = (Responses::new(&p), audience(&p));
        let t = r.truth(chosen.iter().copied(), RBT);
        assert!(t.n > 1_500, "{t:?}");
        assert!((0.01..0.02).contains(&t.baseline), "{t:?}");
        assert!((0.03..0.06).contains(&t.uplift), "{t:?}");
        let everyone = r.truth(p.indices(), RBT);
        assert!(everyone.uplift < t.uplift * 0.6, "{everyone:?} {t:?}");
        assert_eq!(r.truth([], RBT), Truth { n: 0, baseline: 0.0, uplift: 0.0 });
    }

    #[test]
    fn frequencies_are_the_probabilities() {
        let p = province();
        let r = Responses::new(&p);
        let (mut alone, mut told, mut delivered, n) = (0.0, 0.0, 0.0, 20_000.0);
        for i in p.indices() {
            let there = r.delivers(i, message("RBT 1"));
            delivered += f64::from(u8::from(there));
            alone += f64::from(u8::from(r.order(i, RBT, false).is_some()));
            told += f64::from(u8::from(r.order(i, RBT, there).is_some()));
        }
        let t = r.truth(p.indices(), RBT);
        assert!((alone / n - t.baseline).abs() < 0.002, "{alone} {t:?}");
        assert!(((told - alone) / n - t.uplift).abs() < 0.0025, "{told} {alone} {t:?}");
        assert!((0.93..0.97).contains(&(delivered / n)), "{delivered}");
    }

    #[test]
    fn a_message_only_adds_orders_where_its_uplift_is_positive() {
        let p = province();
        let r = Responses::new(&p);
        let (mut yes, mut out, mut other) = (0, 0, 0);
        for i in p.indices() {
            let (b, u) = r.odds(i, RBT);
            assert!((0.0..0.06).contains(&b) && (-b..0.15).contains(&u), "{b} {u}");
            let (alone, told) = (r.order(i, RBT, false), r.order(i, RBT, true));
            match alone {
                Some(Order::Anyway { after }) => {
                    assert!((LEAD..=Span(WINDOW.0 - LEAD.0)).contains(&after));
                    assert!(told == alone || u < 0.0);
                }
                Some(Order::Caused { .. }) => panic!("nothing caused it"),
                None => {}
            }
            match r.reply(i, Some(RBT), 77).map(|x| x.kind) {
                Some(ReplyKind::Yes) => {
                    yes += 1;
                    assert!(matches!(told, Some(Order::Caused { after }) if after <= CAUSED_WITHIN));
                }
                Some(ReplyKind::OptOut) => out += 1,
                Some(ReplyKind::Other) => other += 1,
                None => {}
            }
        }
        assert!(yes > 100 && (40..130).contains(&out) && (70..180).contains(&other), "{yes} {out} {other}");
    }

    #[test]
    fn a_scaled_model_keeps_its_strata() {
        let p = province();
        let i = audience(&p)[0];
        let (one, other) = (Responses::new(&p), Responses::scaled(&p, 2.0, 0.0));
        assert_eq!(other.odds(i, RBT), (2.0 * one.baseline(i, RBT), 0.0));
        assert_eq!(Responses::scaled(&p, f64::NAN, -1.0).odds(i, RBT), (0.0, 0.0));
    }
}
