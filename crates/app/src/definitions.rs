//! Definitions as files: tenant, layouts, tags, campaigns; from a folder, or the province that the program carries.

use crate::error::{AppError, Context, Kind, Result};
use include_dir::{Dir, include_dir};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

static PROVINCE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../province");

/// Largest definition file; a tag catalogue of 450 tags takes some 200 KiB.
const FILE_MAX: u64 = 4 << 20;

/// Where definitions come from: name (`tags/basic.toml`) → text.
#[derive(Clone, Debug)]
pub struct Definitions {
    /// Folder, or `None` for the embedded province.
    pub folder: Option<PathBuf>,
    files: BTreeMap<String, String>,
}

impl Definitions {
    /// The embedded province, or a folder with `tenant.toml`, `layouts/`, `tags/`, `campaigns/`.
    pub fn load(folder: Option<&Path>) -> Result<Self> {
        let mut files = BTreeMap::new();
        match folder {
            None => embedded(&PROVINCE, &mut files),
            Some(folder) => {
                if !folder.is_dir() {
                    return Err(AppError::not_found(
                        "definitions",
                        format!("there is no folder of definitions `{}`", folder.display()),
                    ));
                }
                read_folder(folder, folder, &mut files)?;
            }
        }
        Ok(Self { folder: folder.map(Path::to_owned), files })
    }

    /// A file's text; the path is relative to the folder.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.files.get(name).map(String::as_str)
    }
    /// What to call a file in an error.
    pub fn shown(&self, name: &str) -> String {
        match &self.folder {
            Some(folder) => folder.join(name).display().to_string(),
            None => format!("province/{name} (embedded)"),
        }
    }
    pub fn required(&self, name: &str) -> Result<&str> {
        self.text(name).ok_or_else(|| {
            AppError::not_found("definitions", format!("the definitions have no `{}`", self.shown(name)))
        })
    }
    /// Files of one subfolder: name and text, sorted.
    pub fn under<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files.iter().filter(move |(name, _)| name.starts_with(folder)).map(|(n, t)| (n.as_str(), t.as_str()))
    }
}

fn embedded(dir: &Dir<'_>, files: &mut BTreeMap<String, String>) {
    for file in dir.files() {
        if let (Some(path), Some(text)) = (file.path().to_str(), file.contents_utf8())
            && path.ends_with(".toml")
        {
            files.insert(path.to_owned(), text.to_owned());
        }
    }
    dir.dirs().for_each(|d| embedded(d, files));
}

fn read_folder(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) -> Result<()> {
    let fail = |what: &Path| format!("cannot read `{}`", what.display());
    let entries = fs::read_dir(folder).or_fail(Kind::Unavailable, "definitions", || fail(folder))?;
    for entry in entries {
        let path = entry.or_fail(Kind::Unavailable, "definitions", || fail(folder))?.path();
        if path.is_dir() {
            read_folder(root, &path, files)?;
            continue;
        }
        if path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        let size = fs::metadata(&path).or_fail(Kind::Unavailable, "definitions", || fail(&path))?.len();
        if size > FILE_MAX {
            return Err(AppError::invalid(
                "definitions",
                format!("`{}` has {size} bytes, more than {FILE_MAX}; split it", path.display()),
            ));
        }
        let text = fs::read_to_string(&path).or_fail(Kind::Invalid, "definitions", || fail(&path))?;
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        files.insert(name, text);
    }
    Ok(())
}
