//! Look-alike against a truth that is known: who uses a service was drawn from stated weights.

use crate::world::{TENANT, bytes_of, head};
use kairos_audience::{Alike, AskError, Index, Learning, Members, TagValue, Values};
use kairos_model::hash;
use kairos_rules::TagType;

const ROWS: u32 = 120_000;

fn draw(stream: u64, i: u32) -> u64 {
    hash::salted2(0x414c, stream, u64::from(i)) >> 20
}
fn flag(k: u64, i: u32) -> bool {
    draw(k, i) % 100 < 8 + 9 * k
}
fn brand(i: u32) -> u64 {
    draw(20, i) % 3
}
fn spend(i: u32) -> i64 {
    (draw(21, i) % 200) as i64
}

/// Messages and spend make a user, age is against it, the rest says nothing.
fn truth(i: u32) -> f64 {
    let score = -4.0 + if flag(0, i) { 2.2 } else { 0.0 } + if flag(1, i) { 1.4 } else { 0.0 }
        - if flag(2, i) { 1.0 } else { 0.0 }
        + if brand(i) == 2 { 1.1 } else { 0.0 }
        + if spend(i) >= 150 { 1.5 } else { 0.0 };
    1.0 / (1.0 + f64::exp(-score))
}
fn uses(i: u32) -> bool {
    hash::unit(hash::salted2(0x55, 1, u64::from(i))) < truth(i)
}

fn index() -> Index<Vec<u8>> {
    let bytes = bytes_of(head(ROWS), |b| {
        for k in 0..10u64 {
            let mut c = b.column(&format!("f{k}"), &TagType::Bool, "").unwrap();
            c.push(&Values::Bools(&(0..ROWS).map(|i| flag(k, i)).collect::<Vec<_>>()), None).unwrap();
            c.finish().unwrap();
        }
        let mut c = b.column("brand", &TagType::enumeration(["a", "b", "c"]), "").unwrap();
        c.push(&Values::Codes(&(0..ROWS).map(|i| brand(i) as u32).collect::<Vec<_>>()), None).unwrap();
        c.finish().unwrap();
        let mut c = b.column("spend", &TagType::Int, "").unwrap();
        c.push(&Values::Numbers(&(0..ROWS).map(spend).collect::<Vec<_>>()), None).unwrap();
        c.finish().unwrap();
        let mut c = b.column("is_user", &TagType::Bool, "").unwrap();
        c.push(&Values::Bools(&(0..ROWS).map(uses).collect::<Vec<_>>()), None).unwrap();
        c.finish().unwrap();
    });
    Index::open(bytes, TENANT).unwrap()
}

const HOW: Learning<'_> = Learning { seed: 5, features_max: 40, leave_out: &["is_user"] };

#[test]
fn the_model_finds_the_truth_and_says_how_good_it_is() {
    let index = index();
    let view = index.view();
    let users = Members::from_ascending((0..ROWS).filter(|i| uses(*i)));
    let everyone = view.everyone().unwrap();
    let model = Alike::learn(view, &users, &everyone, &HOW).unwrap();

    let weight = |tag: &str, value: &TagValue| {
        model.features.iter().find(|f| f.tag == tag && f.value == *value).map(|f| f.weight)
    };
    let yes = TagValue::Bool(true);
    for (tag, want) in [("f0", 2.2), ("f1", 1.4), ("f2", -1.0)] {
        let found = weight(tag, &yes).unwrap();
        assert!((found - want).abs() < 0.15, "{tag}: {found} and not {want}");
    }
    assert!(model.features.iter().all(|f| ["f0", "f1", "f2", "brand", "spend"].contains(&f.tag.as_str())));

    let g = &model.gains;
    assert_eq!((g.deciles.len(), g.deciles.iter().map(|d| d.users).sum::<u64>()), (10, g.users));
    assert!((35_000..37_000).contains(&g.of), "{}", g.of);
    // the best that anybody could do: order the hold-out's size of subscribers by the truth itself
    let mut by_truth: Vec<(f64, bool)> = (0..ROWS).map(|i| (truth(i), uses(i))).collect();
    by_truth.sort_by(|a, b| b.0.total_cmp(&a.0));
    let captured = by_truth[..ROWS as usize / 10].iter().filter(|r| r.1).count() as f64 / users.len() as f64;
    assert!((g.deciles[0].captured - captured).abs() < 0.03, "{} and at best {captured}", g.deciles[0].captured);
    // the first four fall; below them are few users, and chance
    assert!(g.deciles[..4].windows(2).all(|d| d[0].lift > d[1].lift), "{:?}", g.deciles);
    assert!((g.deciles[0].lift - 10.0 * g.deciles[0].captured).abs() < 0.01);
    assert_eq!(g.deciles[9].captured, 1.0);
    assert!((0.75..0.9).contains(&g.auc), "{}", g.auc);
    // calibrated: within four standard deviations of a count in each decile
    for d in &g.deciles {
        assert!((d.users as f64 - d.expected).abs() < 4.0 * d.expected.sqrt() + 1.0, "{d:?}");
    }
}

#[test]
fn who_looks_like_a_user_is_ranked() {
    let index = index();
    let view = index.view();
    let users = Members::from_ascending((0..ROWS).filter(|i| uses(*i)));
    let model = Alike::learn(view, &users, &view.everyone().unwrap(), &HOW).unwrap();
    let active = Members::from_ascending((0..ROWS).filter(|i| i % 2 == 0));
    let best = model.best(&active, 2_000, 9).unwrap();
    assert_eq!(best.len(), 2_000);
    assert!(best.iter().all(|(s, _)| active.contains(*s) && !users.contains(*s)));
    assert!(best.windows(2).all(|w| w[0].1 >= w[1].1));
    let mean = |all: &[u32]| all.iter().map(|i| truth(*i)).sum::<f64>() / all.len() as f64;
    let chosen: Vec<u32> = best.iter().map(|(s, _)| s.0).collect();
    let mut others: Vec<u32> = (0..ROWS).filter(|i| i % 2 == 0 && !uses(*i)).collect();
    others.sort_by(|a, b| truth(*b).total_cmp(&truth(*a)));
    assert!(mean(&chosen) > 0.95 * mean(&others[..2_000]), "{} of {}", mean(&chosen), mean(&others[..2_000]));
    // the same again, and a part of it
    assert_eq!(best, model.best(&active, 2_000, 9).unwrap());
    assert_eq!(best[..10], model.best(&active, 10, 9).unwrap()[..]);
    assert_eq!(model.best(&active, 0, 9).unwrap(), []);
}

#[test]
fn too_few_users_or_nothing_that_sets_them_apart_is_said() {
    let index = index();
    let view = index.view();
    let everyone = view.everyone().unwrap();
    let say = |users: &Members| match Alike::learn(view, users, &everyone, &HOW) {
        Err(AskError::Limit { what }) => what,
        _ => "no error".into(),
    };
    let few = Members::from_ascending((0..100).map(|i| i * 1_000));
    assert!(say(&few).ends_with("held out; at least 200 and 100 of each"), "{}", say(&few));
    let any = Members::from_ascending((0..ROWS).filter(|i| draw(77, *i) % 20 == 3));
    assert_eq!(say(&any), "no tag sets these users apart from the base; a score would be a guess");
}
