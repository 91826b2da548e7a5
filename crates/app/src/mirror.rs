//! The trail of decisions and outcomes as tables of the lake: each journal record mirrored exactly once.

use crate::{
    app::App,
    error::{AppError, Context, Kind, Result},
};
use kairos_engine::{Trail, Which};
use kairos_journal::Position;
use kairos_lake::decision_batch;
use kairos_model::{
    ContactState, DecisionRecord, Disposition, PartyId, Timestamp,
    table::{Batch, Column, ColumnType, Texts, Values},
};

/// The journal's one partition as the lake names it.
const STREAM: &str = "journal-0";
/// Lines written at once: some 10 MB in memory.
const LINES_MAX: usize = 200_000;

impl App {
    /// Brings the tables `decision` and `outcome` up to what the journal holds now; returns the lines added.
    pub fn mirror(&self) -> Result<u64> {
        Ok(self.mirror_table("decision")? + self.mirror_table("outcome")?)
    }

    fn mirror_table(&self, table: &'static str) -> Result<u64> {
        let mut added = 0;
        loop {
            let after = self.lake.position(table, STREAM);
            let piece = self.piece(table, after)?;
            if piece.upto <= after {
                return Ok(added);
            }
            added += piece.batch.rows() as u64;
            self.lake.append_rows(table, STREAM, after, piece.upto, &piece.batch).or_fail(
                Kind::Unavailable,
                "mirror",
                || format!("cannot write the table `{table}`"),
            )?;
        }
    }

    /// The next lines behind a position, ending with a whole record.
    fn piece(&self, table: &str, after: u64) -> Result<Piece> {
        let fail = |e: kairos_engine::EngineError| AppError::unavailable("journal", "cannot read the trail").because(e);
        let reader = {
            let engine = self.runner().engine();
            let (first, end) = engine.trail_ends();
            if end.0 <= after.max(first.0) {
                return Ok(Piece { upto: end.0, batch: Batch::default() });
            }
            (engine.trail_from(Position(after.max(first.0))).map_err(fail)?, end)
        };
        let (lines, end) = reader;
        let (mut decisions, mut outcomes) = (Vec::new(), Vec::new());
        let mut last = None;
        for line in lines {
            let (position, trail) = line.map_err(fail)?;
            let whole = last.is_some_and(|l| l != position);
            last = Some(position);
            if position.0 >= end.0 || (whole && decisions.len().max(outcomes.len()) >= LINES_MAX) {
                return Ok(Piece { upto: position.0, batch: batch(table, &decisions, &outcomes) });
            }
            match trail {
                Trail::Decision { record, .. } if table == "decision" => decisions.push(record),
                other if table == "outcome" => outcomes.extend(outcome(other)),
                _ => {}
            }
        }
        Ok(Piece { upto: end.0, batch: batch(table, &decisions, &outcomes) })
    }
}

struct Piece {
    upto: u64,
    batch: Batch,
}

struct Outcome {
    at: Timestamp,
    what: Which,
    state: Option<ContactState>,
    disposition: Option<Disposition>,
}

fn outcome(trail: Trail) -> Option<Outcome> {
    Some(match trail {
        Trail::Offered { stamp, what } => {
            Outcome { at: stamp, what, state: Some(ContactState::Pending), disposition: None }
        }
        Trail::Settled { stamp, what, state, .. } => Outcome { at: stamp, what, state: Some(state), disposition: None },
        Trail::Seen { stamp, what, disposition } => {
            Outcome { at: stamp, what, state: None, disposition: Some(disposition) }
        }
        _ => return None,
    })
}

fn batch(table: &str, decisions: &[DecisionRecord], outcomes: &[Outcome]) -> Batch {
    if table == "decision" { decision_batch(decisions) } else { outcome_batch(outcomes) }
}

fn outcome_batch(rows: &[Outcome]) -> Batch {
    let text = |name: &str, get: &dyn Fn(&Outcome) -> Option<String>| {
        let (mut texts, mut valid) = (Texts::default(), Vec::with_capacity(rows.len()));
        for row in rows {
            let value = get(row);
            valid.push(value.is_some());
            texts.push(value.as_deref().unwrap_or(""));
        }
        Column { name: name.to_owned(), kind: ColumnType::Text, values: Values::Text(texts), valid }
    };
    let known =
        |name: &str, kind, values| Column { name: name.to_owned(), kind, values, valid: vec![true; rows.len()] };
    let columns = vec![
        known("at", ColumnType::Time, Values::Time(rows.iter().map(|r| r.at).collect())),
        known(
            "subscriber",
            ColumnType::Subscriber,
            Values::Party(rows.iter().map(|r| PartyId::from(r.what.subscriber)).collect()),
        ),
        known("campaign", ColumnType::Int, Values::Int(rows.iter().map(|r| r.what.campaign.0.into()).collect())),
        known("wave", ColumnType::Int, Values::Int(rows.iter().map(|r| r.what.wave.0.into()).collect())),
        text("contact", &|r| Some(r.what.contact.to_string())),
        text("state", &|r| r.state.map(|s| s.name().to_owned())),
        text("disposition", &|r| r.disposition.map(|d| d.name().to_owned())),
    ];
    Batch { columns, source_rows: (1..=rows.len() as u64).collect() }
}
