//! Row evaluation.

use crate::{naive, read};
use kairos_model::{CellId, LocalDay, hash};
use kairos_rules::{
    Compiled, Facts, Members, TagType, Value,
    testing::{self, AS_OF, OwnedValue, Row, RowFacts},
    trace,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A row with every tag NULL but those named.
fn row(values: &[(&str, OwnedValue)], lists: &[&str]) -> Row {
    let mut row = testing::row(0, i64::MAX, &testing::catalogue());
    row.values.values_mut().for_each(|v| *v = OwnedValue::Null);
    for (tag, v) in values {
        row.values.insert((*tag).to_owned(), v.clone());
    }
    row.lists = lists.iter().map(|l| (*l).to_owned()).collect();
    row
}

fn eval(text: &str, row: &Row) -> Option<bool> {
    let compiled = read(text).compile();
    compiled.eval(&row.facts(&compiled), AS_OF)
}

const T: Option<bool> = Some(true);
const F: Option<bool> = Some(false);
const U: Option<bool> = None;

#[test]
fn unknown_is_neither_true_nor_false() {
    let nobody_knows = row(&[], &[]);
    let table = [
        ("senior", U),
        ("not senior", U),
        ("senior or not senior", U),
        ("senior and calls = 1", U),
        ("senior and nobody", F),
        ("senior or everyone", T),
        ("not (senior and nobody)", T),
        ("calls != 1", U),
        ("calls between 1 and 2 or calls not between 1 and 2", U),
        ("calls in (1, 2) or calls not in (1, 2)", U),
        ("calls is known", F),
        ("calls is unknown and not calls is known", T),
        ("interests has music", U),
        ("interests has none (music, reading)", U),
        ("plan starts with \"\"", U),
        ("home_cell in area campus", U),
        ("home_cell in area nowhere", U),
        ("subscriber in list owners", F),
        ("subscriber not in list owners", T),
    ];
    for (text, want) in table {
        assert_eq!(eval(text, &nobody_knows), want, "{text}");
    }
}

#[test]
fn empty_lists_are_decided_without_looking() {
    for row in [row(&[], &[]), testing::row(3, i64::MAX, &testing::catalogue())] {
        let table = [
            ("calls in ()", F),
            ("calls not in ()", T),
            ("not calls in ()", T),
            ("interests has any ()", F),
            ("interests has none ()", T),
            ("interests has all ()", T),
            ("interests not has all ()", F),
        ];
        for (text, want) in table {
            assert_eq!(eval(text, &row), want, "{text}");
        }
    }
    let nothing = row(&[("interests", OwnedValue::Set(vec![]))], &[]);
    assert_eq!(eval("interests has music", &nothing), F);
    assert_eq!(eval("interests has all (music, sport)", &nothing), F);
    assert_eq!(eval("interests has none (music)", &nothing), T);
    assert_eq!(eval("interests is known", &nothing), T);
}

#[test]
fn money_is_exact_at_its_limits() {
    let of = |micros| row(&[("arpu", OwnedValue::Micros(micros))], &[]);
    let table = [
        (i64::MAX, "arpu = 9223372036854.775807 yuan", T),
        (i64::MAX - 1, "arpu = 9223372036854.775807 yuan", F),
        (i64::MAX - 1, "arpu < 9223372036854.775807 yuan", T),
        (i64::MAX, "arpu > 9223372036854.775807 yuan", F),
        (i64::MIN, "arpu < -9223372036854.775808 yuan", F),
        (i64::MIN, "arpu <= -9223372036854.775808 yuan", T),
        (i64::MIN, "not arpu >= -9223372036854.775807 yuan", T),
        (80_000_000, "arpu >= 80 yuan", T),
        (79_999_999, "arpu >= 80 yuan", F),
        (79_999_999, "arpu between 79.999999 yuan and 80 yuan", T),
        (80_000_000, "arpu between 90 yuan and 70 yuan", F),
    ];
    for (micros, text, want) in table {
        assert_eq!(eval(text, &of(micros)), want, "{micros} {text}");
    }
}

#[test]
fn days_move_with_the_snapshot() {
    let joined = row(&[("joined", OwnedValue::Day("2025-09-01".parse().unwrap()))], &[]);
    let compiled = read("joined before 6 months ago").compile();
    let on = |day: &str| {
        let day: LocalDay = day.parse().unwrap();
        let free = compiled.eval(&joined.facts(&compiled), day);
        let bound = compiled.clone().bound(day);
        assert_eq!(bound.eval(&joined.facts(&bound), LocalDay(0)), free, "{day}");
        free
    };
    assert_eq!((on("2026-03-01"), on("2026-03-02")), (F, T));
}

#[test]
fn a_value_of_another_type_counts_as_unknown() {
    struct Wrong;
    impl Facts for Wrong {
        fn value(&self, _: usize) -> Value<'_> {
            Value::Int(80)
        }
        fn in_list(&self, _: usize) -> bool {
            false
        }
        fn in_area(&self, _: usize, _: CellId) -> bool {
            true
        }
    }
    for text in [
        "arpu >= 1 yuan",
        "not arpu >= 1 yuan",
        "senior",
        "plan = \"\"",
        "home_cell in area campus",
        "joined after today",
    ] {
        assert_eq!(read(text).compile().eval(&Wrong, AS_OF), U, "{text}");
    }
    assert_eq!(read("calls = 80").compile().eval(&Wrong, AS_OF), T);
}

/// The same row with enums as codes and sets as bits, as an engine would hold them.
struct Packed<'a> {
    inner: RowFacts<'a>,
    values: Vec<PackedValue>,
}

enum PackedValue {
    AsIs,
    Code(u32),
    Bits([u64; 2]),
}

fn packed<'a>(row: &'a Row, compiled: &Compiled) -> Packed<'a> {
    let value = |id: &str, ty: &TagType| match (&row.values[id], ty) {
        (OwnedValue::Text(t), TagType::Enum { .. }) => PackedValue::Code(ty.code(t).unwrap()),
        (OwnedValue::Set(all), TagType::Set { values }) if !values.is_empty() => {
            let bits = all.iter().fold(0, |bits, w| bits | 1u64 << ty.code(w).unwrap());
            PackedValue::Bits([bits, 0])
        }
        _ => PackedValue::AsIs,
    };
    let values = compiled.tags().iter().map(|t| value(&t.id, &t.ty)).collect();
    Packed { inner: row.facts(compiled), values }
}

impl Facts for Packed<'_> {
    fn value(&self, tag: usize) -> Value<'_> {
        match &self.values[tag] {
            PackedValue::AsIs => self.inner.value(tag),
            PackedValue::Code(c) => Value::Code(*c),
            PackedValue::Bits(bits) => Value::Set(Members::Bits(bits)),
        }
    }
    fn in_list(&self, list: usize) -> bool {
        self.inner.in_list(list)
    }
    fn in_area(&self, area: usize, cell: CellId) -> bool {
        self.inner.in_area(area, cell)
    }
}

#[test]
fn the_generator_reaches_every_operator_of_every_type_with_every_verdict() {
    let catalogue = testing::catalogue();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for seed in 0..20_000u64 {
        let c = testing::condition(seed, 1, &catalogue);
        let row = testing::row(hash::mix(seed), i64::MAX, &catalogue);
        let compiled = c.compile();
        let verdict = compiled.eval(&row.facts(&compiled), AS_OF);
        c.root().leaves(&mut |l| {
            let test = match l {
                kairos_rules::Leaf::InList { .. } => "list".to_owned(),
                kairos_rules::Leaf::Tag(t) => {
                    let test = format!("{:?}", t.test);
                    let end = test.find([' ', '(']).unwrap_or(test.len());
                    let cmp = test.find(',').filter(|_| test.starts_with("Compare")).unwrap_or(end);
                    format!("{} {}", t.ty.name(), &test[..cmp.max(end)])
                }
            };
            seen.insert(format!("{test} {verdict:?}"));
        });
    }
    let of = |verdict: &str| seen.iter().filter(|s| s.ends_with(verdict)).count();
    // 10 types × (known, unknown) = 20; bool 2; int, decimal, money, text, date, duration 6 + between + in = 48;
    // text 2 more; enum 2 + in = 3; cell 2 + in + area = 4; set 1; list 1: 81 tests, of which all but 20 + 1 can be unknown
    assert_eq!((of("Some(true)"), of("Some(false)"), of("None")), (81, 81, 60), "{seen:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn rows_agree_with_the_naive_evaluator(seed: u64, clauses in 1usize..40, rows: u64, day in -800i32..800) {
        let catalogue = testing::catalogue();
        let c = testing::condition(seed, clauses, &catalogue);
        let as_of = AS_OF.plus_days(day);
        let compiled = c.compile();
        let bound = compiled.clone().bound(as_of);
        for i in 0..20 {
            let row = testing::row(hash::salted(rows, i), i64::MAX, &catalogue);
            let want = naive::eval(c.root(), &row, as_of);
            prop_assert_eq!(compiled.eval(&row.facts(&compiled), as_of), want, "{} {:?}", c.text(), row);
            prop_assert_eq!(bound.eval(&row.facts(&bound), LocalDay(0)), want);
            prop_assert_eq!(compiled.eval(&packed(&row, &compiled), as_of), want);
            let traced = trace(&c, &catalogue, &row.facts(&compiled), as_of, kairos_rules::Lang::En);
            prop_assert_eq!(traced.verdict(), want);
        }
    }
}
