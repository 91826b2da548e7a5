//! The tag catalogue: read from TOML, checked, ordered by dependency.

use super::definition::{TagFile, TagForm};
use kairos_model::{CellId, Currency};
use kairos_rules::{Catalogue, Condition, MemoryCatalogue, Named, TagInfo, TagType, ValueLabel, valid_id};
use roaring::RoaringBitmap;
use std::{collections::BTreeMap, fmt, fs, path::Path};

/// Tags of one catalogue: a snapshot has a column for each, and a planner has to find them.
pub const TAGS_MAX: usize = 4_096;

/// The four aspects (C3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    Basic,
    Social,
    Interest,
    Communication,
}

/// How often a tag is meant to be computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refresh {
    Daily,
    Monthly,
}

/// A query that gives `subscriber` and columns for several tags.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceDef {
    pub id: String,
    pub sql: String,
    pub file: String,
}

/// Where a tag's values come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// An SQL expression over the columns of a source.
    Source { source: String, value: String },
    /// A query of its own with the columns `subscriber` and `value`.
    Sql(String),
    /// A condition over other tags; the tag is a bool.
    Condition(Condition),
}

/// The value of subscribers that a source does not name, or for whom it says NULL.
#[derive(Clone, Debug, PartialEq)]
pub enum DefaultValue {
    Bool(bool),
    Int(i64),
    Micros(i64),
    Text(String),
    Set(Vec<String>),
}

/// One tag with all that the catalogue says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TagDef {
    pub info: TagInfo,
    pub aspect: Aspect,
    pub category: String,
    pub origin: Origin,
    pub default: Option<DefaultValue>,
    pub owner: String,
    pub refresh: Refresh,
    pub description: String,
    pub file: String,
}

/// One fault of a tag file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagProblem {
    pub file: String,
    /// Id of the tag or source; empty for the file as a whole.
    pub id: String,
    pub field: &'static str,
    pub what: String,
    pub remedy: String,
}

impl fmt::Display for TagProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if !self.id.is_empty() {
            write!(f, ", `{}`", self.id)?;
        }
        if !self.field.is_empty() {
            write!(f, ", {}", self.field)?;
        }
        write!(f, ": {}; {}", self.what, self.remedy)
    }
}

/// Everything that is wrong with a catalogue.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct TagProblems(pub Vec<TagProblem>);

/// Areas with their cells and lists with their members, by id.
#[derive(Clone, Debug, Default)]
pub struct Sets {
    areas: BTreeMap<String, (Named, Vec<CellId>)>,
    /// Members, or why there are none to ask.
    lists: BTreeMap<String, (Named, Result<List, String>)>,
}

/// The members of a list in the forms that the row and SQL back ends and the index ask.
#[derive(Clone, Debug)]
struct List {
    members: RoaringBitmap,
    indexed: kairos_audience::Members,
}

impl kairos_audience::Sets for Sets {
    fn list(&self, id: &str) -> Option<&kairos_audience::Members> {
        self.lists.get(id).and_then(|(_, list)| list.as_ref().ok()).map(|l| &l.indexed)
    }
    fn area(&self, id: &str) -> Option<&[CellId]> {
        Self::area(self, id)
    }
}

impl Sets {
    pub fn add_area(&mut self, name: Named, mut cells: Vec<CellId>) {
        cells.sort_unstable();
        cells.dedup();
        self.areas.insert(name.id.clone(), (name, cells));
    }
    /// `members`: subscriber ordinals.
    pub fn add_list(&mut self, name: Named, members: RoaringBitmap) {
        let indexed = kairos_audience::Members::from_ascending(members.iter());
        self.lists.insert(name.id.clone(), (name, Ok(List { members, indexed })));
    }
    /// A list that is known and cannot be asked: a condition may name it, and its evaluation is refused with `why`.
    pub fn block_list(&mut self, name: Named, why: String) {
        self.lists.insert(name.id.clone(), (name, Err(why)));
    }
    /// Cells of an area, ascending.
    pub fn area(&self, id: &str) -> Option<&[CellId]> {
        self.areas.get(id).map(|(_, cells)| cells.as_slice())
    }
    pub fn list(&self, id: &str) -> Option<&RoaringBitmap> {
        self.lists.get(id).and_then(|(_, list)| list.as_ref().ok()).map(|l| &l.members)
    }
    pub fn remove_list(&mut self, id: &str) {
        self.lists.remove(id);
    }
    /// Why a list cannot be asked; `None` if it can, or is not known.
    pub fn blocked(&self, id: &str) -> Option<&str> {
        self.lists.get(id).and_then(|(_, list)| list.as_ref().err()).map(String::as_str)
    }
    fn names(&self) -> (Vec<Named>, Vec<Named>) {
        (self.areas.values().map(|x| x.0.clone()).collect(), self.lists.values().map(|x| x.0.clone()).collect())
    }
}

/// A checked catalogue.
#[derive(Clone, Debug)]
pub struct TagCatalogue {
    /// In order of dependency: a condition tag comes after the tags that it reads; else in order of file and place.
    tags: Vec<TagDef>,
    sources: Vec<SourceDef>,
    names: MemoryCatalogue,
    sets: Sets,
    currency: Currency,
}

impl TagCatalogue {
    /// Reads every `*.toml` of a folder, in order of name.
    pub fn load(dir: impl AsRef<Path>, currency: Currency, sets: Sets) -> Result<Self, TagProblems> {
        let dir = dir.as_ref();
        let failed = |e: std::io::Error| {
            TagProblems(vec![TagProblem {
                file: dir.display().to_string(),
                id: String::new(),
                field: "",
                what: format!("cannot be read ({e})"),
                remedy: "give a folder of tag files".to_owned(),
            }])
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|e| e == "toml") {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                files.push((name, fs::read_to_string(&path).map_err(failed)?));
            }
        }
        files.sort();
        Self::parse(&files, currency, sets)
    }

    /// Reads files given as (name, text). Every problem of every file is reported, not only the first.
    pub fn parse(files: &[(String, String)], currency: Currency, sets: Sets) -> Result<Self, TagProblems> {
        let mut r = Reader { currency, problems: Vec::new(), sources: Vec::new(), forms: Vec::new() };
        for (name, text) in files {
            r.file(name, text);
        }
        let infos: Vec<TagInfo> = r.infos();
        let (areas, lists) = sets.names();
        let names = MemoryCatalogue::new(infos.clone(), areas, lists);
        let mut tags = Vec::new();
        for ((file, form), info) in std::mem::take(&mut r.forms).into_iter().zip(infos) {
            tags.extend(r.tag(file, form, info, &names));
        }
        r.unused(&tags);
        let tags = r.ordered(tags);
        if r.problems.is_empty() {
            Ok(Self { tags, sources: r.sources, names, sets, currency })
        } else {
            Err(TagProblems(r.problems))
        }
    }

    /// In order of dependency.
    pub fn defs(&self) -> &[TagDef] {
        &self.tags
    }
    pub fn def(&self, id: &str) -> Option<&TagDef> {
        self.tags.iter().find(|t| t.info.id == id)
    }
    pub fn sources(&self) -> &[SourceDef] {
        &self.sources
    }
    pub fn source(&self, id: &str) -> Option<&SourceDef> {
        self.sources.iter().find(|s| s.id == id)
    }
    pub fn sets(&self) -> &Sets {
        &self.sets
    }
    pub fn currency(&self) -> Currency {
        self.currency
    }
}

impl Catalogue for TagCatalogue {
    fn tag(&self, id: &str) -> Option<&TagInfo> {
        self.names.tag(id)
    }
    fn tags(&self) -> Box<dyn Iterator<Item = &TagInfo> + '_> {
        self.names.tags()
    }
    fn area(&self, id: &str) -> Option<&Named> {
        self.names.area(id)
    }
    fn areas(&self) -> Box<dyn Iterator<Item = &Named> + '_> {
        self.names.areas()
    }
    fn list(&self, id: &str) -> Option<&Named> {
        self.names.list(id)
    }
    fn lists(&self) -> Box<dyn Iterator<Item = &Named> + '_> {
        self.names.lists()
    }
}

const TYPES: &str = "bool, int, decimal, money, text, enum, set, date, duration, cell";

struct Reader {
    currency: Currency,
    problems: Vec<TagProblem>,
    sources: Vec<SourceDef>,
    forms: Vec<(String, TagForm)>,
}

impl Reader {
    fn say(&mut self, at: (&str, &str), field: &'static str, what: impl Into<String>, remedy: impl Into<String>) {
        let (file, id) = (at.0.to_owned(), at.1.to_owned());
        self.problems.push(TagProblem { file, id, field, what: what.into(), remedy: remedy.into() });
    }

    fn file(&mut self, name: &str, text: &str) {
        let parsed: TagFile = match toml::from_str(text) {
            Ok(parsed) => parsed,
            Err(e) => {
                let line = e.span().map_or(1, |s| 1 + text[..s.start.min(text.len())].matches('\n').count());
                let known = "see docs/reference/tags.md for the fields";
                return self.say((name, ""), "", format!("line {line}: {}", e.message()), known);
            }
        };
        for s in parsed.source {
            let at = (name, s.id.as_str());
            if !snake(&s.id) {
                self.say(at, "id", "is no name", "use small letters, digits and _, a letter first");
            }
            if let Some(other) = self.sources.iter().find(|o| o.id == s.id) {
                let what = format!("the source is in {} already", other.file);
                self.say(at, "id", what, "give it another id");
                continue;
            }
            self.sources.push(SourceDef { id: s.id, sql: s.sql, file: name.to_owned() });
        }
        for t in parsed.tag {
            let at = (name, t.id.as_str());
            if !snake(&t.id) || !valid_id(&t.id) {
                self.say(at, "id", "is no name", "use small letters, digits and _, a letter first, and no keyword");
            } else if let Some((other, _)) = self.forms.iter().find(|(_, o)| o.id == t.id) {
                let what = format!("the tag is in {other} already");
                self.say(at, "id", what, "give it another id");
            } else if self.forms.len() >= TAGS_MAX {
                self.say(at, "", format!("there are more than {TAGS_MAX} tags"), "take some away");
            } else {
                self.forms.push((name.to_owned(), t));
            }
        }
    }

    /// Names and types; where a type is wrong, text stands in so that the rest can be checked.
    fn infos(&mut self) -> Vec<TagInfo> {
        let forms = std::mem::take(&mut self.forms);
        let infos = forms.iter().map(|(file, t)| self.info(file, t)).collect();
        self.forms = forms;
        infos
    }

    fn info(&mut self, file: &str, t: &TagForm) -> TagInfo {
        let at = (file, t.id.as_str());
        let words = || t.values.iter().map(|v| v.value.clone());
        let ty = match t.ty.as_str() {
            "bool" => TagType::Bool,
            "int" => TagType::Int,
            "decimal" => TagType::Decimal,
            "money" => TagType::Money(self.currency),
            "text" => TagType::Text,
            "enum" => TagType::enumeration(words()),
            "set" => TagType::set(words()),
            "date" => TagType::Date,
            "duration" => TagType::Duration,
            "cell" => TagType::Cell,
            other => {
                let what = if other.is_empty() { "is missing".to_owned() } else { format!("`{other}` is no type") };
                self.say(at, "type", what, format!("use one of {TYPES}"));
                TagType::Text
            }
        };
        match &ty {
            TagType::Enum { values } if values.is_empty() => {
                self.say(at, "values", "an enum has none", "list its words with value, zh and en");
            }
            TagType::Enum { .. } | TagType::Set { .. } => {}
            TagType::Bool if t.values.iter().all(|v| v.value == "true" || v.value == "false") => {}
            _ if t.values.is_empty() => {}
            _ => {
                self.say(at, "values", "only enum and set (and bool, for true and false) have values", "take them away")
            }
        }
        for (i, v) in t.values.iter().enumerate() {
            if v.zh.is_empty() || v.en.is_empty() {
                self.say(at, "values", format!("`{}` lacks a name", v.value), "give it zh and en");
            }
            if t.values[..i].iter().any(|o| o.value == v.value) {
                self.say(at, "values", format!("`{}` is listed twice", v.value), "list it once");
            }
        }
        let label = |v: &super::definition::ValueForm| ValueLabel {
            value: v.value.clone(),
            zh: v.zh.clone(),
            en: v.en.clone(),
        };
        let labels = t.values.iter().map(label).collect();
        TagInfo { id: t.id.clone(), zh: t.zh.clone(), en: t.en.clone(), ty, labels }
    }

    fn tag(&mut self, file: String, t: TagForm, info: TagInfo, names: &MemoryCatalogue) -> Option<TagDef> {
        let at = (file.as_str(), t.id.as_str());
        let before = self.problems.len();
        for (field, text) in [
            ("zh", &t.zh),
            ("en", &t.en),
            ("category", &t.category),
            ("owner", &t.owner),
            ("description", &t.description),
        ] {
            if text.trim().is_empty() {
                self.say(at, field, "is missing", "write it");
            }
        }
        let aspect = match t.aspect.as_str() {
            "basic" => Aspect::Basic,
            "social" => Aspect::Social,
            "interest" => Aspect::Interest,
            "communication" => Aspect::Communication,
            other => {
                self.say(at, "aspect", format!("`{other}` is none"), "use basic, social, interest or communication");
                Aspect::Basic
            }
        };
        let refresh = match t.refresh.as_str() {
            "daily" => Refresh::Daily,
            "monthly" => Refresh::Monthly,
            other => {
                self.say(at, "refresh", format!("`{other}` is none"), "use daily or monthly");
                Refresh::Daily
            }
        };
        let origin = self.origin(at, &t, &info, names);
        let default = t.default.as_ref().and_then(|v| self.default(at, v, &info.ty));
        if t.default.is_some() && matches!(origin, Some(Origin::Condition(_))) {
            self.say(at, "default", "a condition has none", "take it away");
        }
        let origin = origin?;
        if self.problems.len() > before {
            return None;
        }
        let TagForm { category, owner, description, .. } = t;
        Some(TagDef { info, aspect, category, origin, default, owner, refresh, description, file })
    }

    fn origin(&mut self, at: (&str, &str), t: &TagForm, info: &TagInfo, names: &MemoryCatalogue) -> Option<Origin> {
        match (&t.from, &t.value, &t.sql, &t.condition) {
            (Some(from), Some(value), None, None) => {
                if !self.sources.iter().any(|s| s.id == *from) {
                    let known = self.sources.iter().map(|s| s.id.as_str()).collect::<Vec<_>>().join(", ");
                    self.say(at, "from", format!("there is no source `{from}`"), format!("use one of {known}"));
                }
                Some(Origin::Source { source: from.clone(), value: value.clone() })
            }
            (None, None, Some(sql), None) => Some(Origin::Sql(sql.clone())),
            (None, None, None, Some(text)) => {
                if info.ty != TagType::Bool {
                    let what = format!("a condition gives a bool, the type is {}", info.ty.name());
                    self.say(at, "type", what, "write type = \"bool\"");
                }
                match Condition::parse(text, names) {
                    Ok(c) => Some(Origin::Condition(c)),
                    Err(e) => {
                        self.say(at, "condition", e.render().trim_end().to_owned(), "correct it");
                        None
                    }
                }
            }
            _ => {
                let what = "its values come from nowhere, or from more than one place";
                self.say(at, "", what, "give exactly one of `from` with `value`, `sql`, or `condition`");
                None
            }
        }
    }

    fn default(&mut self, at: (&str, &str), v: &toml::Value, ty: &TagType) -> Option<DefaultValue> {
        let micros = |v: &toml::Value| match v {
            toml::Value::Integer(n) => n.checked_mul(1_000_000),
            toml::Value::String(s) => kairos_model::money::parse_micros(s),
            _ => None,
        };
        let word = |w: &str| ty.code(w).is_some() || matches!(ty, TagType::Set { values } if values.is_empty());
        let found = match (ty, v) {
            (TagType::Bool, toml::Value::Boolean(b)) => Some(DefaultValue::Bool(*b)),
            (TagType::Int | TagType::Duration, toml::Value::Integer(n)) => Some(DefaultValue::Int(*n)),
            (TagType::Decimal | TagType::Money(_), v) => micros(v).map(DefaultValue::Micros),
            (TagType::Text, toml::Value::String(s)) => Some(DefaultValue::Text(s.clone())),
            (TagType::Enum { .. }, toml::Value::String(s)) if word(s) => Some(DefaultValue::Text(s.clone())),
            (TagType::Set { .. }, toml::Value::Array(all)) => {
                let words: Option<Vec<String>> = all.iter().map(|v| v.as_str().map(str::to_owned)).collect();
                words.filter(|w| w.iter().all(|w| word(w))).map(DefaultValue::Set)
            }
            _ => None,
        };
        if found.is_none() {
            let what = format!("`{v}` is no value of type {}", ty.name());
            self.say(at, "default", what, "write one, decimals and money as text such as \"0.5\", or leave it out");
        }
        found
    }

    fn unused(&mut self, tags: &[TagDef]) {
        let used = |id: &str| tags.iter().any(|t| matches!(&t.origin, Origin::Source { source, .. } if source == id));
        let idle: Vec<_> =
            self.sources.iter().filter(|s| !used(&s.id)).map(|s| (s.file.clone(), s.id.clone())).collect();
        // a tag with a fault of its own may be the one that uses it
        if self.problems.is_empty() {
            for (file, id) in idle {
                self.say((&file, &id), "", "no tag uses this source", "take it away, or give a tag `from` it");
            }
        }
    }

    /// Puts condition tags after what they read.
    fn ordered(&mut self, tags: Vec<TagDef>) -> Vec<TagDef> {
        let (mut done, mut waiting): (Vec<_>, Vec<_>) =
            tags.into_iter().partition(|t| !matches!(t.origin, Origin::Condition(_)));
        loop {
            let ready = |t: &TagDef, waiting: &[TagDef]| match &t.origin {
                Origin::Condition(c) => !c.tags().iter().any(|u| waiting.iter().any(|w| w.info.id == u.id)),
                _ => true,
            };
            let (now, later): (Vec<_>, Vec<_>) = waiting.iter().cloned().partition(|t| ready(t, &waiting));
            if now.is_empty() {
                break;
            }
            done.extend(now);
            waiting = later;
        }
        for t in &waiting {
            let ring = waiting.iter().map(|w| w.info.id.as_str()).collect::<Vec<_>>().join(", ");
            let (file, id) = (t.file.clone(), t.info.id.clone());
            self.say((&file, &id), "condition", format!("it reads itself by way of {ring}"), "break the circle");
        }
        done
    }
}

/// Small letters, digits and `_`, a letter first.
fn snake(id: &str) -> bool {
    id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
