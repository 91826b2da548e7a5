//! A small operator: random rows of `kairos_rules::testing`, their index, and the answer row by row.

use kairos_audience::{Builder, Head, Index, Members, MemorySets, Values};
use kairos_model::{LocalDay, SnapshotId, TenantId, Timestamp};
use kairos_rules::{
    Catalogue, Compiled, Condition, TagType,
    testing::{self, OwnedValue, Row},
};

pub const TENANT: TenantId = TenantId(7);

pub struct World {
    pub index: Index<Vec<u8>>,
    pub sets: MemorySets,
    /// Row `i` is of ordinal `ordinals[i]`; the others of the index do not exist.
    pub ordinals: Vec<u32>,
    pub rows: Vec<Row>,
}

pub fn head(rows: u32) -> Head {
    Head { tenant: TENANT, snapshot: SnapshotId(3), as_of: Timestamp(1_772_323_200_000_000), day: testing::AS_OF, rows }
}

pub fn bytes_of(head: Head, build: impl FnOnce(&mut Builder<Vec<u8>>)) -> Vec<u8> {
    let mut b = Builder::begin(Vec::new(), head).unwrap();
    build(&mut b);
    b.finish().unwrap().0
}

fn numbers(all: &[&OwnedValue]) -> Vec<i64> {
    let number = |v: &&OwnedValue| match v {
        OwnedValue::Int(n) | OwnedValue::Micros(n) | OwnedValue::Seconds(n) => *n,
        OwnedValue::Day(LocalDay(d)) => i64::from(*d),
        // must not be looked at
        _ => 77,
    };
    all.iter().map(number).collect()
}

/// Writes the values of some rows; NULLs carry rubbish.
pub fn push<W: std::io::Write>(to: &mut kairos_audience::ColumnWriter<'_, W>, ty: &TagType, all: &[&OwnedValue]) {
    let valid: Vec<bool> = all.iter().map(|v| **v != OwnedValue::Null).collect();
    let valid = Some(valid.as_slice());
    let text =
        |v: &&'_ OwnedValue| -> String { if let OwnedValue::Text(t) = v { t.clone() } else { "rubbish".into() } };
    match ty {
        TagType::Bool => {
            let v: Vec<bool> = all.iter().map(|v| **v != OwnedValue::Bool(false)).collect();
            to.push(&Values::Bools(&v), valid).unwrap();
        }
        TagType::Int | TagType::Decimal | TagType::Money(_) | TagType::Date | TagType::Duration => {
            to.push(&Values::Numbers(&numbers(all)), valid).unwrap();
        }
        TagType::Cell => {
            let cell = |v: &&OwnedValue| if let OwnedValue::Cell(c) = v { c.0 } else { 2 };
            to.push(&Values::Cells(&all.iter().map(cell).collect::<Vec<_>>()), valid).unwrap();
        }
        TagType::Text => {
            let v: Vec<String> = all.iter().map(text).collect();
            to.push(&Values::Texts(&v.iter().map(String::as_str).collect::<Vec<_>>()), valid).unwrap();
        }
        TagType::Enum { .. } => {
            let code = |v: &&OwnedValue| if let OwnedValue::Text(t) = v { ty.code(t).unwrap() } else { 99 };
            to.push(&Values::Codes(&all.iter().map(code).collect::<Vec<_>>()), valid).unwrap();
        }
        TagType::Set { .. } => {
            let (mut ends, mut words) = (Vec::new(), Vec::new());
            for v in all {
                match v {
                    OwnedValue::Set(s) => words.extend(s.iter().map(String::as_str)),
                    _ => words.push("rubbish"),
                }
                ends.push(words.len() as u32);
            }
            to.push(&Values::Sets { ends: &ends, words: &words }, valid).unwrap();
        }
    }
}

pub fn areas() -> Vec<(String, Vec<kairos_model::CellId>)> {
    testing::catalogue().areas().map(|a| (a.id.clone(), testing::area_cells(&a.id).to_vec())).collect()
}

impl World {
    /// `rows` rows from a seed; ordinals `i × stride` exist. The rows are `distinct` ones in turn: few, so that making
    /// them costs little, many enough that no block is like another.
    pub fn new(seed: u64, rows: usize, stride: u32, distinct: usize) -> Self {
        let catalogue = testing::catalogue();
        let pool: Vec<Row> =
            (0..distinct).map(|i| testing::row(seed * 1_000_003 + i as u64, i64::MAX, &catalogue)).collect();
        let pick = |i: usize| {
            // long runs of one row, so that blocks are also empty, full and sparse
            let h = kairos_model::hash::mix(seed ^ (i as u64 >> 3));
            if i % 200_000 < 70_000 { &pool[(h % 2) as usize] } else { &pool[(h % distinct as u64) as usize] }
        };
        let rows: Vec<&Row> = (0..rows).map(pick).collect();
        let ordinals: Vec<u32> = (0..rows.len() as u32).map(|i| i * stride).collect();
        let total = ordinals.last().map_or(0, |o| o + 1);
        let bytes = bytes_of(head(total), |b| {
            if stride > 1 {
                b.universe(ordinals.iter().copied()).unwrap();
            }
            for tag in catalogue.tags() {
                let mut c = b.column(&tag.id, &tag.ty, "k").unwrap();
                let values: Vec<&OwnedValue> = rows.iter().map(|r| &r.values[&tag.id]).collect();
                if stride == 1 {
                    // in uneven parts
                    values.chunks(70_001).for_each(|part| push(&mut c, &tag.ty, part));
                } else {
                    for (o, v) in ordinals.iter().zip(&values) {
                        let gap = u64::from(*o) - c.row();
                        c.skip(gap).unwrap();
                        push(&mut c, &tag.ty, &[*v]);
                    }
                }
                c.finish().unwrap();
            }
        });
        let index = Index::open(bytes, TENANT).unwrap();
        index.verify().unwrap();
        let list = |id: &str| {
            let of = ordinals.iter().zip(&rows).filter(|(_, r)| r.lists.contains(id)).map(|(o, _)| *o);
            (id.to_owned(), Members::from_ascending(of))
        };
        let sets = MemorySets { lists: ["owners", "no one"].map(list).into(), areas: areas().into_iter().collect() };
        Self { index, sets, rows: rows.into_iter().cloned().collect(), ordinals }
    }

    /// The ordinals for whom the row evaluation says true.
    pub fn by_row(&self, condition: &Condition) -> Vec<u32> {
        let compiled: Compiled = condition.compile().bound(testing::AS_OF);
        let yes = self.rows.iter().zip(&self.ordinals);
        yes.filter(|(r, _)| compiled.eval(&r.facts(&compiled), testing::AS_OF) == Some(true)).map(|(_, o)| *o).collect()
    }

    pub fn check(&self, condition: &Condition) {
        let query = self.index.view().query(condition, &self.sets).unwrap();
        let want = self.by_row(condition);
        assert_eq!(query.count().unwrap(), want.len() as u64, "{}", condition.text());
        assert_eq!(query.extract().unwrap(), want, "{}", condition.text());
        assert_eq!(query.members().unwrap().to_vec(), want, "{}", condition.text());
        let halves = query.view().blocks() / 2;
        let parts = [0..halves, halves..query.view().blocks()].map(|r| query.count_in(r).unwrap());
        assert_eq!(parts.iter().sum::<u64>(), want.len() as u64);
    }
}
