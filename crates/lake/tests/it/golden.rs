//! Formats that last: a lake that version 1 wrote is read by every later program.
//!
//! `KAIROS_LAKE_GOLDEN=write` writes `tests/golden/v1` anew; do that only before the format is released.

use crate::kit::{File, ask, at, files, import, open};
use expect_test::expect;
use kairos_lake::{Lake, Mode, Sets, TagCatalogue};
use kairos_model::{Currency, SnapshotId};
use kairos_rules::Condition;
use std::path::{Path, PathBuf};

const REGISTER: File = File {
    name: "subscribers.csv",
    table: "subscriber",
    mode: Mode::Upsert,
    as_of: "2026-02-01T00:00:00Z",
    keys: &["subscriber"],
    rows: "subscriber:subscriber brand:text senior:bool
           1 gotone true
           2 mzone  -",
};
const USAGE: File = File {
    name: "usage.csv",
    table: "usage",
    mode: Mode::Append,
    as_of: "2026-02-01T00:00:00Z",
    keys: &["subscriber", "at"],
    rows: "subscriber:subscriber kind:text at:time charge:money
           1 data 2026-01-05T08:00:00Z 0.30
           2 data 2026-01-06T08:00:00Z 0.000001",
};
const TAGS: &str = r#"
[[source]]
id = "spend"
sql = "select subscriber, sum(charge) as spend, array_agg(kind) as kinds from usage group by subscriber"
[[tag]]
id = "spend"
zh = "消费"
en = "spend"
aspect = "communication"
category = "spend"
type = "money"
from = "spend"
value = "spend"
owner = "billing"
refresh = "daily"
description = "Sum"
[[tag]]
id = "kinds"
zh = "业务"
en = "kinds"
aspect = "communication"
category = "spend"
type = "set"
from = "spend"
value = "kinds"
default = []
owner = "billing"
refresh = "daily"
description = "Kinds"
"#;

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

fn catalogue() -> TagCatalogue {
    TagCatalogue::parse(&[("t.toml".to_owned(), TAGS.to_owned())], Currency::CNY, Sets::default()).unwrap()
}

async fn write(dir: &Path) {
    let lake: Lake = open(dir);
    import(&lake, &REGISTER, &[]);
    import(&lake, &USAGE, &[7]);
    let t = at("2026-02-01T04:00:00Z");
    let c = catalogue();
    let id = lake.compute_tags(&c, t, t).await.unwrap().snapshot.id();
    let rich = Condition::parse("spend > 0.1 yuan", &c).unwrap();
    let members = lake.select(id, &rich, c.sets()).unwrap();
    lake.freeze(members, &rich, id, t).unwrap();
}

#[tokio::test]
async fn the_first_format_is_read_for_ever() {
    if std::env::var("KAIROS_LAKE_GOLDEN").is_ok_and(|v| v == "write") {
        write(&home()).await;
    }
    let dir = tempfile::tempdir().unwrap();
    for f in files(&home()) {
        let to = dir.path().join(&f);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(home().join(&f), to).unwrap();
    }
    let lake = open(dir.path());
    expect![[r#"
        +------------+--------+--------+----------+--------+
        | subscriber | brand  | senior | spend    | kinds  |
        +------------+--------+--------+----------+--------+
        | 1          | gotone | true   | 0.300000 | [data] |
        | 2          | mzone  |        | 0.000001 | [data] |
        +------------+--------+--------+----------+--------+"#]]
    .assert_eq(
        &ask(
            &lake,
            "2026-03-02T01:00:00Z",
            "select s.subscriber, brand, senior, spend, kinds from subscriber s join tags t on t.subscriber = s.subscriber \
             order by 1",
        )
        .await,
    );
    assert!(ask(&lake, "2026-03-02T01:00:00Z", "select reason from quarantine").await.contains("no date"));
    // the keys are known: the same rows from other files are duplicates
    for (f, name) in [(&REGISTER, "s2.csv"), (&USAGE, "u2.csv")] {
        let c = import(&lake, &File { name, ..*f }, &[]);
        assert_eq!((c.read, c.accepted, c.duplicate), (2, 0, 2), "{name}");
    }
    // the columns are known: nothing is computed again
    let t = at("2026-02-01T04:00:00Z");
    assert!(!lake.compute_tags(&catalogue(), t, t).await.unwrap().new);
    let name = files(dir.path()).into_iter().find(|f| f.starts_with("audience/")).unwrap();
    let audience = lake.audience(name.trim_start_matches("audience/").trim_end_matches(".roar")).unwrap();
    assert_eq!((audience.head.snapshot, audience.members.iter().collect::<Vec<_>>()), (1, vec![1]));
    assert_eq!(lake.snapshots(), [SnapshotId(1)]);
}
