//! The catalogue check: enough tags, in the categories and aspects of the mission, and no more than three of a kind.
//!
//! Two tags are of a kind when nothing is left between them but a constant, a window or a service: see [`shape`].

mod page;
mod shape;

use serde::Deserialize;
use shape::Shapes;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

const TAGS_MIN: usize = 450;
const CATEGORIES: usize = 35;
const ASPECTS: usize = 4;
const TEMPLATES_MIN: usize = 150;
/// Tags of one template.
const ALIKE_MAX: usize = 3;

#[derive(Deserialize, Default)]
pub(crate) struct File {
    #[serde(default)]
    pub source: Vec<Source>,
    #[serde(default)]
    pub tag: Vec<Tag>,
}

#[derive(Deserialize)]
pub(crate) struct Source {
    pub id: String,
    pub sql: String,
}

#[derive(Deserialize)]
pub(crate) struct Tag {
    pub id: String,
    pub zh: String,
    pub en: String,
    pub aspect: String,
    pub category: String,
    #[serde(rename = "type")]
    pub ty: String,
    pub description: String,
    pub from: Option<String>,
    pub value: Option<String>,
    pub sql: Option<String>,
    pub condition: Option<String>,
}

/// Reads the demo province's tag files and judges them; with `write` it also writes their page anew.
pub fn run(args: Vec<String>) -> ExitCode {
    let all = match read(&province()) {
        Ok(all) => all,
        Err(what) => {
            eprintln!("tags: {what}");
            return ExitCode::FAILURE;
        }
    };
    let (line, mut faults) = judge(&all);
    let (path, page) = (page_path(), page::page(&all));
    if args.first().is_some_and(|a| a == "write") {
        if let Err(e) = fs::write(&path, &page) {
            faults.push(format!("cannot write `{}`: {e}", path.display()));
        }
    } else if fs::read_to_string(&path).ok().as_deref() != Some(page.as_str()) {
        faults.push(format!("`{}` is not of today's tags; run `cargo run -p xtask -- tags write`", path.display()));
    }
    faults.iter().for_each(|f| eprintln!("{f}"));
    println!("tags: {line}");
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn page_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/tag-catalogue.md")
}

fn province() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../province/tags")
}

fn read(folder: &Path) -> Result<File, String> {
    let listed = fs::read_dir(folder).map_err(|e| format!("cannot list `{}`: {e}", folder.display()))?;
    let mut paths = Vec::new();
    for entry in listed {
        paths.push(entry.map_err(|e| format!("cannot list `{}`: {e}", folder.display()))?.path());
    }
    paths.retain(|p| p.extension().is_some_and(|e| e == "toml"));
    paths.sort();
    let mut all = File::default();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(|e| format!("cannot read `{}`: {e}", path.display()))?;
        let file: File = toml::from_str(&text).map_err(|e| format!("`{}`: {}", path.display(), e.message()))?;
        all.source.extend(file.source);
        all.tag.extend(file.tag);
    }
    Ok(all)
}

/// What there is, in a line, and what is wrong.
fn judge(all: &File) -> (String, Vec<String>) {
    let mut faults = Vec::new();
    let aspects: BTreeSet<&str> = all.tag.iter().map(|t| t.aspect.as_str()).collect();
    let mut categories: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for t in &all.tag {
        categories.entry(&t.category).or_default().insert(&t.aspect);
    }
    for (category, aspects) in categories.iter().filter(|(_, a)| a.len() > 1) {
        faults.push(format!("category `{category}` is in several aspects: {aspects:?}; give it one"));
    }
    for name in [|t: &Tag| t.zh.clone(), |t: &Tag| t.en.clone()] {
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for t in &all.tag {
            if let Some(other) = seen.insert(name(t), &t.id) {
                faults.push(format!("`{}` and `{other}` have one name, `{}`; tell them apart", t.id, name(t)));
            }
        }
    }
    let shapes = Shapes::of(all);
    let mut templates: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for t in &all.tag {
        templates.entry(shapes.tag(&t.id)).or_default().push(&t.id);
    }
    for (shape, ids) in templates.iter().filter(|(_, ids)| ids.len() > ALIKE_MAX) {
        faults.push(format!(
            "{} tags are of a kind, at most {ALIKE_MAX} may be: {}\n  {shape}",
            ids.len(),
            ids.join(", ")
        ));
    }
    for (what, found, least) in [("tags", all.tag.len(), TAGS_MIN), ("templates", templates.len(), TEMPLATES_MIN)] {
        if found < least {
            faults.push(format!("{found} {what}: {least} are wanted"));
        }
    }
    for (what, found, wanted) in [("categories", categories.len(), CATEGORIES), ("aspects", aspects.len(), ASPECTS)] {
        if found != wanted {
            faults.push(format!("{found} {what}: there should be {wanted}"));
        }
    }
    let most = templates.values().map(Vec::len).max().unwrap_or(0);
    let line = format!(
        "{} in {} categories and {} aspects over {} sources; {} templates, at most {most} tags of one",
        all.tag.len(),
        categories.len(),
        aspects.len(),
        all.source.len(),
        templates.len()
    );
    (line, faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_province_holds() {
        let (line, faults) = judge(&read(&province()).unwrap_or_else(|e| panic!("{e}")));
        assert!(faults.is_empty(), "{line}\n{}", faults.join("\n"));
    }

    fn shapes(sql: &str, values: &[&str]) -> Vec<String> {
        let mut all = File { source: vec![Source { id: "s".into(), sql: sql.into() }], tag: vec![] };
        for (i, v) in values.iter().enumerate() {
            let (from, value) = (Some("s".to_owned()), Some((*v).to_owned()));
            let id = format!("t{i}");
            all.tag.push(Tag {
                zh: id.clone(),
                en: id.clone(),
                id,
                aspect: "basic".into(),
                category: "c".into(),
                ty: "int".into(),
                description: String::new(),
                from,
                value,
                sql: None,
                condition: None,
            });
        }
        let shapes = Shapes::of(&all);
        all.tag.iter().map(|t| shapes.tag(&t.id)).collect()
    }

    #[test]
    fn a_constant_a_window_or_a_service_makes_no_new_kind() {
        let sql = "select subscriber, count(*) filter (where kind = 'sms_out') as a, count(*) filter (where b) as c,
                   count(*) as n, count(*) filter (where kind = 'data' and at >= month_start(1)) as d
                   from (select *, kind in ('voice_in', 'voice_out') as b from usage where at >= month_start(3)) as u
                   group by subscriber";
        let of = shapes(sql, &["a", "c", "round(coalesce(a, 0) / 3.0, 2)", "c / 6", "a > 2", "a > 10", "d", "a / n"]);
        assert_eq!((&of[0], &of[2], &of[4]), (&of[1], &of[3], &of[5]));
        let kinds: BTreeSet<&String> = [0, 2, 4, 6, 7].map(|i| &of[i]).into();
        assert_eq!(kinds.len(), 5, "{of:#?}");
    }

    #[test]
    fn four_of_a_kind_are_told() {
        let one = |id: &str, word: &str| {
            format!(
                "[[tag]]\nid = \"{id}\"\nzh = \"{id}\"\nen = \"{id}\"\naspect = \"basic\"\ncategory = \"c\"\n\
                 type = \"int\"\ndescription = \"\"\nfrom = \"s\"\nvalue = \"count(*) filter (where kind = '{word}')\"\n"
            )
        };
        let mut text = "[[source]]\nid = \"s\"\nsql = \"select subscriber from usage\"\n".to_owned();
        ["a", "b", "c", "d"].iter().for_each(|id| text.push_str(&one(id, id)));
        let file: File = toml::from_str(&text).unwrap_or_else(|e| panic!("{e}"));
        let (_, faults) = judge(&file);
        assert!(
            faults.iter().any(|f| f.starts_with("4 tags are of a kind, at most 3 may be: a, b, c, d")),
            "{faults:#?}"
        );
    }
}
