//! The device library (终端库), and which handset a subscriber used when.

use crate::{
    draw::{Draws, Stream},
    province::Province,
    subscriber::{NEVER, Subscriber},
    text::Row,
    vocab::DEVICES,
};

pub(crate) const LIBRARY: &str =
    "tac,brand,model,os,generation,screen_width,screen_height,mms,dual_sim,camera_mp,released,price_yuan\n";
pub(crate) const HISTORY: &str = "subscriber_id,tac,first_seen,last_seen\n";

/// Real codes of older handsets: an excerpt of the Osmocom TAC database; see `data/README.md` for source and licence.
const EXCERPT: &str = include_str!("../data/tac-excerpt.csv");
/// Codes of the excerpt: plain handsets first, then those that run programs.
const PLAIN: [u32; 9] =
    [35_060_680, 35_795_500, 35_393_201, 35_225_501, 35_292_402, 35_114_500, 35_144_100, 35_212_600, 35_191_600];
const SMART: [u32; 19] = [
    86_859_002, 86_429_802, 86_122_901, 86_450_302, 86_662_102, 86_489_502, 86_763_402, 86_751_502, 86_365_703,
    35_675_904, 35_568_404, 86_482_602, 1_242_200, 1_334_500, 35_920_507, 35_200_505, 35_750_605, 35_312_107,
    35_500_205,
];
/// Per class of the present handset: another within the data, another before it, both in 1,000.
const CHANGES: [(u64, u64); 4] = [(40, 200), (90, 380), (120, 520), (170, 620)];

/// Appends the whole library; returns its rows.
pub(crate) fn library(p: &Province, out: &mut Vec<u8>) -> u64 {
    for d in &DEVICES {
        // model, generation, width, camera in megapixels, year, price in yuan by class and height
        let generation = match (d.class, d.five_g) {
            (0, _) => "2g",
            (_, true) => "5g",
            _ => "4g",
        };
        let newer = u64::from(d.screen > 1_900);
        let (width, camera, year, price) = match d.class {
            0 => (u64::from(d.screen) * 3 / 4, u64::from(d.mms), 2012 + u64::from(d.mms), 200),
            1 => (720, 13, 2018, 1_000 + u64::from(d.screen)),
            2 => (750 + 330 * newer, 12 + 36 * newer, 2017 + 5 * newer, 2_500 + u64::from(d.screen) / 2),
            _ => (1_200, 50, 2024, 4_000 + u64::from(d.screen)),
        };
        let mut r = Row::new(p, out);
        r.int(d.tac.into()).text(d.brand);
        model(&mut r, d.class, d.screen);
        r.text(d.os).text(generation).int(width).int(d.screen.into()).flag(d.mms);
        r.flag(d.class > 0 && d.os != "ios").int(camera).int(year).int(price).end();
    }
    out.extend_from_slice(EXCERPT.as_bytes());
    DEVICES.len() as u64 + EXCERPT.lines().count() as u64
}

/// A made-up name: the series of the class.
fn model(r: &mut Row<'_>, class: u8, screen: u32) {
    let series = ["Classic", "Lite", "Plus", "Pro"][usize::from(class & 3)];
    r.text(match (series, screen % 4) {
        ("Classic", _) if screen < 300 => "Classic 1",
        ("Classic", _) => "Classic 2",
        ("Lite", _) => "Lite 5",
        ("Plus", 0) => "Plus 8",
        ("Plus", _) => "Plus 7",
        (_, _) => "Pro 12",
    });
}

/// Appends a subscriber's handsets, oldest first; returns the rows.
pub(crate) fn history(p: &Province, s: &Subscriber, out: &mut Vec<u8>) -> u64 {
    let mut d = Draws::new(p.seed(), Stream::Devices, s.index.0.into());
    let length = i64::from(p.length_s());
    let (within, before) = CHANGES[usize::from(s.device.class & 3)];
    let first = s.joined_s.max(-1_600 * 86_400) + 7_200;
    let last = s.left_s.min(length) - 86_400;
    let roll = d.below(1_000);
    let (u, v) = (d.unit(), d.unit());
    let changed = match roll {
        x if x < within => Some((first.max(0), last)),
        x if x < within + before => Some((first.max(-900 * 86_400), last.min(0))),
        _ => None,
    };
    let mut rows = 0;
    let mut row = |tac: u32, since: i64, until: Option<i64>| {
        Row::new(p, out).key(s.index).int(tac.into()).time(since).maybe_time(until).end();
        rows += 1;
    };
    let mut since = first;
    if let Some((from, to)) = changed.filter(|(from, to)| from + 2 * 86_400 < *to) {
        let at = from + (u * (to - from) as f64) as i64;
        let former = earlier(s, &mut d);
        if d.chance(0.3) && at - first > 200 * 86_400 {
            let middle = first + (v * (at - first) as f64) as i64;
            row(earlier(s, &mut d), first, Some(middle));
            since = middle + 60;
        }
        row(former, since, Some(at));
        since = at + 60;
    }
    row(s.device.tac, since, (s.left_s != NEVER).then_some(s.left_s));
    rows
}

/// The handset before: mostly an older one, of the same maker a third of the time for who has a smartphone.
fn earlier(s: &Subscriber, d: &mut Draws) -> u32 {
    let (plain, same, other) =
        (d.chance([0.9, 0.35, 0.12, 0.05][usize::from(s.device.class & 3)]), d.chance(0.3), d.bits());
    let own: u32 = match s.device.brand {
        "Apple" => [1_242_200, 1_334_500, 35_920_507][(other % 3) as usize],
        "Samsung" => [35_200_505, 35_750_605, 35_312_107][(other % 3) as usize],
        "Huawei" => [86_429_802, 86_122_901, 86_450_302][(other % 3) as usize],
        "Xiaomi" => [86_489_502, 86_763_402, 86_751_502][(other % 3) as usize],
        "Oppo" => [35_675_904, 35_568_404, 86_482_602][(other % 3) as usize],
        _ => PLAIN[(other % 9) as usize],
    };
    match (plain, same) {
        (true, _) => PLAIN[(other % 9) as usize],
        (false, true) => own,
        (false, false) => SMART[(other >> 8) as usize % SMART.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SynthConfig;
    use std::collections::BTreeSet;

    #[test]
    fn every_handset_in_use_is_in_the_library_once() {
        let p = Province::new(SynthConfig::china(1, 3_000)).unwrap();
        let mut bytes = Vec::new();
        let rows = library(&p, &mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let known: Vec<u32> = text.lines().map(|l| l.split(',').next().unwrap().parse().unwrap()).collect();
        let set: BTreeSet<u32> = known.iter().copied().collect();
        assert_eq!((set.len(), known.len() as u64), (known.len(), rows));
        assert!(PLAIN.iter().chain(&SMART).all(|t| set.contains(t)));
        let mut seen = BTreeSet::new();
        for i in p.indices() {
            let mut bytes = Vec::new();
            history(&p, &p.subscriber(i), &mut bytes);
            let text = String::from_utf8(bytes).unwrap();
            let mut before = String::new();
            for line in text.lines() {
                let c: Vec<_> = line.split(',').collect();
                seen.insert(c[1].parse::<u32>().unwrap());
                assert!(before.as_str() < c[2] && (c[3].is_empty() || c[2] < c[3]), "{text}");
                before = c[3].to_owned();
            }
        }
        assert!(seen.is_subset(&set) && seen.len() > 40, "{}", seen.len());
    }
}
