//! Reverse query: what was planted is found first, what was not is not believed.

use crate::world::{TENANT, bytes_of, head};
use kairos_audience::{AskError, Contrast, Index, Members, TagValue, Values, tags_apart};
use kairos_model::{CellId, hash};
use kairos_rules::TagType;

const ROWS: u32 = 200_000;

fn draw(stream: u64, i: u32) -> u64 {
    hash::salted2(0x41, stream, u64::from(i)) >> 20
}
/// One in forty.
fn in_list(i: u32) -> bool {
    draw(1, i).is_multiple_of(40)
}

/// 60 booleans, 20 enums, 20 numbers, a cell; in `planted` the list is unlike the rest.
fn index(planted: bool) -> Index<Vec<u8>> {
    let marked = |i: u32, k: u64| planted && in_list(i) && draw(900 + k, i).is_multiple_of(3);
    let bytes = bytes_of(head(ROWS), |b| {
        for k in 0..60u64 {
            let mut c = b.column(&format!("b{k}"), &TagType::Bool, "").unwrap();
            let v: Vec<bool> = (0..ROWS).map(|i| draw(100 + k, i) % 100 < k || (k == 7 && marked(i, 0))).collect();
            let known: Vec<bool> = (0..ROWS).map(|i| k % 4 != 0 || !draw(200 + k, i).is_multiple_of(50)).collect();
            c.push(&Values::Bools(&v), Some(&known)).unwrap();
            c.finish().unwrap();
        }
        for k in 0..20u64 {
            let ty = TagType::enumeration(["a", "b", "c", "d", "e"]);
            let mut c = b.column(&format!("w{k}"), &ty, "").unwrap();
            let v: Vec<u32> =
                (0..ROWS).map(|i| if k == 3 && marked(i, 1) { 2 } else { (draw(300 + k, i) % 5) as u32 }).collect();
            c.push(&Values::Codes(&v), None).unwrap();
            c.finish().unwrap();
        }
        for k in 0..20u64 {
            let mut c = b.column(&format!("n{k}"), &TagType::Int, "").unwrap();
            let v: Vec<i64> = (0..ROWS)
                .map(|i| if k == 5 && marked(i, 2) { 990 } else { (draw(400 + k, i) % 1_000) as i64 - 500 })
                .collect();
            c.push(&Values::Numbers(&v), None).unwrap();
            c.finish().unwrap();
        }
        let mut c = b.column("home", &TagType::Cell, "").unwrap();
        let v: Vec<u32> =
            (0..ROWS).map(|i| if marked(i, 3) { 77_777 } else { (draw(500, i) % 3_000) as u32 }).collect();
        c.push(&Values::Cells(&v), None).unwrap();
        c.finish().unwrap();
    });
    Index::open(bytes, TENANT).unwrap()
}

fn list() -> Members {
    Members::from_ascending((0..ROWS).filter(|i| in_list(*i)))
}

#[test]
fn what_was_planted_comes_first() {
    let index = index(true);
    let view = index.view();
    let contrast = Contrast::new(view, &list(), &view.everyone().unwrap()).unwrap();
    // by parts, as several threads would
    let mut tallies = Vec::new();
    for from in (0..contrast.columns()).step_by(17) {
        tallies.extend(contrast.tally(from..(from + 17).min(contrast.columns())).unwrap());
    }
    let found = contrast.rank(tallies).unwrap();
    assert_eq!(found, contrast.findings().unwrap());
    let first: Vec<(&str, &TagValue)> = tags_apart(&found).iter().take(4).map(|f| (f.tag.as_str(), &f.value)).collect();
    assert_eq!(first.len(), 4);
    for planted in
        [("b7", TagValue::Bool(true)), ("w3", TagValue::Word("c".into())), ("home", TagValue::Cell(CellId(77_777)))]
    {
        assert!(first.contains(&(planted.0, &planted.1)), "{planted:?} is not among {first:?}");
    }
    let bin = found.iter().find(|f| f.tag == "n5").unwrap();
    assert!(matches!(bin.value, TagValue::Bin(Some(low), None) if low > 300 && low < 500), "{bin:?}");
    // counted by hand
    let b7 = found.iter().find(|f| f.tag == "b7" && f.value == TagValue::Bool(true)).unwrap();
    let has = |i: &u32| draw(107, *i) % 100 < 7 || (in_list(*i) && draw(900, *i).is_multiple_of(3));
    assert_eq!(b7.in_base, (0..ROWS).filter(has).count() as u64);
    assert_eq!(b7.in_set, (0..ROWS).filter(|i| in_list(*i)).filter(has).count() as u64);
    assert!(b7.lift > 4.0 && b7.q < 1e-9);
}

#[test]
fn where_nothing_was_planted_nothing_is_believed() {
    let index = index(false);
    let view = index.view();
    let found = Contrast::new(view, &list(), &view.everyone().unwrap()).unwrap().findings().unwrap();
    assert!(found.len() > 3_000, "{}", found.len());
    assert_eq!(found.iter().filter(|f| f.q < 0.05).count(), 0, "{:?}", &found[0]);
    // p-values of nothing are even: about one in twenty below 0.05 (those of the rare cells are steps, and cautious)
    let common: Vec<_> = found.iter().filter(|f| f.tag != "home").collect();
    let low = common.iter().filter(|f| f.ln_p < 0.05f64.ln()).count() as f64 / common.len() as f64;
    assert!((0.03..0.07).contains(&low), "{low}");
}

#[test]
fn bins_hold_everyone_once() {
    let index = index(true);
    let view = index.view();
    let base = Members::from_ascending((0..ROWS).filter(|i| i % 3 > 0));
    let contrast = Contrast::new(view, &list(), &base).unwrap();
    let found = contrast.findings().unwrap();
    for k in 0..20 {
        let of = found.iter().filter(|f| f.tag == format!("n{k}"));
        let (set, base) = of.fold((0, 0), |(s, b), f| (s + f.in_set, b + f.in_base));
        assert_eq!((set, base), contrast.sizes());
    }
}

#[test]
fn a_list_outside_of_the_base_or_equal_to_it_says_so() {
    let index = index(false);
    let everyone = index.view().everyone().unwrap();
    let say = |set: &Members| match Contrast::new(index.view(), set, &everyone) {
        Err(AskError::Limit { what }) => what,
        _ => "no error".into(),
    };
    assert_eq!(say(&Members::from_ascending([ROWS + 9])), "nobody of the list is in the base");
    assert_eq!(say(&everyone), "the list is the whole base: nothing sets it apart; widen the base");
}
