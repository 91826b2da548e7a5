//! The mobile web (无线上网): visits to sites and programs by topic, as a DPI translation gives them; and the pages of the
//! operator's own web, WAP and app.

use crate::{
    draw::{Draws, Stream},
    habit::{self, Habit},
    province::Province,
    subscriber::Subscriber,
    text::Row,
    vocab::{Group, Payment},
};

pub(crate) const VISITS: &str = "visit_id,subscriber_id,visited_at,topic,site,app,network,seconds,volume_kb\n";
pub(crate) const PAGES: &str = "view_id,subscriber_id,viewed_at,channel,visit,step,page,source,stay_s\n";

const TOPICS: [&str; 12] = [
    "news",
    "video",
    "shopping",
    "social",
    "finance",
    "travel",
    "jobs",
    "game",
    "education",
    "health",
    "map",
    "government",
];

/// Weights of [`TOPICS`] by group.
fn topics(g: Group) -> [u32; 12] {
    match g {
        Group::Student => [8, 22, 14, 26, 1, 4, 5, 18, 14, 1, 3, 1],
        Group::Trend => [8, 24, 22, 24, 2, 5, 3, 16, 2, 2, 4, 1],
        Group::Business => [22, 6, 10, 10, 20, 14, 2, 2, 2, 3, 12, 3],
        Group::Civil => [26, 10, 12, 12, 10, 6, 1, 4, 6, 4, 4, 12],
        Group::Housewife => [8, 18, 34, 14, 3, 4, 2, 3, 10, 10, 2, 1],
        Group::Senior => [36, 18, 6, 8, 4, 2, 0, 2, 0, 24, 2, 6],
        Group::Farmer => [22, 26, 10, 12, 2, 2, 6, 6, 4, 8, 4, 6],
        Group::Migrant => [10, 26, 12, 20, 2, 8, 16, 12, 1, 2, 6, 1],
        Group::Worker => [14, 20, 18, 18, 6, 5, 6, 8, 4, 3, 5, 2],
        Group::Other => [14, 18, 16, 16, 6, 6, 4, 8, 4, 4, 4, 4],
    }
}

/// Appends a subscriber's visits; returns the rows.
pub(crate) fn visits(p: &Province, s: &Subscriber, out: &mut Vec<u8>) -> u64 {
    let Some(days) = habit::days(p, s) else { return 0 };
    let mut d = Draws::new(p.seed(), Stream::Web, s.index.0.into());
    let habit = Habit::new(s, &mut d);
    let weights = topics(s.group);
    let (favourite, second) = (d.pick(&weights), d.pick(&weights));
    let smart = [0.12, 0.8, 1.1, 1.4][usize::from(s.device.class & 3)];
    // a new need shows in the last month: who looks for work, a trip, a loan
    let need = d.chance(0.08).then(|| [6, 5, 4, 8][d.below(4) as usize]);
    let last_month = i64::from(p.months.last().map_or(0, |m| m.offset_s));
    let n = d.count(6.0 * smart * (0.4 + s.data_use.min(2.5))).min(200);
    for k in 0..n {
        let at = habit.when(&mut d, days);
        let topic = match d.below(100) {
            0..40 => favourite,
            40..55 => second,
            _ => d.pick(&weights),
        };
        let topic = need.filter(|_| at >= last_month && d.chance(0.5)).unwrap_or(topic);
        let program = s.device.class > 0 && d.chance(0.6);
        let u = d.unit();
        let site = (u * u * 6.0) as u64;
        let mut r = Row::new(p, out);
        r.int(u64::from(s.index.0) * 256 + u64::from(k)).key(s.index).time(at).text(TOPICS[topic]);
        r.part(TOPICS[topic]).int(site + 1);
        if program {
            r.part(TOPICS[topic]).text(["_one", "_plus"][usize::from(site & 1 == 1)]);
        } else {
            r.empty();
        }
        let v = d.unit();
        let seconds = 10 + (v * v * 1_500.0) as u64;
        let heavy = if topic == 1 { 40 } else { 4 };
        r.text(habit::network(s, &mut d)).int(seconds).int(5 + seconds * heavy).end();
    }
    n.into()
}

const CHANNELS: [&str; 3] = ["web", "wap", "app"];
const SECTIONS: [&str; 6] = ["bill", "recharge", "package", "offer", "points", "help"];
const SOURCES: [&str; 5] = ["direct", "search", "sms_link", "push", "banner"];

/// Appends a subscriber's page views; returns the rows.
pub(crate) fn pages(p: &Province, s: &Subscriber, out: &mut Vec<u8>) -> u64 {
    let Some(days) = habit::days(p, s) else { return 0 };
    let mut d = Draws::new(p.seed(), Stream::Pages, s.index.0.into());
    let habit = Habit::new(s, &mut d);
    let mean = match s.group {
        Group::Student | Group::Trend => 1.3,
        Group::Business | Group::Civil => 0.9,
        Group::Senior | Group::Farmer => 0.12,
        _ => 0.6,
    } * if s.payment == Payment::Online { 1.8 } else { 0.9 };
    let channel = d.pick(match s.group {
        Group::Student | Group::Trend => &[20, 15, 65],
        Group::Business | Group::Civil => &[55, 5, 40],
        _ => &[25, 25, 50],
    });
    let interest =
        d.pick(if s.payment == Payment::Online { &[20, 35, 15, 12, 10, 8] } else { &[30, 8, 22, 18, 12, 10] });
    let mut rows = 0;
    for visit in 0..d.count(mean).min(12) {
        let at = habit.when(&mut d, days);
        let on = if d.chance(0.8) { channel } else { d.below(3) as usize };
        let source = d.pick(&[45, 20, 18, 12, 5]);
        let depth = 1 + (d.unit() * d.unit() * 7.0) as u64;
        let mut second = at;
        let mut section = if d.chance(0.6) { interest } else { d.below(6) as usize };
        for step in 1..=depth {
            let stay = 3 + (d.unit() * d.unit() * 150.0) as u64;
            let sold = step > 2 && step == depth && matches!(section, 1..=3) && d.chance(0.5);
            let page = match step {
                1 if source < 2 => "home",
                _ if sold => "done",
                _ => SECTIONS[section],
            };
            let mut r = Row::new(p, out);
            r.int(u64::from(s.index.0) * 128 + rows).key(s.index).time(second).text(CHANNELS[on]);
            r.int(u64::from(visit) + 1).int(step).text(page).text(SOURCES[source]).int(stay).end();
            second += stay as i64;
            rows += 1;
            if d.chance(0.25) {
                section = d.below(6) as usize;
            }
        }
    }
    rows
}
