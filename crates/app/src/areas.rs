//! Areas of the definitions: named sets of cells, `areas/*.toml`.

use crate::{
    definitions::Definitions,
    error::{AppError, Context, Kind, Result},
};
use kairos_catalog::is_slug;
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
#[serde(try_from = "toml::Value")]
struct Cells(u32, u32);

impl TryFrom<toml::Value> for Cells {
    type Error = String;
    fn try_from(value: toml::Value) -> std::result::Result<Self, String> {
        let found = match &value {
            toml::Value::Integer(n) => u32::try_from(*n).ok().map(|n| (n, n)),
            toml::Value::String(text) => text.split_once('-').and_then(|(from, to)| {
                let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
                (from <= to).then_some((from, to))
            }),
            _ => None,
        };
        let (from, to) = found.ok_or_else(|| {
            format!(
                "`{value}` is no cell and no range of cells; write 10200 or \"10200-10219\", from 0 to {}",
                u32::MAX
            )
        })?;
        Ok(Self(from, to))
    }
}

/// Adds every area of the definitions. `Invalid` names file, area and cell.
pub fn read(definitions: &Definitions, sets: &mut Sets) -> Result<()> {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (name, text) in definitions.under("areas/") {
        let shown = definitions.shown(name);
        let file: File = toml::from_str(text).or_fail(Kind::Invalid, "areas", || format!("`{shown}` is not valid"))?;
        for area in file.area {
            let fault = |what: String| AppError::invalid("areas", format!("`{shown}`, area `{}`: {what}", area.id));
            if !is_slug(&area.id) {
                return Err(fault("the id must be 1–64 of a–z, 0–9, `-` and `_`".to_owned()));
            }
            if !seen.insert(area.id.clone()) {
                return Err(fault("there is another area of this id".to_owned()));
            }
            let mut cells = Vec::new();
            for &Cells(from, to) in &area.cells {
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
