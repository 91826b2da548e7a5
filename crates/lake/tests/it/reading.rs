//! Reading: as of, limits, damage.

use crate::kit::{File, ask, at, import, open, zone};
use expect_test::expect;
use kairos_lake::{Lake, LakeError, LakeOptions, Mode, SqlLimits};
use kairos_model::{
    CampaignId, CampaignVersion, DecisionRecord, PlaybookId, Reason, SnapshotId, SubscriberId, TenantId, Verdict,
    WaveNo, decision::ReasonSet,
};

const PRODUCTS: File = File {
    name: "products.csv",
    table: "product",
    mode: Mode::Append,
    as_of: "2026-03-02T00:00:00Z",
    keys: &["subscriber", "product", "since"],
    rows: "subscriber:subscriber product:text since:time until:time price:money
           1 ring_back_tone 2026-01-05T00:00:00Z 2026-02-10T00:00:00Z 5
           1 reading        2026-02-20T00:00:00Z -                    3
           2 vpmn           2026-03-01T00:00:00Z -                    9223372036854.775807",
};

#[tokio::test]
async fn later_rows_and_later_ends_do_not_leak() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path());
    import(&lake, &PRODUCTS, &[]);
    let q = "select product, until, price, as_of_date() as today from product order by since";
    expect![[r#"
        +----------------+-------+----------+------------+
        | product        | until | price    | today      |
        +----------------+-------+----------+------------+
        | ring_back_tone |       | 5.000000 | 2026-02-01 |
        +----------------+-------+----------+------------+"#]]
    .assert_eq(&ask(&lake, "2026-02-01T00:00:00Z", q).await);
    expect![[r#"
        +----------------+----------------------+---------------------+------------+
        | product        | until                | price               | today      |
        +----------------+----------------------+---------------------+------------+
        | ring_back_tone | 2026-02-10T00:00:00Z | 5.000000            | 2026-03-02 |
        | reading        |                      | 3.000000            | 2026-03-02 |
        | vpmn           |                      | 922337203685.477580 | 2026-03-02 |
        +----------------+----------------------+---------------------+------------+"#]]
    .assert_eq(&ask(&lake, "2026-03-01T16:00:00Z", q).await);
    // every table is there, also without a row
    expect![[r#"
        +---+
        | n |
        +---+
        | 0 |
        +---+"#]]
    .assert_eq(&ask(&lake, "2026-03-01T16:00:00Z", "select count(subscriber) as n from usage where charge > 1").await);
}

#[tokio::test]
async fn sql_reads_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path());
    import(&lake, &PRODUCTS, &[]);
    let now = at("2026-03-02T00:00:00Z");
    for q in [
        "create table x as select 1",
        "insert into product select * from product",
        "drop table product",
        "copy product to '/tmp/out.parquet'",
        "set datafusion.execution.batch_size = 1",
        "create external table p stored as parquet location '/'",
    ] {
        let e = lake.sql(now, q, SqlLimits::default()).await.unwrap_err();
        assert!(matches!(e, LakeError::ReadOnly { .. }), "{q}: {e:?}");
    }
    let e = lake.sql(now, "select * from '/etc/passwd'", SqlLimits::default()).await.unwrap_err();
    assert!(matches!(e, LakeError::Query { .. }));
    let cut = lake.sql(now, "select * from product", SqlLimits { rows: 2, seconds: 9 }).await.unwrap();
    assert_eq!((cut.batches.iter().map(|b| b.num_rows()).sum::<usize>(), cut.truncated), (2, true));
    let plan = lake.sql(now, "explain select * from product", SqlLimits::default()).await.unwrap();
    assert!(kairos_lake::to_text(&plan.batches).unwrap().contains("DataSourceExec"));
    assert!(ask(&lake, "2026-03-02T00:00:00Z", "show tables").await.contains("contact_log"));
    // SQL's own clock is the time asked for
    expect![[r#"
        +----------------------+------------+------------+
        | t                    | d          | start      |
        +----------------------+------------+------------+
        | 2026-02-28T17:00:00Z | 2026-03-01 | 2026-02-01 |
        +----------------------+------------+------------+"#]]
    .assert_eq(
        &ask(&lake, "2026-02-28T17:00:00Z", "select now() as t, current_date as d, month_date(1) as start").await,
    );
    // 10^10 pairs: it ends because it must
    let endless =
        "select count(*) from generate_series(1,100000) a, generate_series(1,100000) b where a.value % 7 = b.value % 5";
    let e = lake.sql(now, endless, SqlLimits { rows: 1, seconds: 0 }).await.unwrap_err();
    assert!(matches!(e, LakeError::TooLong { seconds: 0 }), "{e}");
}

#[tokio::test]
async fn the_trail_is_mirrored_once_by_position() {
    let dir = tempfile::tempdir().unwrap();
    let options = LakeOptions { mirror_files: 3, ..LakeOptions::default() };
    let lake = Lake::open(dir.path(), TenantId(1), zone(), options).unwrap();
    let record = |n: u32, verdict| DecisionRecord {
        stamp: at("2026-03-02T01:00:00Z"),
        subscriber: SubscriberId(n),
        campaign: CampaignId(1),
        version: CampaignVersion(1),
        wave: WaveNo(1),
        treatment: 0,
        verdict,
        snapshot: SnapshotId(1),
        playbook: PlaybookId(1),
    };
    let all = ReasonSet::EMPTY.with(Reason::OtherCampaign).with(Reason::QuietHours);
    let withheld = Verdict::Withheld { primary: Reason::OtherCampaign, all, by: Some(CampaignId(9)) };
    for n in 0..8u64 {
        let b = kairos_lake::decision_batch(&[record(n as u32, if n % 2 == 0 { Verdict::Send } else { withheld })]);
        assert!(lake.append_rows("decision", "p0", n, n + 1, &b).unwrap());
        assert!(!lake.append_rows("decision", "p0", n, n + 1, &b).unwrap(), "again changes nothing");
    }
    let b = kairos_lake::decision_batch(&[]);
    let gap = lake.append_rows("decision", "p0", 20, 21, &b).unwrap_err();
    assert!(matches!(gap, LakeError::Position { have: 8, .. }));
    drop(lake);
    let lake = Lake::open(dir.path(), TenantId(1), zone(), options).unwrap();
    assert_eq!(lake.position("decision", "p0"), 8);
    expect![[r#"
        +----------+----------------+---------+---------+---+
        | verdict  | reason         | reasons | held_by | n |
        +----------+----------------+---------+---------+---+
        | send     |                | 0       |         | 4 |
        | withheld | other_campaign | 1152    | 9       | 4 |
        +----------+----------------+---------+---------+---+"#]]
    .assert_eq(
        &ask(&lake, "2026-03-02T01:00:00Z", "select verdict, reason, reasons, held_by, count(distinct subscriber) as n from decision group by 1,2,3,4 order by 1").await,
    );
    let parquet = crate::kit::files(dir.path()).into_iter().filter(|f| f.ends_with(".parquet")).count();
    assert!(parquet < 8, "small files are merged: {parquet}");
}

#[test]
fn damage_and_strangers_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path());
    import(&lake, &PRODUCTS, &[]);
    drop(lake);
    let path = dir.path().join("MANIFEST.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let said = |text: &str, tenant: u16| {
        std::fs::write(&path, text).unwrap();
        let e = Lake::open(dir.path(), TenantId(tenant), zone(), LakeOptions::default()).err().unwrap();
        e.to_string().replace(&dir.path().canonicalize().unwrap().display().to_string(), "DIR")
    };
    expect!["`DIR/MANIFEST.json` has format 2, newer than 1 which this program reads; use the newer program"]
        .assert_eq(&said(&text.replace("{\"format\":1", "{\"format\":2"), 1));
    expect!["`DIR/MANIFEST.json` is damaged: its checksum does not match; restore it from a backup"]
        .assert_eq(&said(&text.replace("products.csv", "produces.csv"), 1));
    expect!["`DIR/MANIFEST.json` is damaged: its end is missing; restore it from a backup"]
        .assert_eq(&said(&text[..text.len() - 9], 1));
    expect!["`DIR/MANIFEST.json` belongs to t1, not to t2; give the data directory of t2"].assert_eq(&said(&text, 2));
}

#[test]
fn parquet_sources_come_as_text_and_broken_ones_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path());
    import(&lake, &PRODUCTS, &[]);
    let path = dir.path().join("product/i00000001.parquet");
    let mut source = kairos_lake::source::parquet_rows(&path).unwrap();
    assert_eq!(source.names(), ["subscriber", "product", "since", "until", "price"]);
    let chunk = source.next_chunk().unwrap().unwrap();
    let row: Vec<_> = chunk.columns.iter().map(|c| c.get(0)).collect();
    let (since, until) = (Some("2026-01-05T00:00:00Z"), Some("2026-02-10T00:00:00Z"));
    assert_eq!(row, [Some("1"), Some("ring_back_tone"), since, until, Some("5.000000")]);
    assert_eq!((chunk.first_row, chunk.rows, chunk.columns[3].get(1)), (1, 3, None));
    assert!(source.next_chunk().unwrap().is_none());
    let bytes = std::fs::read(&path).unwrap();
    let broken = dir.path().join("broken.parquet");
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    let e = kairos_lake::source::parquet_rows(&broken).err().unwrap();
    assert!(e.to_string().starts_with("cannot read as Parquet `"), "{e}");
    let mut hole = bytes.clone();
    hole[8..40].fill(0xff);
    std::fs::write(&broken, &hole).unwrap();
    let e = kairos_lake::source::parquet_rows(&broken).unwrap().next_chunk().unwrap_err();
    assert!(e.to_string().contains("is damaged: from row 1 on it cannot be read"), "{e}");
}
