//! A TOML document read field by field, so that every fault is told at once, each with its line.

use kairos_model::near::hint;
use std::{
    borrow::Cow,
    collections::BTreeSet,
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Everything that is wrong with one layout file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutErrors {
    pub path: PathBuf,
    pub faults: Vec<LayoutFault>,
}

/// One fault: where, what, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LayoutFault {
    /// 1-based line of the file.
    pub line: usize,
    /// The table or column, e.g. "[file]", "column `at`".
    pub place: String,
    pub message: String,
}

impl std::error::Error for LayoutErrors {}

impl fmt::Display for LayoutErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.faults.len();
        write!(f, "layout `{}` has {n} {}", self.path.display(), if n == 1 { "fault" } else { "faults" })?;
        for LayoutFault { line, place, message } in &self.faults {
            write!(f, "\n  line {line}, {place}: {message}")?;
        }
        Ok(())
    }
}

/// Collects faults over one text.
pub(crate) struct Faults<'t> {
    text: &'t str,
    pub list: Vec<LayoutFault>,
}

impl<'t> Faults<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, list: Vec::new() }
    }
    pub fn add(&mut self, span: &Range<usize>, place: &str, message: impl Into<String>) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        self.list.push(LayoutFault { line, place: place.to_owned(), message: message.into() });
    }
    pub fn into_errors(mut self, path: PathBuf) -> LayoutErrors {
        self.list.sort_by_key(|f| f.line);
        // what several rules take from one place is said once
        let mut seen = BTreeSet::new();
        self.list.retain(|f| seen.insert(f.clone()));
        LayoutErrors { path, faults: self.list }
    }
}

/// Reads the top-level table of a TOML text with `read`, or tells every fault at once. `path` is only named in messages.
pub(crate) fn read_document<T>(
    text: &str,
    path: &Path,
    read: impl FnOnce(&Walk<'_, '_>, &mut Faults<'_>) -> Option<T>,
) -> Result<T, LayoutErrors> {
    let mut faults = Faults::new(text);
    let found = match DeTable::parse(text) {
        Ok(document) => {
            let start = document.span().start;
            read(&Walk::new(document.get_ref(), start..start, "top level"), &mut faults)
        }
        Err(e) => {
            faults.add(&e.span().unwrap_or(0..0), "TOML", e.message());
            None
        }
    };
    match found {
        Some(found) if faults.list.is_empty() => Ok(found),
        _ => Err(faults.into_errors(path.to_path_buf())),
    }
}

/// A value and where it stands.
pub(crate) type Found<T> = (T, Range<usize>);

/// One table of the document; each getter notes a value of the wrong kind and then acts as if it were absent.
pub(crate) struct Walk<'d, 't> {
    table: &'d DeTable<'t>,
    pub span: Range<usize>,
    pub place: String,
}

impl<'d, 't> Walk<'d, 't> {
    pub fn new(table: &'d DeTable<'t>, span: Range<usize>, place: impl Into<String>) -> Self {
        Self { table, span, place: place.into() }
    }

    /// Notes every field that is none of `known`.
    pub fn known(&self, known: &[&str], faults: &mut Faults<'_>) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let hint = hint(name, known.iter().copied());
                let list = known.join(", ");
                faults.add(&key.span(), &self.place, format!("unknown field `{name}`{hint} (fields: {list})"));
            }
        }
    }

    pub fn get(&self, key: &str) -> Option<&'d Spanned<DeValue<'t>>> {
        self.table.get(key)
    }

    /// Every key with its value, in the order of the keys.
    pub fn entries(&self) -> impl Iterator<Item = (&'d Spanned<Cow<'t, str>>, &'d Spanned<DeValue<'t>>)> + use<'d, 't> {
        self.table.iter()
    }

    pub fn str(&self, key: &str, faults: &mut Faults<'_>) -> Option<Found<&'d str>> {
        self.typed(key, "a text in quotes", faults, DeValue::as_str)
    }

    pub fn bool(&self, key: &str, faults: &mut Faults<'_>) -> Option<bool> {
        self.typed(key, "true or false", faults, DeValue::as_bool).map(|(b, _)| b)
    }

    pub fn usize(&self, key: &str, faults: &mut Faults<'_>) -> Option<Found<usize>> {
        self.typed(key, "a whole number", faults, whole)
    }

    pub fn strings(&self, key: &str, faults: &mut Faults<'_>) -> Option<Found<Vec<String>>> {
        self.typed(key, "a list of texts", faults, |v| {
            v.as_array()?.iter().map(|x| x.get_ref().as_str().map(str::to_owned)).collect()
        })
    }

    /// A table of words; numbers and booleans are taken as they are written.
    pub fn words(&self, key: &str, faults: &mut Faults<'_>) -> Option<Found<Vec<(String, String)>>> {
        self.typed(key, "a table such as { Male = \"M\" }", faults, |v| {
            v.as_table()?.iter().map(|(k, v)| Some((k.get_ref().to_string(), scalar(v.get_ref())?))).collect()
        })
    }

    pub fn table(&self, key: &str, faults: &mut Faults<'_>) -> Option<Self> {
        let (table, span) = self.typed(key, "a table", faults, DeValue::as_table)?;
        Some(Walk::new(table, span, format!("[{key}]")))
    }

    /// The value of one of `names`.
    pub fn one_of<T: Copy>(&self, key: &str, names: &[(&str, T)], faults: &mut Faults<'_>) -> Option<T> {
        let (text, span) = self.str(key, faults)?;
        let found = names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let all: Vec<&str> = names.iter().map(|(n, _)| *n).collect();
            let message =
                format!("unknown {key} `{text}`{} (one of {})", hint(text, all.iter().copied()), all.join(", "));
            faults.add(&span, &self.place, message);
        }
        found
    }

    fn typed<T>(
        &self,
        key: &str,
        want: &str,
        faults: &mut Faults<'_>,
        read: impl Fn(&'d DeValue<'t>) -> Option<T>,
    ) -> Option<Found<T>> {
        let value = self.table.get(key)?;
        match read(value.get_ref()) {
            Some(x) => Some((x, value.span())),
            None => {
                let found = value.get_ref().type_str();
                faults.add(&value.span(), &self.place, format!("`{key}` must be {want}, not a value of type {found}"));
                None
            }
        }
    }
}

pub(crate) fn whole(v: &DeValue<'_>) -> Option<usize> {
    let n = v.as_integer()?;
    usize::from_str_radix(n.as_str(), n.radix()).ok()
}

pub(crate) fn scalar(v: &DeValue<'_>) -> Option<String> {
    match v {
        DeValue::String(s) => Some(s.to_string()),
        DeValue::Integer(n) => Some(n.to_string()),
        DeValue::Float(x) => Some(x.as_str().to_owned()),
        DeValue::Boolean(b) => Some(b.to_string()),
        _ => None,
    }
}
