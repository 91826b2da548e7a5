//! The floor check: an edge between crates goes strictly down; floors 0–2 are pure; some parts have one owner.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Every crate of the plan and its floor. A crate that is not here has no place in the house.
const FLOORS: &[(&str, u8)] = &[
    ("model", 0),
    ("rules", 1),
    ("decide", 2),
    ("audience", 2),
    ("insight", 2),
    ("tariff", 2),
    ("weblog", 2),
    ("synth", 2),
    ("journal", 3),
    ("lake", 3),
    ("catalog", 3),
    ("vault", 3),
    ("smsc", 3),
    ("engine", 4),
    ("connect", 4),
    ("app", 5),
    ("api", 6),
    ("kairos", 7),
    ("sim", 7),
];

/// Parts that only one crate (or two) may link, and why it matters.
const OWNERS: &[(&str, &[&str])] = &[
    ("datafusion", &["lake"]),
    ("parquet", &["lake"]),
    ("sqlx", &["catalog"]),
    ("fjall", &["vault"]),
    ("rdkafka", &["journal"]),
    ("rusmpp", &["connect", "smsc"]),
    ("axum", &["api"]),
    ("utoipa", &["api"]),
    ("clap", &["kairos"]),
];

/// What floors 0–2 never link: runtimes, sockets, files, randomness.
const IMPURE: &[&str] = &[
    "tokio",
    "async-std",
    "mio",
    "socket2",
    "sqlx",
    "rusqlite",
    "fjall",
    "reqwest",
    "ureq",
    "hyper",
    "axum",
    "memmap2",
    "rustix",
    "libc",
    "getrandom",
    "rand",
    "tempfile",
    "tracing-subscriber",
    "datafusion",
    "parquet",
];

/// Entries that each pure crate's clippy.toml must hold.
const PURE_CLIPPY: &[&str] = &[
    "std::fs::File",
    "std::fs::read",
    "std::fs::write",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::env::var",
    "std::env::args",
    "std::time::SystemTime",
    "std::time::Instant",
    "std::hash::RandomState",
    "std::collections::HashMap",
    "std::collections::HashSet",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
];

/// Past this a Rust file has outgrown its one subject (the house says about 500).
const LINES_MAX: usize = 700;

pub fn run() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    match check(root) {
        Ok(faults) if faults.is_empty() => {
            println!("floors: every edge goes down, floors 0-2 are pure");
            ExitCode::SUCCESS
        }
        Ok(faults) => {
            faults.iter().for_each(|f| eprintln!("floors: {f}"));
            ExitCode::FAILURE
        }
        Err(e) => {
            eprintln!("floors: {e}");
            ExitCode::FAILURE
        }
    }
}

fn check(root: &Path) -> Result<Vec<String>, String> {
    let floors: BTreeMap<&str, u8> = FLOORS.iter().copied().collect();
    let mut faults = Vec::new();
    for folder in list(&root.join("crates"))? {
        let name = folder.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        let manifest = folder.join("Cargo.toml");
        let text = fs::read_to_string(&manifest).map_err(|e| format!("cannot read `{}`: {e}", manifest.display()))?;
        let toml: toml::Table = text.parse().map_err(|e| format!("`{}`: {e}", manifest.display()))?;
        faults.extend(edges(&name, &toml, &floors));
        if floors.get(name.as_str()).is_some_and(|f| *f <= 2) {
            faults.extend(purity(&name, &folder)?);
        }
        sources(&folder, root, &mut faults)?;
    }
    Ok(faults)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("cannot list `{}`: {e}", folder.display()))?;
    let mut paths = entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    paths.sort();
    Ok(paths)
}

fn edges(name: &str, toml: &toml::Table, floors: &BTreeMap<&str, u8>) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(&floor) = floors.get(name) else {
        return vec![format!("crate `{name}` has no floor; add it to the plan in xtask or remove it")];
    };
    let package = toml.get("package").and_then(|p| p.get("name")).and_then(|n| n.as_str());
    let expected = if name == "kairos" { name.to_owned() } else { format!("kairos-{name}") };
    if package != Some(&expected) {
        faults.push(format!("the crate in folder `{name}` must be called `{expected}`"));
    }
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let dev = section == "dev-dependencies";
        for dependency in toml.get(section).and_then(|d| d.as_table()).into_iter().flat_map(|t| t.keys()) {
            if let Some(other) = dependency.strip_prefix("kairos-") {
                match floors.get(other) {
                    Some(&f) if f < floor => {}
                    _ => faults
                        .push(format!("`{name}` (floor {floor}) must not know `{other}`: an edge goes strictly down")),
                }
                if other == "lake" && floor == 4 {
                    faults.push(format!("`{name}` must not know `lake`: an event never causes a read from disk"));
                }
            }
            if floor <= 2 && !dev && IMPURE.contains(&dependency.as_str()) {
                faults.push(format!("`{name}` is pure (floor {floor}) and must not link `{dependency}`"));
            }
            if let Some((_, owners)) = OWNERS.iter().find(|(part, _)| part == dependency)
                && !owners.contains(&name)
            {
                faults.push(format!("only {} may link `{dependency}`, not `{name}`", owners.join(" and ")));
            }
        }
    }
    faults
}

fn purity(name: &str, folder: &Path) -> Result<Vec<String>, String> {
    let path = folder.join("clippy.toml");
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(vec![format!("`{name}` is pure and needs `{}`", path.display())]);
    };
    Ok(PURE_CLIPPY
        .iter()
        .filter(|entry| !text.contains(&format!("\"{entry}\"")))
        .map(|entry| format!("`{}` must disallow `{entry}`", path.display()))
        .collect())
}

fn sources(folder: &Path, root: &Path, faults: &mut Vec<String>) -> Result<(), String> {
    for path in list(folder)? {
        if path.is_dir() {
            if path.file_name().is_some_and(|n| n != "data" && n != "target") {
                sources(&path, root, faults)?;
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            let lines = fs::read_to_string(&path).map_err(|e| e.to_string())?.lines().count();
            if lines > LINES_MAX {
                let shown = path.strip_prefix(root).unwrap_or(&path).display();
                faults.push(format!("`{shown}` has {lines} lines, past {LINES_MAX}: split it by subject"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(name: &str, manifest: &str) -> Vec<String> {
        edges(name, &manifest.parse().expect("toml"), &FLOORS.iter().copied().collect())
    }

    #[test]
    fn the_house_stands() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("workspace");
        assert_eq!(check(root).expect("readable"), Vec::<String>::new());
    }

    #[test]
    fn an_edge_up_is_found() {
        let manifest =
            "[package]\nname='kairos-decide'\n[dependencies]\nkairos-engine.workspace=true\ntokio.workspace=true";
        assert_eq!(
            faults_of("decide", manifest),
            [
                "`decide` (floor 2) must not know `engine`: an edge goes strictly down",
                "`decide` is pure (floor 2) and must not link `tokio`"
            ]
        );
    }

    #[test]
    fn one_floor_does_not_know_itself_and_parts_have_owners() {
        let manifest =
            "[package]\nname='kairos-vault'\n[dependencies]\nkairos-catalog.workspace=true\nsqlx.workspace=true";
        assert_eq!(
            faults_of("vault", manifest),
            [
                "`vault` (floor 3) must not know `catalog`: an edge goes strictly down",
                "only catalog may link `sqlx`, not `vault`"
            ]
        );
    }
}
