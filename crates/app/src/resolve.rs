//! Where keys, numbers and names of a chunk become ordinals and parties, and go into the vault.

use crate::{
    app::App,
    error::{AppError, Context, Kind, Result},
};
use kairos_connect::layout::Chunk;
use kairos_lake::Reject;
use kairos_model::{
    Dialled, LocalDay, Msisdn, PartyId, SubscriberId, Timestamp,
    table::{Batch, Column, ColumnType, TableDef, Values},
};
use kairos_vault::{Assignment, RawRow, SecretRow, SuppressRow, SuppressionCause};

/// A chunk fit for the lake: ordinals only.
pub struct Resolved {
    pub batch: Batch,
    pub keys: Vec<u128>,
    pub rejects: Vec<Reject>,
}

/// Resolves the chunks of one file.
pub struct Resolver<'a> {
    app: &'a App,
    table: &'static TableDef,
    as_of: Timestamp,
}

/// Reason of a row whose number belongs to nobody we know at its time.
const NOBODY: &str = "the number belongs to no subscriber at that time; import the `number` history first";
/// Reason of a row whose own number is a short code.
const SHORT: &str = "a short code is nobody's number";

impl<'a> Resolver<'a> {
    pub fn new(app: &'a App, table: &'static TableDef, as_of: Timestamp) -> Self {
        Self { app, table, as_of }
    }

    pub fn resolve(&mut self, chunk: Chunk) -> Result<Resolved> {
        let Chunk { mut batch, keys, rejects, .. } = chunk;
        let rows = batch.rows();
        let times = self.times(&batch);
        let mut bad: Vec<Option<(&'static str, &'static str)>> = vec![None; rows];
        let subscribers = self.subscribers(&batch, &times, &mut bad)?;
        let dates = Dates { joined: batch.column("joined").cloned(), until: batch.column("until").cloned() };
        for column in &mut batch.columns {
            match column.kind {
                ColumnType::Subscriber => {
                    let parties = subscribers.iter().map(|s| s.map_or(PartyId::NONE, PartyId::from)).collect();
                    column.values = Values::Party(parties);
                }
                ColumnType::Party | ColumnType::SubscriberNumber => self.parties(column, &subscribers, &times)?,
                ColumnType::OwnNumber => {
                    self.own_numbers(column, &dates, &subscribers, &times, &mut bad)?;
                }
                ColumnType::Secret => self.secrets(column, &subscribers)?,
                _ => {}
            }
        }
        // what was a number and is now a subscriber carries the canonical type
        batch.columns.retain(|c| c.kind.in_lake());
        let mut lake_rejects = self.store_rejects(rejects)?;
        let (batch, keys) = keep_good(batch, keys, &bad, &mut lake_rejects);
        lake_rejects.sort_by_key(|r| r.row);
        Ok(Resolved { batch, keys, rejects: lake_rejects })
    }

    /// When each row happened: its time column, else the file's state.
    fn times(&self, batch: &Batch) -> Vec<Timestamp> {
        let column = self.table.time.and_then(|t| batch.column(t));
        match column.map(|c| (&c.values, &c.valid)) {
            Some((Values::Time(times), valid)) => {
                times.iter().zip(valid).map(|(t, v)| if *v { *t } else { self.as_of }).collect()
            }
            _ => vec![self.as_of; batch.rows()],
        }
    }

    /// The subscriber of each row, by source key or by number.
    fn subscribers(
        &self,
        batch: &Batch,
        times: &[Timestamp],
        bad: &mut [Option<(&'static str, &'static str)>],
    ) -> Result<Vec<Option<SubscriberId>>> {
        if let Some(c) = batch.columns.iter().find(|c| c.kind == ColumnType::Subscriber)
            && let Values::Key(texts) = &c.values
        {
            let given: Vec<&str> = (0..texts.len()).map(|i| texts.get(i)).collect();
            let mut found = self.app.vault.ordinals(&given);
            let new: Vec<&str> = given.iter().zip(&found).filter(|(_, f)| f.is_none()).map(|(k, _)| *k).collect();
            if !new.is_empty() {
                let made = self
                    .app
                    .vault
                    .ensure_subscribers(&new)
                    .or_fail(Kind::Unavailable, "vault", || "cannot enrol subscribers".to_owned())?;
                let mut made = made.into_iter();
                found.iter_mut().filter(|f| f.is_none()).for_each(|f| *f = made.next());
            }
            return Ok(found);
        }
        if self.table.name == "suppression" {
            return Ok(vec![None; batch.rows()]);
        }
        if let Some(c) = batch.columns.iter().find(|c| c.kind == ColumnType::SubscriberNumber)
            && let Values::Number(numbers) = &c.values
        {
            let view = self.app.vault.view();
            let found = numbers.iter().zip(times).zip(bad).map(|((n, &at), bad)| match n {
                Some(Dialled::Number(m)) => {
                    let holder = view.holder(*m, at);
                    if holder.is_none() {
                        *bad = Some(("subscriber", NOBODY));
                    }
                    holder
                }
                Some(Dialled::Short(_)) => {
                    *bad = Some(("subscriber", SHORT));
                    None
                }
                None => None,
            });
            return Ok(found.collect());
        }
        Ok(vec![None; batch.rows()])
    }

    fn parties(&self, column: &mut Column, subscribers: &[Option<SubscriberId>], times: &[Timestamp]) -> Result<()> {
        let Values::Number(numbers) = &column.values else { return Ok(()) };
        if column.kind == ColumnType::SubscriberNumber && self.table.name != "suppression" {
            column.name = "subscriber".to_owned();
            column.kind = ColumnType::Subscriber;
            column.values = Values::Party(subscribers.iter().map(|s| s.map_or(PartyId::NONE, PartyId::from)).collect());
            return Ok(());
        }
        let asked: Vec<(Dialled, Timestamp)> =
            numbers.iter().zip(times).filter_map(|(n, &at)| n.map(|n| (n, at))).collect();
        if self.table.name == "suppression" {
            self.suppress(&asked)?;
        }
        let parties = self
            .app
            .vault
            .ensure_parties(&asked)
            .or_fail(Kind::Unavailable, "vault", || "cannot resolve numbers".to_owned())?;
        let mut parties = parties.into_iter();
        let all = numbers.iter().map(|n| if n.is_some() { parties.next() } else { None });
        column.values = Values::Party(all.map(|p| p.unwrap_or(PartyId::NONE)).collect());
        Ok(())
    }

    fn suppress(&self, numbers: &[(Dialled, Timestamp)]) -> Result<()> {
        let rows: Vec<SuppressRow> = numbers
            .iter()
            .filter_map(|&(n, at)| line(n).map(|number| SuppressRow { number, at, cause: SuppressionCause::List }))
            .collect();
        self.app.vault.suppress(&rows).or_fail(Kind::Unavailable, "vault", || "cannot suppress".to_owned())?;
        Ok(())
    }

    /// A number history has its own dates. A subscriber file says who holds the number as of its state: since they
    /// joined, unless somebody else held it then.
    fn own_numbers(
        &self,
        column: &Column,
        dates: &Dates,
        subscribers: &[Option<SubscriberId>],
        times: &[Timestamp],
        bad: &mut [Option<(&'static str, &'static str)>],
    ) -> Result<()> {
        let Values::Number(numbers) = &column.values else { return Ok(()) };
        let history = self.table.name == "number";
        let mut assignments = Vec::new();
        {
            let view = self.app.vault.view();
            for (i, dialled) in numbers.iter().enumerate() {
                let (Some(dialled), Some(subscriber)) = (dialled, subscribers[i]) else { continue };
                let Some(number) = line(*dialled) else {
                    bad[i] = Some(("msisdn", SHORT));
                    continue;
                };
                let (from, to) = if history {
                    let (from, to) = (times[i], dates.until(i));
                    if from >= to {
                        bad[i] = Some(("until", "the assignment ends before it begins"));
                        continue;
                    }
                    (from, to)
                } else {
                    if view.holder(number, self.as_of) == Some(subscriber) {
                        continue;
                    }
                    let since = dates.joined(i).and_then(|d| self.app.zone.start_of(d));
                    let since = since.filter(|&t| t <= self.as_of && view.holder(number, t).is_none());
                    (since.unwrap_or(self.as_of), Timestamp::MAX)
                };
                assignments.push(Assignment { subscriber, number, from, to });
            }
        }
        self.app
            .vault
            .assign(&assignments)
            .or_fail(Kind::Unavailable, "vault", || "cannot assign numbers".to_owned())?;
        Ok(())
    }

    fn secrets(&self, column: &Column, subscribers: &[Option<SubscriberId>]) -> Result<()> {
        let Values::Key(texts) = &column.values else { return Ok(()) };
        let rows: Vec<SecretRow<'_>> = subscribers
            .iter()
            .enumerate()
            .filter(|(i, _)| column.valid[*i])
            .filter_map(|(i, s)| s.map(|subscriber| SecretRow { subscriber, field: &column.name, text: texts.get(i) }))
            .collect();
        self.app.vault.put_secrets(&rows).or_fail(Kind::Unavailable, "vault", || "cannot keep texts".to_owned())
    }

    /// Raw rows go to the vault; the lake learns row, field and reason.
    fn store_rejects(&self, rejects: Vec<kairos_connect::layout::Reject>) -> Result<Vec<Reject>> {
        let raw: Vec<RawRow<'_>> = rejects.iter().map(|r| RawRow { subscriber: None, bytes: &r.raw }).collect();
        let ids = self
            .app
            .vault
            .put_raw_rows(&raw)
            .or_fail(Kind::Unavailable, "vault", || "cannot keep quarantined rows".to_owned())?;
        Ok(rejects
            .into_iter()
            .zip(ids)
            .map(|(r, id)| Reject {
                row: r.row,
                field: r.field,
                reason: r.reason.to_string(),
                raw: Some(u64::from(id.0)),
            })
            .collect())
    }
}

fn line(d: Dialled) -> Option<Msisdn> {
    kairos_model::table::line(Some(d))
}

/// The columns that say since when and until when a number is held.
struct Dates {
    joined: Option<Column>,
    until: Option<Column>,
}

impl Dates {
    fn joined(&self, row: usize) -> Option<LocalDay> {
        match self.joined.as_ref().map(|c| (&c.values, c.valid[row])) {
            Some((Values::Date(days), true)) => Some(days[row]),
            _ => None,
        }
    }
    fn until(&self, row: usize) -> Timestamp {
        match self.until.as_ref().map(|c| (&c.values, c.valid[row])) {
            Some((Values::Time(times), true)) => times[row],
            _ => Timestamp::MAX,
        }
    }
}

/// Drops the rows with a reason and notes each as rejected.
fn keep_good(
    batch: Batch,
    keys: Vec<u128>,
    bad: &[Option<(&'static str, &'static str)>],
    rejects: &mut Vec<Reject>,
) -> (Batch, Vec<u128>) {
    if bad.iter().all(Option::is_none) {
        return (batch, keys);
    }
    for (i, reason) in bad.iter().enumerate() {
        if let Some((field, reason)) = reason {
            rejects.push(Reject {
                row: batch.source_rows[i],
                field: Some((*field).to_owned()),
                reason: (*reason).to_owned(),
                raw: None,
            });
        }
    }
    let good: Vec<usize> = (0..bad.len()).filter(|&i| bad[i].is_none()).collect();
    let pick = |v: &Values| match v {
        Values::Bool(x) => Values::Bool(good.iter().map(|&i| x[i]).collect()),
        Values::Int(x) => Values::Int(good.iter().map(|&i| x[i]).collect()),
        Values::Micros(x) => Values::Micros(good.iter().map(|&i| x[i]).collect()),
        Values::Date(x) => Values::Date(good.iter().map(|&i| x[i]).collect()),
        Values::Time(x) => Values::Time(good.iter().map(|&i| x[i]).collect()),
        Values::Number(x) => Values::Number(good.iter().map(|&i| x[i]).collect()),
        Values::Party(x) => Values::Party(good.iter().map(|&i| x[i]).collect()),
        Values::Text(t) | Values::Key(t) => {
            let mut kept = kairos_model::table::Texts::default();
            good.iter().for_each(|&i| kept.push(t.get(i)));
            if matches!(v, Values::Text(_)) { Values::Text(kept) } else { Values::Key(kept) }
        }
    };
    let columns = batch
        .columns
        .into_iter()
        .map(|c| Column {
            values: pick(&c.values),
            valid: good.iter().map(|&i| c.valid[i]).collect(),
            name: c.name,
            kind: c.kind,
        })
        .collect();
    let source_rows = good.iter().map(|&i| batch.source_rows[i]).collect();
    (Batch { columns, source_rows }, good.iter().map(|&i| keys[i]).collect())
}

/// An error of the vault with a word about what was tried.
pub fn vault_error(what: &str, e: kairos_vault::VaultError) -> AppError {
    AppError::unavailable("vault", what).because(e)
}
