//! An index that was cut short or changed is refused; what is not verified cannot make the program panic.

use crate::world::{TENANT, World, bytes_of, head};
use kairos_audience::{Index, IndexError, MemorySets, Values};
use kairos_model::TenantId;
use kairos_rules::{Catalogue, Condition, MemoryCatalogue, TagInfo, TagType, testing};

fn small() -> Vec<u8> {
    bytes_of(head(70_000), |b| {
        let mut c = b.column("vip", &TagType::Bool, "v1").unwrap();
        let v: Vec<bool> = (0..70_000).map(|i| i % 300 == 0).collect();
        c.push(&Values::Bools(&v), None).unwrap();
        c.finish().unwrap();
        let mut c = b.column("calls", &TagType::Int, "v1").unwrap();
        let v: Vec<i64> = (0..70_000).map(|i| i64::from(i % 900 == 0) * 2).collect();
        c.push(&Values::Numbers(&v), None).unwrap();
        c.finish().unwrap();
        let mut c = b.column("plan", &TagType::Text, "v1").unwrap();
        c.push(&Values::Texts(&["basic", "gold", "basic"]), None).unwrap();
        c.finish().unwrap();
    })
}

fn opened(bytes: &[u8]) -> Result<(), IndexError> {
    Index::open(bytes, TENANT)?.verify()
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole = small();
    assert_eq!(opened(&whole), Ok(()));
    for n in 0..whole.len() {
        let error = opened(&whole[..n]).unwrap_err();
        let want = if n < 4 { "these bytes are no audience index" } else { "the audience index is cut short" };
        assert!(error.to_string().starts_with(want), "{n}: {error}");
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let whole = small();
    for i in 0..whole.len() {
        for bit in 0..8 {
            let mut bad = whole.clone();
            bad[i] ^= 1 << bit;
            assert!(opened(&bad).is_err(), "byte {i}, bit {bit}");
        }
    }
}

#[test]
fn whose_and_how_new_it_is_said() {
    let whole = small();
    let say = |e: Result<Index<&[u8]>, IndexError>| e.err().unwrap().to_string();
    assert_eq!(
        say(Index::open(&whole, TenantId(8))),
        "the audience index belongs to tenant t7, not t8; point to the tenant's own data directory"
    );
    let mut newer = whole;
    newer[4] = 9;
    assert_eq!(
        say(Index::open(&newer, TENANT)),
        "the audience index is of format 9, this program reads up to 1; use the newer program"
    );
}

/// Blocks are read without being verified: any answer or error will do, a panic will not.
#[test]
fn rubbish_in_blocks_does_not_panic() {
    let catalogue = testing::catalogue();
    let world = World::new(17, 3_000, 1, 300);
    let conditions: Vec<Condition> = (0..25).map(|i| testing::condition(i, 12, &catalogue)).collect();
    let good = crate::world::bytes_of(head(3_000), |b| {
        for tag in catalogue.tags() {
            let mut c = b.column(&tag.id, &tag.ty, "k").unwrap();
            let values: Vec<_> = world.rows.iter().map(|r| &r.values[&tag.id]).collect();
            crate::world::push(&mut c, &tag.ty, &values);
            c.finish().unwrap();
        }
    });
    // the directory stays sound, so that the rubbish gets through to the blocks
    let blocks =
        good.len() - 32 - u64::from_le_bytes(good[good.len() - 24..good.len() - 16].try_into().unwrap()) as usize;
    for seed in 0..300u64 {
        let mut bad = good.clone();
        for k in 0..1 + seed % 40 {
            let h = kairos_model::hash::salted2(1, seed, k);
            // half of it in the descriptors
            let at = if k % 2 == 0 {
                h as usize % (blocks - 64)
            } else {
                (h as usize % (blocks / 64 - 1)) * 64 + (h >> 40) as usize % 24
            };
            bad[64 + at] = (h >> 32) as u8;
        }
        let index = Index::open(bad, TENANT).unwrap();
        for c in &conditions {
            if let Ok(query) = index.view().query(c, &world.sets) {
                if let Ok(n) = query.count() {
                    assert!(n <= 65_536);
                }
                query.extract().map(|v| assert!(v.len() <= 65_536)).ok();
            }
        }
    }
}

#[test]
fn a_tag_that_went_away_and_one_that_changed() {
    let bytes = small();
    let index = Index::open(bytes, TENANT).unwrap();
    let catalogue = MemoryCatalogue::new(
        vec![
            TagInfo::new("gone", "", "", TagType::Bool),
            TagInfo::new("vip", "", "", TagType::Int),
            TagInfo::new("calls", "", "", TagType::Int),
        ],
        vec![],
        vec![kairos_rules::Named::new("mine", "", "")],
    );
    let ask = |text: &str| {
        let sets = MemorySets::default();
        let condition = Condition::parse(text, &catalogue).unwrap();
        let n = index.view().query(&condition, &sets).and_then(|q| q.count());
        n.map_or_else(|e| e.to_string(), |n| n.to_string())
    };
    assert_eq!(ask("calls = 2"), "78");
    assert_eq!(
        ask("gone = true or calls = 2"),
        "tag `gone` is not in the index of snap3; compute the tags again, or take the clause out"
    );
    assert_eq!(
        ask("vip > 3"),
        "tag `vip` is bool in the index of snap3 and int in the catalogue; compute the tags again"
    );
    assert_eq!(ask("subscriber in list mine"), "there is no list `mine`; upload it, or name one that there is");
}
