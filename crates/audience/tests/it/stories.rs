//! Building: what is refused, what is carried over, what never changes.

use crate::world::{TENANT, bytes_of, head};
use kairos_audience::{Builder, Index, Members, MemorySets, Values};
use kairos_rules::{Condition, MemoryCatalogue, Named, TagInfo, TagType};

fn catalogue() -> MemoryCatalogue {
    MemoryCatalogue::new(
        vec![
            TagInfo::new("vip", "", "", TagType::Bool),
            TagInfo::new("calls", "", "", TagType::Int),
            TagInfo::new("plan", "", "", TagType::Text),
            TagInfo::new("brand", "", "", TagType::enumeration(["a", "b"])),
        ],
        vec![],
        vec![Named::new("big", "", "")],
    )
}

fn count(index: &Index<Vec<u8>>, sets: &MemorySets, text: &str) -> u64 {
    let condition = Condition::parse(text, &catalogue()).unwrap();
    index.view().query(&condition, sets).unwrap().count().unwrap()
}

fn plan_of(i: u64) -> &'static str {
    ["basic", "gold", "night"][(kairos_model::hash::mix(i) % 3) as usize]
}

/// An index of `rows` rows; columns of `old` are carried over and only the tail is pushed.
fn build(rows: u32, old: Option<&Index<Vec<u8>>>) -> (Index<Vec<u8>>, usize) {
    let mut b = Builder::begin(Vec::new(), head(rows)).unwrap();
    for tag in ["vip", "calls", "plan", "brand"] {
        let ty = catalogue_type(tag);
        let (mut c, from) = match old {
            Some(old) => b.carry(old, tag, &ty, "v1").unwrap(),
            None => (b.column(tag, &ty, "v1").unwrap(), 0),
        };
        let rows = u64::from(from)..u64::from(rows);
        match tag {
            "vip" => c.push(&Values::Bools(&rows.map(|i| i % 7 == 0).collect::<Vec<_>>()), None).unwrap(),
            "calls" => {
                c.push(&Values::Numbers(&rows.map(|i| (i % 1_000) as i64 * 10).collect::<Vec<_>>()), None).unwrap();
            }
            "plan" => c.push(&Values::Texts(&rows.map(plan_of).collect::<Vec<_>>()), None).unwrap(),
            _ => c.push(&Values::Codes(&rows.map(|i| (i % 2) as u32).collect::<Vec<_>>()), None).unwrap(),
        }
        c.finish().unwrap();
    }
    let (bytes, built) = b.finish().unwrap();
    assert_eq!(built.bytes, bytes.len() as u64);
    let index = Index::open(bytes, TENANT).unwrap();
    index.verify().unwrap();
    (index, built.carried)
}

fn catalogue_type(tag: &str) -> TagType {
    use kairos_rules::Catalogue;
    catalogue().tag(tag).unwrap().ty.clone()
}

#[test]
fn unchanged_columns_are_carried_over_and_grow() {
    let (old, _) = build(150_000, None);
    let (fresh, carried) = build(200_000, None);
    assert_eq!(carried, 0);
    let (grown, carried) = build(200_000, Some(&old));
    assert_eq!(carried, 4);
    for (a, b) in fresh.columns().zip(grown.columns()) {
        assert_eq!((&a.id, a.content, a.known, a.range, &a.bins), (&b.id, b.content, b.known, b.range, &b.bins));
    }
    let sets = MemorySets::default();
    for text in ["vip = true", "calls between 100 and 900", "plan = \"gold\"", "brand != a"] {
        assert_eq!(count(&fresh, &sets, text), count(&grown, &sets, text), "{text}");
    }
    let mut b = Builder::begin(Vec::new(), head(200_000)).unwrap();
    let refused = |r: Result<_, kairos_audience::BuildError>| r.err().unwrap().to_string();
    assert_eq!(
        refused(b.carry(&old, "vip", &TagType::Bool, "v2").map(|_| ())),
        "column `vip`: key or type differ from those of the old index; build it from its values"
    );
    assert_eq!(
        refused(b.carry(&old, "nix", &TagType::Bool, "v1").map(|_| ())),
        "column `nix`: the old index lacks it; build it from its values"
    );
}

#[test]
fn a_list_of_five_million() {
    let index = Index::open(bytes_of(head(10_000_000), |_| {}), TENANT).unwrap();
    let big = Members::from_ascending((0..10_000_000).step_by(2));
    let sets = MemorySets { lists: [("big".to_owned(), big)].into(), ..MemorySets::default() };
    assert_eq!(count(&index, &sets, "subscriber in list big"), 5_000_000);
    assert_eq!(count(&index, &sets, "subscriber not in list big"), 5_000_000);
}

#[test]
fn what_cannot_be_built_says_why() {
    let mut b = Builder::begin(Vec::new(), head(3)).unwrap();
    let say = |r: Result<(), kairos_audience::BuildError>| r.unwrap_err().to_string();
    assert_eq!(say(b.column("1a", &TagType::Bool, "").map(|_| ())), "column `1a`: that is no id of a tag");
    assert_eq!(
        say(b.universe([2, 1])),
        "the audience index cannot be built: subscriber 1 is out of order or past 3 rows"
    );
    let mut b = Builder::begin(Vec::new(), head(3)).unwrap();
    let mut c = b.column("brand", &catalogue_type("brand"), "").unwrap();
    assert_eq!(say(c.push(&Values::Codes(&[0, 2]), None)), "column `brand`: there is no word of code 2");
    assert_eq!(say(c.push(&Values::Bools(&[true]), None)), "column `brand`: these are no values of enum");
    assert_eq!(say(c.skip(4)), "column `brand`: more values than the index has rows (3)");
    assert_eq!(say(b.finish().map(|_| ())), "column `brand`: it was begun and not finished");
}

#[test]
fn an_index_of_nobody_is_an_index() {
    let bytes = bytes_of(head(0), |b| {
        for tag in ["vip", "calls", "plan", "brand"] {
            b.column(tag, &catalogue_type(tag), "").unwrap().finish().unwrap();
        }
    });
    let index = Index::open(bytes, TENANT).unwrap();
    index.verify().unwrap();
    let sets = MemorySets::default();
    for text in ["everyone", "calls > 3", "not (plan starts with \"g\" or brand = a)", "vip is unknown"] {
        assert_eq!(count(&index, &sets, text), 0, "{text}");
    }
    assert!(index.view().everyone().unwrap().is_empty());
}

/// The bytes of format 1. A change of them needs a new version, and the old file must still be read.
#[test]
fn the_format_stays() {
    let bytes = bytes_of(head(66_000), |b| {
        b.universe((0..66_000).filter(|i| i % 66 != 5)).unwrap();
        for (tag, ty) in [
            ("vip", TagType::Bool),
            ("calls", TagType::Int),
            ("fee", TagType::Money(kairos_model::Currency::CNY)),
            ("plan", TagType::Text),
            ("brand", TagType::enumeration(["a", "b"])),
            ("likes", TagType::set(["x", "y"])),
            ("home", TagType::Cell),
        ] {
            let mut c = b.column(tag, &ty, "k1").unwrap();
            c.skip(1_000).unwrap();
            match &ty {
                TagType::Bool => c.push(&Values::Bools(&[true, false, true]), Some(&[true, true, false])),
                TagType::Int => c.push(&Values::Numbers(&[5, -7, 1 << 40]), None),
                TagType::Money(_) => c.push(&Values::Numbers(&[1_000_000, 5_000_000]), None),
                TagType::Text => c.push(&Values::Texts(&["gold", "天", "gold"]), None),
                TagType::Enum { .. } => c.push(&Values::Texts(&["b", "a"]), None),
                TagType::Set { .. } => c.push(&Values::Sets { ends: &[2, 2], words: &["y", "x"] }, None),
                _ => c.push(&Values::Cells(&[70_000, 3]), None),
            }
            .unwrap();
            c.finish().unwrap();
        }
    });
    let golden = include_bytes!("../golden/v1.kidx");
    assert!(bytes == golden, "{} bytes, golden {}", bytes.len(), golden.len());
    let index = Index::open(golden.to_vec(), TENANT).unwrap();
    index.verify().unwrap();
    let sets = MemorySets::default();
    assert_eq!(count(&index, &sets, "vip = true"), 1);
    assert_eq!(count(&index, &sets, "calls > 4"), 2);
    assert_eq!(count(&index, &sets, "plan = \"gold\" and vip is unknown"), 1);
    assert_eq!(count(&index, &sets, "everyone"), 65_000);
    assert_eq!(index.vocabulary("plan").unwrap(), ["gold", "天"]);
}
