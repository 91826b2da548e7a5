//! Use of content (C6): who listened to, read, played or watched what, whose, when, by which network.

use crate::{
    draw::{Draws, Stream},
    habit::{self, Habit},
    province::Province,
    subscriber::Subscriber,
    text::Row,
    vocab::{Group, Product},
};

pub(crate) const HEADER: &str =
    "use_id,subscriber_id,used_at,service,content,creator,genre,network,seconds,price_fen,shared\n";

const SERVICES: [&str; 4] = ["music", "reading", "game", "video"];
const GENRES: [[&str; 6]; 4] = [
    ["pop", "rock", "folk", "classical", "opera", "children"],
    ["romance", "martial", "history", "suspense", "business", "youth"],
    ["puzzle", "role", "sports", "cards", "shooter", "strategy"],
    ["drama", "film", "variety", "sports", "cartoon", "news"],
];
/// Genres that a group is drawn to, of each service.
const DRAWN: [[u32; 6]; 3] = [[40, 20, 15, 5, 2, 18], [20, 10, 22, 18, 10, 20], [10, 5, 35, 12, 30, 8]];
const FAMILY: [&str; 6] = ["江", "苏", "白", "沈", "陆", "叶"];
const GIVEN: [[&str; 5]; 4] = [
    ["晚舟", "一诺", "知秋", "北辰", "小满"],
    ["青衫", "墨白", "听雨", "南山", "故人"],
    ["工坊", "互动", "游艺", "创想", "天枢"],
    ["影业", "光影", "映画", "长镜", "新片"],
];
/// Titles of a genre.
const TITLES: f64 = 30.0;
/// Titles that rise in the last month of the data: one of each service (C19).
const RISING: usize = 7;
/// Paid per use, fen.
const PRICES: [u64; 4] = [200, 100, 500, 300];

/// Mean uses of each service over the data.
fn means(p: &Province, s: &Subscriber) -> [f64; 4] {
    let smart = [0.15, 0.8, 1.1, 1.3][usize::from(s.device.class & 3)];
    let holds = |x: Product| p.holding(s, x).is_some();
    let taste = p.community(s.index).taste;
    let young = matches!(s.group, Group::Student | Group::Trend);
    [
        (0.4 + 2.2 * taste) * smart * if holds(Product::MusicClub) { 3.0 } else { 1.0 },
        0.7 * smart.max(0.5) * if holds(Product::Reading) { 8.0 } else { 1.0 },
        smart * if young { 3.5 } else { 0.8 },
        smart * s.data_use.min(2.5) * 1.8,
    ]
}

/// Appends a subscriber's uses; returns the rows.
pub(crate) fn write(p: &Province, s: &Subscriber, out: &mut Vec<u8>) -> u64 {
    let Some(days) = habit::days(p, s) else { return 0 };
    let mut d = Draws::new(p.seed(), Stream::Content, s.index.0.into());
    let habit = Habit::new(s, &mut d);
    let shares = if matches!(s.group, Group::Student | Group::Trend | Group::Business) { 0.12 } else { 0.03 };
    let drawn = match s.group {
        Group::Student | Group::Trend => 0,
        Group::Senior | Group::Farmer | Group::Civil => 2,
        _ => 1,
    };
    let last_month = i64::from(p.months.last().map_or(0, |m| m.offset_s));
    let mut rows = 0;
    for (service, mean) in means(p, s).into_iter().enumerate() {
        let (favourite, own) = (d.pick(&DRAWN[drawn]), d.below(5) as usize);
        for _ in 0..d.count(mean).min(60) {
            let at = habit.when(&mut d, days);
            let genre = if d.chance(0.65) { favourite } else { d.below(6) as usize };
            let u = d.unit();
            let mut title = (u * u * TITLES) as usize;
            // some follow one name
            if d.chance(0.4) {
                title = title / 5 * 5 + own;
            }
            let rising = at >= last_month && d.chance(0.12);
            let (genre, title) = if rising { (service, RISING) } else { (genre, title.min(29)) };
            let mut r = Row::new(p, out);
            r.int(u64::from(s.index.0) * 256 + rows).key(s.index).time(at).text(SERVICES[service]);
            code(&mut r, service, genre, title);
            creator(&mut r, service, genre, title);
            r.text(GENRES[service][genre]).text(habit::network(s, &mut d));
            let length = [150, 900, 1_200, 1_800][service];
            let seconds = 20 + (d.unit() * d.unit() * 2.0 * length as f64) as u64;
            let paid = d.chance(0.08).then_some(PRICES[service]);
            r.int(seconds).int(paid.unwrap_or(0)).flag(d.chance(shares)).end();
            rows += 1;
        }
    }
    rows
}

/// `m417`: service, genre, title.
fn code(r: &mut Row<'_>, service: usize, genre: usize, title: usize) {
    const LETTERS: [&str; 4] = ["m", "r", "g", "v"];
    r.part(LETTERS[service]).int((genre * 100 + title) as u64 + 100);
}

/// Each genre has five names; a title is always of the same.
fn creator(r: &mut Row<'_>, service: usize, genre: usize, title: usize) {
    r.part(FAMILY[genre]).text(GIVEN[service][title % 5]);
}
