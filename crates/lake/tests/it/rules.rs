//! One condition, one answer: row evaluation and SQL over random conditions and rows.

use crate::kit::{File, at, import, open};
use kairos_lake::{Lake, Mode, Sets, TagCatalogue};
use kairos_model::{Currency, SnapshotId};
use kairos_rules::{
    Catalogue, Condition, TagType,
    testing::{self, OwnedValue, Row},
};
use roaring::RoaringBitmap;

/// 2026-03-01 in Shanghai, the day about which the generator's dates lie.
const AS_OF: &str = "2026-03-01T04:00:00Z";

/// SQL that gives exactly this value in the tag's type.
fn literal(v: &OwnedValue, ty: &TagType) -> String {
    let quoted = |t: &str| format!("'{}'", t.replace('\'', "''"));
    let typed = |v: &str| match ty {
        TagType::Bool => format!("cast({v} as boolean)"),
        TagType::Decimal | TagType::Money(_) => format!("cast({v} as decimal(38, 6))"),
        TagType::Text | TagType::Enum { .. } => format!("cast({v} as varchar)"),
        TagType::Date => format!("cast({v} as date)"),
        _ => format!("cast({v} as bigint)"),
    };
    match v {
        OwnedValue::Null if matches!(ty, TagType::Set { .. }) => "cast(null as varchar[])".to_owned(),
        OwnedValue::Null => typed("null"),
        OwnedValue::Bool(b) => b.to_string(),
        OwnedValue::Int(n) | OwnedValue::Seconds(n) => typed(&quoted(&n.to_string())),
        OwnedValue::Micros(n) => {
            let exact = kairos_model::Money::micros(*n, Currency::CNY).amount();
            typed(&quoted(&exact))
        }
        OwnedValue::Text(t) => quoted(t),
        OwnedValue::Set(all) if all.is_empty() => "cast(make_array() as varchar[])".to_owned(),
        OwnedValue::Set(all) => format!("make_array({})", all.iter().map(|w| quoted(w)).collect::<Vec<_>>().join(", ")),
        OwnedValue::Day(d) => typed(&quoted(&d.to_string())),
        OwnedValue::Cell(c) => typed(&c.0.to_string()),
    }
}

/// A tag file whose one source is the rows themselves.
fn tag_file(rows: &[Row]) -> String {
    let catalogue = testing::catalogue();
    let mut sql = String::new();
    for (s, row) in rows.iter().enumerate() {
        if s > 0 {
            sql += "\nunion all ";
        }
        let cells: Vec<String> =
            catalogue.tags().map(|t| format!("{} as {}", literal(&row.values[&t.id], &t.ty), t.id)).collect();
        sql += &format!("select {s} as subscriber, {}", cells.join(", "));
    }
    let quote = |t: &str| toml::Value::String(t.to_owned()).to_string();
    let mut file = format!("[[source]]\nid = \"rows\"\nsql = {}\n", quote(&sql));
    for t in catalogue.tags() {
        let values = match &t.ty {
            TagType::Enum { values } | TagType::Set { values } => values.to_vec(),
            _ => Vec::new(),
        };
        let values: Vec<String> =
            values.iter().map(|v| format!("{{ value = {0}, zh = {0}, en = {0} }}", quote(v))).collect();
        file += &format!(
            "[[tag]]\nid = \"{0}\"\nzh = \"z\"\nen = \"e\"\naspect = \"basic\"\ncategory = \"c\"\ntype = \"{1}\"\n\
             from = \"rows\"\nvalue = \"{0}\"\nowner = \"o\"\nrefresh = \"daily\"\ndescription = \"d\"\nvalues = [{2}]\n",
            t.id,
            t.ty.name(),
            values.join(", ")
        );
    }
    // the generator has one amount in dollars; a tenant has one currency
    file
}

fn sets(rows: &[Row]) -> Sets {
    let mut sets = Sets::default();
    for a in testing::catalogue().areas() {
        sets.add_area(a.clone(), testing::area_cells(&a.id).to_vec());
    }
    for l in testing::catalogue().lists() {
        let members: RoaringBitmap =
            (0..rows.len() as u32).filter(|&s| rows[s as usize].lists.contains(&l.id)).collect();
        sets.add_list(l.clone(), members);
    }
    sets
}

async fn filled(dir: &std::path::Path, rows: &[Row]) -> (Lake, SnapshotId, Sets) {
    let lake = open(dir);
    let all = (0..rows.len()).map(|s| s.to_string()).collect::<Vec<_>>().join("\n");
    let text = format!("subscriber:subscriber\n{all}");
    import(
        &lake,
        &File { name: "s.csv", table: "subscriber", mode: Mode::Snapshot, as_of: AS_OF, keys: &[], rows: &text },
        &[],
    );
    let sets = sets(rows);
    let files = [("rows.toml".to_owned(), tag_file(rows))];
    let catalogue = TagCatalogue::parse(&files, Currency::CNY, sets.clone()).unwrap_or_else(|e| panic!("{e}"));
    let report = lake.compute_tags(&catalogue, at(AS_OF), at(AS_OF)).await.unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(report.computed.len(), catalogue.defs().len());
    assert_eq!(report.snapshot.subscribers(), rows.len() as u64);
    (lake, report.snapshot.id(), sets)
}

#[tokio::test]
async fn rows_and_sql_answer_alike() {
    let dir = tempfile::tempdir().unwrap();
    let catalogue = testing::catalogue();
    let rows: Vec<Row> = (0..60).map(|seed| testing::row(seed, i64::MAX, &catalogue)).collect();
    let (lake, snapshot, sets) = filled(dir.path(), &rows).await;
    let stored = lake.snapshot(snapshot).unwrap();
    assert!(
        stored.tags.iter().all(|t| t.unlisted == 0),
        "{:?}",
        stored.tags.iter().map(|t| (&t.id, t.unlisted)).collect::<Vec<_>>()
    );
    // what was stored is what was given, to the last millionth
    let ids: Vec<&str> = catalogue.tags().map(|t| t.id.as_str()).collect();
    let values = lake.values(snapshot, &ids, None).unwrap();
    for (s, row) in rows.iter().enumerate() {
        for (i, id) in ids.iter().enumerate() {
            let (got, want) = (values.get(s, i), row.values[*id].borrow());
            assert_eq!(got.borrow(), want, "subscriber {s}, {id}");
        }
    }
    let (mut seen, mut others, mut selected) = (0, 0, 0);
    for seed in 0..1_000u64 {
        let clauses = if seed % 100 == 99 { 500 } else { 12 };
        let c: Condition = testing::condition(seed, clauses, &catalogue);
        let compiled = c.compile();
        let want: RoaringBitmap = (0..rows.len() as u32)
            .filter(|&s| compiled.eval(&rows[s as usize].facts(&compiled), testing::AS_OF) == Some(true))
            .collect();
        // the snapshot's money is in its tenant's currency, and the index refuses a condition in another one
        let foreign = c.tags().iter().any(|t| matches!(t.ty, TagType::Money(of) if of != Currency::CNY));
        if foreign {
            let e = lake.select(snapshot, &c, &sets).unwrap_err().to_string();
            assert!(e.contains("money in USD"), "{e}");
            assert_eq!(lake.select_by_sql(snapshot, &c, &sets).unwrap(), want, "seed {seed}: {}", c.text());
            others += 1;
            continue;
        }
        let got = lake.select(snapshot, &c, &sets).unwrap_or_else(|e| panic!("seed {seed}: {}\n{e:?}", c.text()));
        assert_eq!(got, want, "seed {seed}: {}", c.text());
        assert_eq!(lake.count(snapshot, &c, &sets).unwrap(), want.len());
        let by_sql =
            lake.select_by_sql(snapshot, &c, &sets).unwrap_or_else(|e| panic!("seed {seed}: {}\n{e:?}", c.text()));
        assert_eq!(by_sql, want, "seed {seed}, by SQL: {}", c.text());
        seen += 1;
        selected += want.len();
    }
    assert!(seen + others == 1_000 && seen > 400 && selected > 5_000, "{seen} {others} {selected}");
}

#[tokio::test]
async fn what_a_snapshot_lacks_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let catalogue = testing::catalogue();
    let rows: Vec<Row> = (0..3).map(|seed| testing::row(seed, 1_000, &catalogue)).collect();
    let (lake, snapshot, _) = filled(dir.path(), &rows).await;
    let c = Condition::parse("home_cell in area campus", &catalogue).unwrap();
    let said = |e: kairos_lake::LakeError| e.to_string();
    expect_test::expect!["there is no area `campus`; upload it, or name one that there is"]
        .assert_eq(&said(lake.select(snapshot, &c, &Sets::default()).unwrap_err()));
    expect_test::expect!["there is no snapshot snap9; list them with `kairos tag list`"]
        .assert_eq(&said(lake.select(SnapshotId(9), &c, &Sets::default()).unwrap_err()));
    let other = kairos_rules::MemoryCatalogue::new(
        vec![
            kairos_rules::TagInfo::new("calls", "", "", TagType::Text),
            kairos_rules::TagInfo::new("gone", "", "", TagType::Bool),
        ],
        vec![],
        vec![],
    );
    let c = Condition::parse("gone", &other).unwrap();
    expect_test::expect!["snapshot snap1 has no tag `gone`; compute the tags again"]
        .assert_eq(&said(lake.select(snapshot, &c, &Sets::default()).unwrap_err()));
    let c = Condition::parse("calls = \"many\"", &other).unwrap();
    expect_test::expect!["tag `calls` is int in snap1 and text in the condition; compute the tags again"]
        .assert_eq(&said(lake.select(snapshot, &c, &Sets::default()).unwrap_err()));
}
