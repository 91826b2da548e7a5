//! Areas of the definitions: named sets of cells, `areas/*.toml`.

use crate::{
    definitions::Definitions,
    error::{AppError, Context, Kind, Result},
};
use kairos_lake::Sets;
use kairos_model::CellId;
use kairos_rules::Named;
use serde::Deserialize;
use std::collections::BTreeSet;

/// Cells of one area at most: a metropolis has some 100,000.
const CELLS_MAX: usize = 1_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    area: Vec<Area>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Area {
    id: String,
    name: Name,
    cells: Vec<Cells>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    zh: String,
    en: String,
}

/// One cell, or a range with both its ends: `10200` or `"10200-10219"`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Cells {
    One(u32),
    Range(String),
}

/// Adds every area of the definitions. `Invalid` names file, area and cell.
pub fn read(definitions: &Definitions, sets: &mut Sets) -> Result<()> {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (name, text) in definitions.under("areas/") {
        let shown = definitions.shown(name);
        let file: File = toml::from_str(text).or_fail(Kind::Invalid, "areas", || format!("`{shown}` is not valid"))?;
        for area in file.area {
            let fault = |what: String| AppError::invalid("areas", format!("`{shown}`, area `{}`: {what}", area.id));
            if !is_id(&area.id) {
                return Err(fault("the id must be letters, digits and `_`, beginning with a letter".to_owned()));
            }
            if !seen.insert(area.id.clone()) {
                return Err(fault("there is another area of this id".to_owned()));
            }
            let mut cells = Vec::new();
            for c in &area.cells {
                let (from, to) = ends(c).ok_or_else(|| {
                    fault(match c {
                        Cells::Range(r) => format!("`{r}` is no range of cells; write \"10200-10219\""),
                        Cells::One(n) => format!("{n} is no cell"),
                    })
                })?;
                if cells.len() + (to - from) as usize >= CELLS_MAX {
                    return Err(fault(format!("it has more than {CELLS_MAX} cells; split it")));
                }
                cells.extend((from..=to).map(CellId));
            }
            if cells.is_empty() {
                return Err(fault("it has no cells".to_owned()));
            }
            sets.add_area(Named::new(&area.id, &area.name.zh, &area.name.en), cells);
        }
    }
    Ok(())
}

fn ends(cells: &Cells) -> Option<(u32, u32)> {
    match cells {
        Cells::One(n) => Some((*n, *n)),
        Cells::Range(text) => {
            let (from, to) = text.split_once('-')?;
            let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
            (from <= to).then_some((from, to))
        }
    }
}

/// Ids that the condition language reads as one word.
pub fn is_id(id: &str) -> bool {
    id.len() <= 64
        && id.starts_with(|c: char| c.is_ascii_alphabetic())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
