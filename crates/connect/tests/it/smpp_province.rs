//! The whole way to a synthetic province and back: what it does depends on what it was sent, never on when.

#![allow(clippy::unwrap_used)]

use crate::smpp_desk::{Desk, Running, config, dispatch};
use kairos_connect::channel::Dispatch;
use kairos_model::{Msisdn, Span, Timestamp, clock::SharedClock};
use kairos_smsc::{OrderRow, SimClock, Smsc, SmscConfig, SynthPopulation};
use kairos_synth::{Index, Product, Province, SynthConfig, response};
use std::{collections::BTreeSet, sync::Arc};

const OFFER: Product = Product::RingBackTone;

type Outcome = (BTreeSet<Index>, BTreeSet<(Msisdn, String)>, BTreeSet<(Index, Product)>);

fn province() -> Province {
    Province::new(SynthConfig::china(11, 3_000)).unwrap()
}

/// One message to each of the first half, over `binds` connections with `latency`.
async fn campaign(binds: usize, latency: Span) -> Outcome {
    let province = province();
    let launch = province.end();
    let of = |i: Index| province.number(i, launch);
    let message = |(n, to): (u64, Msisdn)| Dispatch {
        to, ..dispatch(n, "彩铃（RBT）首月免费，回复Y开通，退订回复TD")
    };
    let contacts: Vec<_> = (1..).zip(province.indices().take(1_500).filter_map(of)).map(message).collect();
    let sent = contacts.len();
    let population = Arc::new(SynthPopulation::scaled(province, launch, 2.0, 6.0));

    let clock: SharedClock = Arc::new(SimClock::new(launch));
    let awake = clock.begin();
    let mut centre = SmscConfig::new(clock.clone(), 3);
    centre.latency = latency;
    centre.rate_max = Some(400);
    let smsc = Smsc::start(centre, population.clone()).await.unwrap();
    let desk = Desk::new(clock.clone(), contacts);
    let running: Vec<_> = (0..binds).map(|_| Running::start(config(smsc.addr()), &desk, &clock)).collect();
    drop(awake);
    desk.until_received(sent, 0).await;
    // the last reply comes within its time: then nothing more is under way
    drop(clock.sleep_until(desk.ended_at().plus(Span::hours(7))).await);
    for r in running {
        r.stop().await;
    }
    let counts = smsc.counts();
    assert_eq!((counts.delivered + counts.failed, counts.expired, counts.accepted), (sent as u64, 0, sent as u64));
    assert_eq!(counts.replies as usize, desk.messages().len());

    let reached = population.reached(OFFER).into_iter().map(|r| r.0).collect::<BTreeSet<_>>();
    let replies = desk.messages().into_iter().map(|m| (m.from, m.text)).collect();
    let orders: Vec<OrderRow> = population.orders(&[OFFER], launch.plus(response::WINDOW));
    (reached, replies, orders.into_iter().map(|o| (o.subscriber, o.offer)).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timing_changes_nothing_and_orders_follow_the_pdus() {
    let (reached, replies, orders) = campaign(1, Span::millis(5)).await;
    assert!(reached.len() > 1_200 && reached.iter().all(|i| i.0 < 1_500), "{}", reached.len());
    assert!(replies.iter().any(|r| response::OPT_OUT_WORDS.contains(&r.1.as_str())), "{replies:?}");
    assert_eq!(campaign(3, Span::millis(250)).await, (reached, replies, orders.clone()));

    let province = province();
    let alone = SynthPopulation::scaled(province, Timestamp(0), 2.0, 6.0).orders(&[OFFER], Timestamp::MAX);
    let alone: BTreeSet<_> = alone.into_iter().map(|o| (o.subscriber, o.offer)).collect();
    let half = |set: &BTreeSet<(Index, Product)>, sent: bool| set.iter().filter(|o| (o.0.0 < 1_500) == sent).count();
    assert_eq!(half(&orders, false), half(&alone, false), "nobody sent the others anything");
    assert!(half(&orders, true) > half(&alone, true) + 50, "{} {}", half(&orders, true), half(&alone, true));
}
