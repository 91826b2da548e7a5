//! The parts of an event in a layout file: time, cell, fields.

use super::{
    event_parse::Reading,
    event_spec::{CellForm, CellSpec, FieldFrom, FieldSpec, TimeSpec},
    number::{Round, Scale, Unit},
    parse::{read_map, time_format},
    parse_file::read_zone,
    walk::{Walk, scalar},
    when::TimeFormat,
};
use kairos_model::{EventTypeDef, FieldDef, Zone, near::hint, table::ColumnType};
use toml::de::DeValue;

const TIME: &[&str] = &["from", "format", "zone", "plus", "plus_unit"];
const CELL: &[&str] = &["form", "from", "lac", "ci", "tac", "eci", "enb", "cell", "radix"];
const FIELD: &[&str] =
    &["from", "sum", "since", "until", "const", "unit", "round", "format", "zone", "map", "map_other"];
const ROUNDS: [(&str, Round); 4] =
    [("exact", Round::Exact), ("up", Round::Up), ("down", Round::Down), ("nearest", Round::Nearest)];

impl Reading<'_, '_> {
    /// The table under `key`, or a column alone as `{ from = column }`.
    fn clock_of(&mut self, w: &Walk<'_, '_>) -> usize {
        let format = match w.str("format", self.faults) {
            Some((text, span)) => time_format(text, &span, &w.place, self.faults),
            None => TimeFormat::Iso,
        };
        let zone = read_zone(w, self.faults).or_else(|| self.file.zone.clone());
        if format.is_local() && zone.is_none() && w.get("zone").is_none() {
            self.faults.add(
                &w.span,
                &w.place,
                "local times need a zone: set zone = \"Asia/Shanghai\" in [file] or here",
            );
        }
        self.clock(format, zone.unwrap_or_else(Zone::utc))
    }

    pub fn time(&mut self, w: &Walk<'_, '_>) -> Option<TimeSpec> {
        let mut t = w.table("time", self.faults)?;
        t.place = format!("{}.time", w.place);
        t.known(TIME, self.faults);
        let from = self.columns(&t, "from").unwrap_or_default();
        if from.is_empty() {
            self.faults.add(&t.span, &t.place, "`from` is missing: the column of the time");
        }
        let unit = t.str("plus_unit", self.faults);
        let scale = unit.as_ref().map(|(name, _)| Unit::named(name));
        if let (Some((_, span)), false) = (&unit, matches!(scale, Some(Some(Unit::Time(..))))) {
            self.faults.add(span, &t.place, "`plus_unit` is s, ms, min or h");
        }
        let plus = self.columns(&t, "plus").and_then(|c| c.first().copied());
        if plus.is_some() != unit.is_some() {
            self.faults.add(&t.span, &t.place, "`plus`, a length of time to add, goes with `plus_unit`");
        }
        let scale = scale.flatten().map(|u| u.scale(Round::Down));
        let clock = self.clock_of(&t);
        Some(TimeSpec { from, clock, plus: plus.zip(scale) })
    }

    /// One form, or a list of them of which the first that is not blank counts.
    pub fn cells(&mut self, w: &Walk<'_, '_>) -> Option<Vec<CellSpec>> {
        let value = w.get("cell")?;
        let place = format!("{}.cell", w.place);
        let one = std::slice::from_ref(value);
        let list = value.get_ref().as_array().map_or(one, |l| l.as_ref());
        let mut cells = Vec::new();
        for item in list {
            match item.get_ref().as_table() {
                Some(table) => cells.extend(self.cell(&Walk::new(table, item.span(), place.as_str()))),
                None => {
                    self.faults.add(&item.span(), &place, "must be a table such as { form = \"id\", from = \"CELL\" }")
                }
            }
        }
        Some(cells)
    }

    fn cell(&mut self, w: &Walk<'_, '_>) -> Option<CellSpec> {
        w.known(CELL, self.faults);
        let names = ["id", "lac_ci", "tac_eci", "enb_cell", "ecgi"];
        let form = w.one_of("form", &names.map(|n| (n, n)), self.faults).unwrap_or("id");
        let hex = w.one_of("radix", &[("decimal", false), ("hex", true)], self.faults).unwrap_or(false);
        let mut part = |key: &str| self.columns(w, key).and_then(|c| c.first().copied());
        let form = match form {
            "lac_ci" => part("lac").zip(part("ci")).map(|(lac, ci)| CellForm::LacCi(lac, ci)),
            "tac_eci" => {
                let tac = part("tac");
                part("eci").map(|eci| CellForm::TacEci(tac, eci))
            }
            "enb_cell" => part("enb").zip(part("cell")).map(|(enb, cell)| CellForm::EnbCell(enb, cell)),
            "ecgi" => part("from").map(CellForm::Ecgi),
            _ => part("from").map(CellForm::Id),
        };
        if form.is_none() {
            let message = "needs `from` (id, ecgi), `lac` and `ci` (lac_ci), `eci` and perhaps `tac` (tac_eci), or `enb` and `cell` (enb_cell)";
            self.faults.add(&w.span, &w.place, message);
        }
        Some(CellSpec { form: form?, hex })
    }

    /// One entry for each field of the type: the rule's own, or that of `[event.fields]`.
    pub fn fields(
        &mut self,
        w: &Walk<'_, '_>,
        event: &Walk<'_, '_>,
        def: &EventTypeDef,
        clock: usize,
    ) -> Vec<Option<FieldSpec>> {
        let own = w.table("fields", self.faults);
        let shared = event.table("fields", self.faults);
        for (key, _) in own.iter().flat_map(Walk::entries) {
            let name: &str = key.get_ref();
            if def.field(name).is_none() {
                let near = hint(name, def.fields.iter().map(|f| f.name.as_str()));
                let message = format!("event `{}` has no field `{name}`{near}", def.name);
                self.faults.add(&key.span(), &w.place, message);
            }
        }
        let mut out = Vec::with_capacity(def.fields.len());
        for field in &def.fields {
            let found = [&own, &shared].into_iter().flatten().find_map(|t| t.get(&field.name));
            let spec = found.and_then(|v| {
                let place = format!("field `{}`", field.name);
                let Some(table) = v.get_ref().as_table() else {
                    self.faults.add(
                        &v.span(),
                        &place,
                        "must be a table such as { from = \"TALK_TIME\", unit = \"s\" }",
                    );
                    return None;
                };
                self.field(&Walk::new(table, v.span(), place), field, clock)
            });
            if found.is_none() && field.required {
                let message = format!(
                    "event `{}` needs field `{}`: give it in [event.fields] or in the rule",
                    def.name, field.name
                );
                self.faults.add(&w.span, &w.place, message);
            }
            out.push(spec);
        }
        out
    }

    fn field(&mut self, w: &Walk<'_, '_>, def: &FieldDef, clock: usize) -> Option<FieldSpec> {
        w.known(FIELD, self.faults);
        let between = w.get("since").is_some() || w.get("until").is_some();
        let ways = [w.get("from").is_some(), w.get("sum").is_some(), between, w.get("const").is_some()];
        if ways.iter().filter(|x| **x).count() != 1 {
            self.faults.add(&w.span, &w.place, "needs one of `from`, `sum`, `since` with `until`, `const`");
            return None;
        }
        let numeric = matches!(def.kind, ColumnType::Int | ColumnType::Decimal | ColumnType::Money);
        let from = if let Some(columns) = self.columns(w, "from") {
            FieldFrom::First(columns)
        } else if let Some(columns) = self.columns(w, "sum") {
            FieldFrom::Sum(columns)
        } else if between {
            let mut part = |key: &str| self.columns(w, key).and_then(|c| c.first().copied());
            let Some((since, until)) = part("since").zip(part("until")) else {
                self.faults.add(&w.span, &w.place, "a difference needs `since` and `until`");
                return None;
            };
            FieldFrom::Between { since, until }
        } else {
            FieldFrom::Const(w.get("const").and_then(|v| scalar(v.get_ref())).unwrap_or_default())
        };
        if matches!(from, FieldFrom::Sum(_) | FieldFrom::Between { .. }) && def.kind != ColumnType::Int {
            self.faults.add(&w.span, &w.place, "`sum` and `since … until` are for whole numbers");
        }
        let round = w.one_of("round", &ROUNDS, self.faults).unwrap_or_default();
        if !numeric && (w.get("round").is_some() || w.get("unit").is_some()) {
            self.faults.add(&w.span, &w.place, "`unit` and `round` are for numbers");
        }
        let unit = w.str("unit", self.faults);
        let currency = match unit.as_ref().and_then(|(name, _)| Unit::named(name)) {
            Some(Unit::Money { currency, .. }) => Some(currency),
            _ => None,
        };
        let scale = match unit {
            Some((name, span)) => unit_scale(name, def, round).unwrap_or_else(|| {
                let message = format!("unit `{name}` does not fit `{}`: time units are for `…_s`, data units for `…_kib` and `bytes`, money units for money", def.name);
                self.faults.add(&span, &w.place, message);
                Scale { num: 1, den: 1, round }
            }),
            None => Scale { num: 1, den: 1, round },
        };
        let clock = if w.get("format").is_some() || w.get("zone").is_some() { self.clock_of(w) } else { clock };
        let map = read_map(w, self.faults);
        self.check_const(w, &from, def, scale);
        Some(FieldSpec { from, scale, currency, map, clock })
    }

    /// A constant must be a value of its field, so that a slip shows here and not as a million bad rows.
    fn check_const(&mut self, w: &Walk<'_, '_>, from: &FieldFrom, def: &FieldDef, scale: Scale) {
        let (FieldFrom::Const(text), Some(value)) = (from, w.get("const")) else { return };
        let good = match def.kind {
            ColumnType::Int => super::number::int(text.as_bytes(), scale).is_ok_and(|n| n <= def.max()),
            ColumnType::Decimal | ColumnType::Money => super::number::micros(text.as_bytes(), scale).is_ok(),
            ColumnType::Text => text.len() <= kairos_model::event_tail::TEXT_MAX,
            ColumnType::Bool => matches!(value.get_ref(), DeValue::Boolean(_)),
            _ => false,
        };
        if !good {
            self.faults.add(&value.span(), &w.place, format!("`{text}` is no constant of type {}", def.kind.name()));
        }
    }
}

fn unit_scale(name: &str, def: &FieldDef, round: Round) -> Option<Scale> {
    match (Unit::named(name)?, def.kind) {
        (unit @ Unit::Time(..), ColumnType::Int) if def.name.ends_with("_s") => Some(unit.scale(round)),
        (Unit::Data(num), ColumnType::Int) if def.name.ends_with("_kib") => Some(Scale { num, den: 1_024, round }),
        (unit @ Unit::Data(_), ColumnType::Int) if def.name == "bytes" => Some(unit.scale(round)),
        (unit @ Unit::Money { .. }, ColumnType::Money) => Some(unit.scale(round)),
        _ => None,
    }
}
