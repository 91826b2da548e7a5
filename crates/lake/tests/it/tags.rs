//! Tags: the catalogue's faults, exact values, what is computed again, audiences.

use crate::kit::{File, ask, at, files, import, open};
use expect_test::expect;
use kairos_lake::{Lake, LakeError, Mode, Sets, TagCatalogue, TagValue};
use kairos_model::{Currency, SnapshotId};
use kairos_rules::Condition;

const TAGS: &str = r#"
[[source]]
id = "spend"
sql = "select subscriber, sum(charge) as spend, count(*) as records from usage group by subscriber"

[[source]]
id = "register"
sql = "select subscriber, brand, joined from subscriber"

[[tag]]
id = "spend_total"
zh = "总消费"
en = "total spend"
aspect = "communication"
category = "spend"
type = "money"
from = "spend"
value = "spend"
default = 0
owner = "market"
refresh = "daily"
description = "Sum of charges"

[[tag]]
id = "records"
zh = "话单数"
en = "records"
aspect = "communication"
category = "activity"
type = "int"
from = "spend"
value = "records"
owner = "market"
refresh = "daily"
description = "Number of records"

[[tag]]
id = "brand"
zh = "品牌"
en = "brand"
aspect = "basic"
category = "contract"
type = "enum"
from = "register"
value = "brand"
owner = "market"
refresh = "monthly"
description = "Brand"
values = [{ value = "gotone", zh = "全球通", en = "GoTone" }, { value = "mzone", zh = "动感地带", en = "M-Zone" }]

[[tag]]
id = "tenure_days"
zh = "在网天数"
en = "days in the network"
aspect = "basic"
category = "contract"
type = "int"
sql = "select subscriber, as_of_date() - joined as value from subscriber"
owner = "market"
refresh = "daily"
description = "Days since joining"

[[tag]]
id = "good"
zh = "优质"
en = "good customer"
aspect = "basic"
category = "value"
type = "bool"
condition = "busy and brand = gotone"
owner = "market"
refresh = "daily"
description = "Busy on the first brand"

[[tag]]
id = "busy"
zh = "活跃"
en = "busy"
aspect = "basic"
category = "value"
type = "bool"
condition = "records >= 2"
owner = "market"
refresh = "daily"
description = "Two records or more"
"#;

fn catalogue(text: &str) -> TagCatalogue {
    TagCatalogue::parse(&[("tags.toml".to_owned(), text.to_owned())], Currency::CNY, Sets::default())
        .unwrap_or_else(|e| panic!("{e}"))
}

const REGISTER: File = File {
    name: "subscribers.csv",
    table: "subscriber",
    mode: Mode::Snapshot,
    as_of: "2026-02-01T00:00:00Z",
    keys: &["subscriber"],
    rows: "subscriber:subscriber brand:text joined:date
           1 gotone 2025-12-01
           2 gotone 2026-01-01
           3 mzone  -
           4 other  2026-01-31",
};

const USAGE: File = File {
    name: "usage.csv",
    table: "usage",
    mode: Mode::Append,
    as_of: "2026-02-01T00:00:00Z",
    keys: &["subscriber", "at"],
    rows: "subscriber:subscriber kind:text at:time charge:money
           1 data 2026-01-05T08:00:00Z 0.30
           1 data 2026-01-06T08:00:00Z 0.000001
           2 data 2026-01-07T08:00:00Z 5
           2 data 2026-02-10T08:00:00Z 7
           9 data 2026-01-07T08:00:00Z 1",
};

fn filled(dir: &std::path::Path) -> Lake {
    let lake = open(dir);
    import(&lake, &REGISTER, &[]);
    import(&lake, &USAGE, &[]);
    lake
}

const Q: &str = "select * from tags order by subscriber";

#[tokio::test]
async fn tags_have_exact_values_as_of_then() {
    let dir = tempfile::tempdir().unwrap();
    let lake = filled(dir.path());
    let t = at("2026-02-01T04:00:00Z");
    let r = lake.compute_tags(&catalogue(TAGS), t, t).await.unwrap();
    assert_eq!((r.new, r.computed.len(), r.passes.len(), r.snapshot.id()), (true, 6, 3, SnapshotId(1)));
    // subscriber 9 is no customer as of then, 2's call of 10 February has not happened
    expect![[r#"
        +------------+-------------+---------+--------+-------------+-------+-------+
        | subscriber | spend_total | records | brand  | tenure_days | busy  | good  |
        +------------+-------------+---------+--------+-------------+-------+-------+
        | 1          | 0.300001    | 2       | gotone | 62          | true  | true  |
        | 2          | 5.000000    | 1       | gotone | 31          | false | false |
        | 3          | 0.000000    |         | mzone  |             |       | false |
        | 4          | 0.000000    |         |        | 1           |       |       |
        +------------+-------------+---------+--------+-------------+-------+-------+"#]]
    .assert_eq(&ask(&lake, "2026-02-01T04:00:00Z", Q).await);
    expect![[r#"
        spend_total coverage 1.00 fresh 2026-01-07T08:00:00Z tables usage source spend
        records coverage 0.50 fresh 2026-01-07T08:00:00Z tables usage source spend
        brand coverage 0.75 fresh 2026-02-01T00:00:00Z unlisted 1 tables subscriber source register
        tenure_days coverage 0.75 fresh 2026-02-01T00:00:00Z tables subscriber
        busy coverage 0.50 fresh 2026-01-07T08:00:00Z tables usage reads records
        good coverage 0.75 fresh 2026-02-01T00:00:00Z tables subscriber,usage reads busy,brand
    "#]]
    .assert_eq(&described(&r.snapshot));
    // later: the later call is there, the earlier snapshot is as it was
    let later = at("2026-02-11T00:00:00Z");
    let r = lake.compute_tags(&catalogue(TAGS), later, later).await.unwrap();
    assert_eq!(r.snapshot.id(), SnapshotId(2));
    let spend = |id| lake.values(SnapshotId(id), &["spend_total"], None).unwrap().get(1, 0);
    assert_eq!((spend(1), spend(2)), (TagValue::Micros(5_000_000), TagValue::Micros(12_000_000)));
    assert!(
        ask(&lake, "2026-02-05T00:00:00Z", "select spend_total from tags where subscriber = 2")
            .await
            .contains("5.000000")
    );
}

fn described(s: &kairos_lake::Snapshot) -> String {
    let mut out = String::new();
    for t in &s.tags {
        out += &format!("{} coverage {:.2}", t.id, t.coverage());
        out += &t.freshness.map_or(String::new(), |f| format!(" fresh {}", kairos_model::Timestamp(f)));
        if t.unlisted > 0 {
            out += &format!(" unlisted {}", t.unlisted);
        }
        out += &format!(" tables {}", t.tables.join(","));
        out += &t.source.as_ref().map_or(String::new(), |s| format!(" source {s}"));
        if !t.reads.is_empty() {
            out += &format!(" reads {}", t.reads.join(","));
        }
        out += "\n";
    }
    out
}

#[tokio::test]
async fn only_what_changed_is_computed_again() {
    let dir = tempfile::tempdir().unwrap();
    let lake = filled(dir.path());
    let mut said = String::new();
    let mut note = |what: &str, r: &kairos_lake::SnapshotReport| {
        let new = if r.new { "new" } else { "same" };
        said += &format!(
            "{what}: {new} {}, queries {}, computed [{}], reused {}\n",
            r.snapshot.id(),
            r.passes.len(),
            r.computed.join(" "),
            r.snapshot.tags.len() - r.computed.len()
        );
    };
    let (t, next) = (at("2026-02-01T04:00:00Z"), at("2026-02-02T04:00:00Z"));
    let c = catalogue(TAGS);
    note("first", &lake.compute_tags(&c, t, t).await.unwrap());
    note("again", &lake.compute_tags(&c, t, next).await.unwrap());
    // the next day: only what looks at the day, and what is cut by the time (a later call is in the file)
    note("next day", &lake.compute_tags(&c, next, next).await.unwrap());
    let c2 = catalogue(&TAGS.replace("value = \"records\"", "value = \"records * 10\""));
    note("one definition", &lake.compute_tags(&c2, next, next).await.unwrap());
    let c3 = catalogue(
        &TAGS.replace("value = \"records\"", "value = \"records * 10\"").replace("default = 0", "default = 3"),
    );
    note("one default", &lake.compute_tags(&c3, next, next).await.unwrap());
    // new subscribers: the usage columns stay as they are
    let more = File {
        name: "s2.csv",
        as_of: "2026-02-02T00:00:00Z",
        rows: "subscriber:subscriber brand:text joined:date\n1 gotone 2025-12-01\n9 mzone 2026-02-01",
        ..REGISTER
    };
    import(&lake, &more, &[]);
    note("new register", &lake.compute_tags(&c3, next, next).await.unwrap());
    drop(lake);
    let lake = open(dir.path());
    note("after a restart", &lake.compute_tags(&c3, next, next).await.unwrap());
    note("back to the first", &lake.compute_tags(&c, t, t).await.unwrap());
    expect![[r#"
        first: new snap1, queries 3, computed [spend_total records brand tenure_days busy good], reused 0
        again: same snap1, queries 0, computed [], reused 6
        next day: new snap2, queries 2, computed [spend_total records tenure_days busy good], reused 1
        one definition: new snap3, queries 1, computed [records busy good], reused 3
        one default: new snap4, queries 0, computed [], reused 6
        new register: new snap5, queries 2, computed [brand tenure_days busy good], reused 2
        after a restart: same snap5, queries 0, computed [], reused 6
        back to the first: new snap6, queries 0, computed [], reused 6
    "#]]
    .assert_eq(&said);
    let v = lake.values(SnapshotId(5), &["spend_total", "records"], None).unwrap();
    let row: Vec<TagValue> = vec![v.get(0, 0), v.get(0, 1), v.get(1, 0), v.get(1, 1)];
    assert_eq!(row, [TagValue::Micros(300_001), TagValue::Int(20), TagValue::Micros(1_000_000), TagValue::Int(10)]);
    // all six snapshots remain readable
    assert_eq!(lake.snapshots().len(), 6);
    for s in lake.snapshots() {
        assert!(lake.values(s, &["good", "spend_total"], None).is_ok());
    }
}

#[tokio::test]
async fn a_failed_computation_leaves_nothing_and_names_the_tag() {
    let dir = tempfile::tempdir().unwrap();
    let lake = filled(dir.path());
    let before = files(dir.path());
    let t = at("2026-02-01T04:00:00Z");
    let mut said = String::new();
    for (from, to) in [
        ("value = \"records\"", "value = \"record\""),
        ("value = \"spend\"", "value = \"cast(spend as double)\""),
        ("value = \"records\"", "value = \"brand\""),
        ("from usage group by subscriber", "from usage group by subscriber, at"),
        ("from usage group", "from usages group"),
        ("sum(charge) as spend", "sum(charge) * 100000000000000 as spend"),
    ] {
        let c = catalogue(&TAGS.replacen(from, to, 1));
        let e = lake.compute_tags(&c, t, t).await.err().map_or("no error".to_owned(), |e| e.to_string());
        said += &format!("{}\n", e.lines().collect::<Vec<_>>().join(" | "));
        let problems = lake.check_tags(&c).await.unwrap();
        problems.iter().for_each(|p| said += &format!("    check: {}\n", p.to_string().lines().next().unwrap()));
        assert_eq!(files(dir.path()), before);
    }
    expect![[r#"
        the tags cannot be computed: | tags.toml, `records`, value: Schema error: No field named record. Did you mean 'source.records'? | Valid fields are source.subscriber, source.spend, source.records.; correct it
            check: tags.toml, `records`, value: Schema error: No field named record. Did you mean 'source.records'?
        tag `spend_total`: it is a binary fraction, and money is exact; cast to decimal(18, 6)
            check: tags.toml, `spend_total`, value: it is a binary fraction, and money is exact; cast to decimal(18, 6)
        the tags cannot be computed: | tags.toml, `records`, value: Schema error: No field named brand. | Valid fields are source.subscriber, source.spend, source.records.; correct it
            check: tags.toml, `records`, value: Schema error: No field named brand.
        source `spend` gives subscriber s1 more than one row; group by subscriber in its query
        unknown table `usages`; one of subscriber, number, usage, bill, contact_log, orders, product, consent, suppression, device, device_use, payment, content_use, web_visit, page_view, quarantine, decision, outcome
            check: tags.toml, `spend`, sql: Error during planning: table 'kairos.lake.usages' not found; correct the query
        tag `spend_total`: 500000000000000000000 millionths are past the range of money; correct its value
    "#]].assert_eq(&said);
    assert!(lake.check_tags(&catalogue(TAGS)).await.unwrap().is_empty());
}

#[test]
fn faults_of_the_catalogue_are_named_with_file_tag_and_field() {
    let problems = |files: &[(&str, String)]| {
        let files: Vec<(String, String)> = files.iter().map(|(n, t)| ((*n).to_owned(), t.clone())).collect();
        TagCatalogue::parse(&files, Currency::CNY, Sets::default()).unwrap_err().to_string() + "\n"
    };
    let tag = |id: &str, more: &str| {
        format!(
            "[[tag]]\nid=\"{id}\"\nzh=\"z\"\nen=\"e\"\naspect=\"basic\"\ncategory=\"c\"\nowner=\"o\"\nrefresh=\"daily\"\ndescription=\"d\"\n{more}\n"
        )
    };
    let mut said = problems(&[
        ("a.toml", tag("x", "type=\"intt\"\nsql=\"select 1\"")),
        ("b.toml", tag("x", "type=\"int\"\nsql=\"select 1\"")),
    ]);
    said += &problems(&[("a.toml", "[[tag]]\nid=\"x\"\ntype=\"int\"\nrefresh=\"weekly\"".to_owned())]);
    said += &problems(&[(
        "a.toml",
        tag("a", "type=\"bool\"\ncondition=\"b and c\"")
            + &tag("b", "type=\"bool\"\ncondition=\"not a\"")
            + &tag("c", "type=\"bool\"\nsql=\"select 1\""),
    )]);
    said += &problems(&[(
        "a.toml",
        tag("arpu", "type=\"money\"\nsql=\"select 1\"") + &tag("rich", "type=\"int\"\ncondition=\"apru > 3 yuan\""),
    )]);
    said += &problems(&[(
        "a.toml",
        "[[source]]\nid=\"s\"\nsql=\"select 1\"\n".to_owned()
            + &tag("a", "type=\"enum\"\nsql=\"x\"\nvalues=[{value=\"m\",zh=\"男\"},{value=\"m\",zh=\"男\",en=\"M\"}]"),
    )]);
    said += &problems(&[(
        "a.toml",
        "[[source]]\nid=\"s\"\nsql=\"select 1\"\n".to_owned()
            + &tag("a", "type=\"int\"\nsql=\"x\"\ndefault=\"0\"")
            + &tag("b", "type=\"int\"\nfrom=\"t\"\nvalue=\"v\""),
    )]);
    said += &problems(&[(
        "a.toml",
        "[[source]]\nid=\"s\"\nsql=\"select 1\"\n".to_owned() + &tag("a", "type=\"int\"\nsql=\"x\""),
    )]);
    said += &problems(&[("a.toml", tag("A b", "type=\"int\"\nsql=\"x\"") + "colour = 3")]);
    said += &problems(&[("a.toml", tag("Big", "type=\"int\"\nsql=\"x\""))]);
    expect![[r#"
        b.toml, `x`, id: the tag is in a.toml already; give it another id
        a.toml, `x`, type: `intt` is no type; use one of bool, int, decimal, money, text, enum, set, date, duration, cell
        a.toml, `x`, zh: is missing; write it
        a.toml, `x`, en: is missing; write it
        a.toml, `x`, category: is missing; write it
        a.toml, `x`, owner: is missing; write it
        a.toml, `x`, description: is missing; write it
        a.toml, `x`, aspect: `` is none; use basic, social, interest or communication
        a.toml, `x`, refresh: `weekly` is none; use daily or monthly
        a.toml, `x`: its values come from nowhere, or from more than one place; give exactly one of `from` with `value`, `sql`, or `condition`
        a.toml, `a`, condition: it reads itself by way of a, b; break the circle
        a.toml, `b`, condition: it reads itself by way of a, b; break the circle
        a.toml, `rich`, type: a condition gives a bool, the type is int; write type = "bool"
        a.toml, `rich`, condition: unknown tag `apru`; did you mean `arpu`?
          apru > 3 yuan
          ^^^^; correct it
        a.toml, `a`, values: `m` lacks a name; give it zh and en
        a.toml, `a`, values: `m` is listed twice; list it once
        a.toml, `a`, default: `"0"` is no value of type int; write one, decimals and money as text such as "0.5", or leave it out
        a.toml, `b`, from: there is no source `t`; use one of s
        a.toml, `s`: no tag uses this source; take it away, or give a tag `from` it
        a.toml: line 12: unknown field `colour`, expected one of `id`, `zh`, `en`, `aspect`, `category`, `type`, `from`, `value`, `sql`, `condition`, `default`, `owner`, `refresh`, `description`, `values`; see docs/reference/tags.md for the fields
        a.toml, `Big`, id: is no name; use small letters, digits and _, a letter first, and no keyword
    "#]].assert_eq(&said);
}

#[tokio::test]
async fn an_audience_is_frozen_once_and_checked_when_read() {
    let dir = tempfile::tempdir().unwrap();
    let lake = filled(dir.path());
    let t = at("2026-02-01T04:00:00Z");
    let catalogue = catalogue(TAGS);
    let id = lake.compute_tags(&catalogue, t, t).await.unwrap().snapshot.id();
    let c = Condition::parse("spend_total < 5 yuan or tenure_days = 31", &catalogue).unwrap();
    let members = lake.select(id, &c, catalogue.sets()).unwrap();
    assert_eq!(members.iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
    let some = Condition::parse("spend_total > 0 yuan", &catalogue).unwrap();
    let members = lake.select(id, &some, catalogue.sets()).unwrap();
    let frozen = lake.freeze(members.clone(), &some, id, t).unwrap();
    assert_eq!(lake.freeze(members, &some, id, t).unwrap(), frozen);
    drop(lake);
    let lake = open(dir.path());
    let read = lake.audience(&frozen.head.hash).unwrap();
    assert_eq!((read.head.members, read.members.iter().collect::<Vec<_>>()), (2, vec![1, 2]));
    assert_eq!(read, frozen);
    assert_eq!((read.head.condition.as_str(), read.head.snapshot), (some.text(), 1));
    let path = dir.path().join("audience").join(format!("{}.roar", frozen.head.hash));
    let bytes = std::fs::read(&path).unwrap();
    for i in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[i] ^= 0x10;
        std::fs::write(&path, &flipped).unwrap();
        assert!(matches!(lake.audience(&frozen.head.hash), Err(LakeError::Damaged { .. })), "byte {i}");
    }
    std::fs::write(&path, &bytes[..20]).unwrap();
    assert!(matches!(lake.audience(&frozen.head.hash), Err(LakeError::Damaged { .. })));
}
