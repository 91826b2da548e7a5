//! The audience index of a snapshot: built beside it, mapped, and asked instead of its columns.
//!
//! `index/<snapshot>.kaix` follows from the snapshot alone: where it is missing, cut short or changed it is made anew.
//! Columns whose definition and inputs are those of an earlier snapshot are carried over from its index.

use crate::{
    error::{LakeError, Result},
    lake::{Inner, Lake},
    map::map,
    tags::{Sets, Snapshot, SnapshotTag},
};
use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, UInt32Array},
    datatypes::{Date32Type, Decimal128Type, Int64Type, UInt32Type},
};
use kairos_audience::{AskError, BuildError, Builder, ColumnWriter, Funnel, Head, Index, Values, View};
use kairos_model::SnapshotId;
use kairos_rules::{Condition, TagType};
use memmap2::Mmap;
use roaring::RoaringBitmap;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufWriter, Write},
    path::PathBuf,
    sync::{Arc, PoisonError},
};

/// Indexes held open: the newest, one that is asked about the past, and one being replaced.
const OPEN_MAX: usize = 4;
/// Rows handed to the builder at once.
const ROWS: usize = 65_536;

/// An open index.
pub struct SnapshotIndex {
    index: Index<Mmap>,
}

/// Indexes that are open, by snapshot.
pub(crate) type OpenIndexes = BTreeMap<u32, Arc<SnapshotIndex>>;

impl SnapshotIndex {
    pub fn view(&self) -> View<'_> {
        self.index.view()
    }
}

impl Lake {
    /// The index of a snapshot, made if there is none.
    pub fn index(&self, id: SnapshotId) -> Result<Arc<SnapshotIndex>> {
        self.inner.index(&self.snapshot(id)?)
    }

    /// The subscribers of a snapshot for whom the condition is true.
    ///
    /// Errors: no such snapshot; a tag that it lacks or has with another type; an area or list that `sets` lacks.
    pub fn select(&self, snapshot: SnapshotId, condition: &Condition, sets: &Sets) -> Result<RoaringBitmap> {
        self.ask(snapshot, condition, sets, |view| Ok(view.query(condition, sets)?.members()?.to_roaring()))
    }

    /// The same as a set that the index asks.
    pub fn members(
        &self,
        snapshot: SnapshotId,
        condition: &Condition,
        sets: &Sets,
    ) -> Result<kairos_audience::Members> {
        self.ask(snapshot, condition, sets, |view| view.query(condition, sets)?.members())
    }

    /// How many they are.
    pub fn count(&self, snapshot: SnapshotId, condition: &Condition, sets: &Sets) -> Result<u64> {
        self.ask(snapshot, condition, sets, |view| view.query(condition, sets)?.count())
    }

    /// What each clause of the outermost `and` removes, in order and alone.
    pub fn funnel(&self, snapshot: SnapshotId, condition: &Condition, sets: &Sets) -> Result<Funnel> {
        self.ask(snapshot, condition, sets, |view| view.funnel(condition, sets))
    }

    fn ask<T>(
        &self,
        snapshot: SnapshotId,
        condition: &Condition,
        sets: &Sets,
        question: impl FnOnce(View<'_>) -> std::result::Result<T, AskError>,
    ) -> Result<T> {
        let snapshot = self.snapshot(snapshot)?;
        self.fits(&snapshot, condition)?;
        if let Some((list, why)) = condition.lists().iter().find_map(|l| Some((l, sets.blocked(l)?))) {
            return Err(LakeError::Limit { what: format!("the list `{list}` cannot be used: {why}") });
        }
        let index = self.inner.index(&snapshot)?;
        question(index.view()).map_err(|e| LakeError::Limit { what: e.to_string() })
    }
}

impl Inner {
    fn index_path(&self, id: u32) -> PathBuf {
        self.dir.join("index").join(format!("{id:08}.kaix"))
    }

    /// Opens what there is; builds it where it is missing or does not read.
    pub(crate) fn index(&self, snapshot: &Snapshot) -> Result<Arc<SnapshotIndex>> {
        let id = snapshot.id().0;
        // one builder at a time; a second asker waits for the first one's file
        let mut open = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = open.get(&id) {
            return Ok(found.clone());
        }
        let path = self.index_path(id);
        let made = match self.open_index(id) {
            Ok(index) => index,
            Err(e) => {
                if path.exists() {
                    tracing::warn!(error = %e, "an audience index does not read; it is made anew");
                }
                self.build_index(snapshot, open.values().next_back().map(|i| &i.index))?;
                self.open_index(id)?
            }
        };
        let made = Arc::new(SnapshotIndex { index: made });
        if open.len() >= OPEN_MAX {
            open.pop_first();
        }
        open.insert(id, made.clone());
        Ok(made)
    }

    fn open_index(&self, id: u32) -> Result<Index<Mmap>> {
        let path = self.index_path(id);
        let damaged = |e: kairos_audience::IndexError| LakeError::damaged(&path, e.to_string());
        let index = Index::open(map(&path)?, self.tenant).map_err(damaged)?;
        // once a process and snapshot: a changed byte is never counted
        index.verify().map_err(damaged)?;
        Ok(index)
    }

    fn build_index(&self, snapshot: &Snapshot, before: Option<&Index<Mmap>>) -> Result<()> {
        let folder = self.table_dir("index")?;
        let path = self.index_path(snapshot.id().0);
        let beside = path.with_extension("tmp");
        let universe = self.universe(snapshot)?;
        let rows = universe.values().last().map_or(0, |last| last + 1);
        let head = Head {
            tenant: self.tenant,
            snapshot: snapshot.id(),
            as_of: snapshot.as_of(),
            day: self.zone.day(snapshot.as_of()),
            rows,
        };
        let file = File::create(&beside).map_err(LakeError::io("create", &beside))?;
        let failed = |e: BuildError| LakeError::Limit { what: format!("{e}") };
        let mut b = Builder::begin(BufWriter::with_capacity(1 << 20, file), head).map_err(failed)?;
        if universe.len() < rows as usize {
            b.universe(universe.values().iter().copied()).map_err(failed)?;
        }
        for tag in &snapshot.tags {
            self.add_column(&mut b, snapshot, tag, &universe, before)?;
        }
        let (out, _) = b.finish().map_err(failed)?;
        let file = out.into_inner().map_err(|e| LakeError::Io {
            doing: "write",
            path: beside.clone(),
            cause: e.into_error(),
        })?;
        file.sync_all().map_err(LakeError::io("sync", &beside))?;
        fs::rename(&beside, &path).map_err(LakeError::io("rename into place", &path))?;
        crate::manifest::sync_dir(&folder)
    }

    fn add_column<W: Write>(
        &self,
        b: &mut Builder<W>,
        snapshot: &Snapshot,
        tag: &SnapshotTag,
        universe: &UInt32Array,
        before: Option<&Index<Mmap>>,
    ) -> Result<()> {
        let failed = |e: BuildError| LakeError::Limit { what: format!("{e}") };
        let ty = tag.tag_type();
        let same = before.filter(|old| old.column(&tag.id).is_some_and(|c| c.key == tag.key && c.ty == ty));
        let (mut column, next) = match same {
            Some(old) => b.carry(old, &tag.id, &ty, &tag.key).map_err(failed)?,
            None => (b.column(&tag.id, &ty, &tag.key).map_err(failed)?, 0),
        };
        let from = universe.values().partition_point(|&s| s < next);
        if from < universe.len() {
            let columns = self.tag_columns(snapshot, &[&tag.id])?;
            let values = columns.batch.column(1);
            push(&mut column, &ty, universe, values, from).map_err(failed)?;
        }
        column.finish().map_err(failed)
    }
}

/// Values from a place of the universe on, in runs of ordinals that follow one another.
fn push<W: Write>(
    to: &mut ColumnWriter<'_, W>,
    ty: &TagType,
    universe: &UInt32Array,
    values: &ArrayRef,
    mut from: usize,
) -> std::result::Result<(), BuildError> {
    let ordinals = universe.values();
    while from < ordinals.len() {
        let gap = u64::from(ordinals[from]) - to.row();
        to.skip(gap)?;
        let most = (ordinals.len() - from).min(ROWS);
        let run = (1..most).take_while(|i| ordinals[from + i] == ordinals[from] + *i as u32).count() + 1;
        push_run(to, ty, &values.slice(from, run))?;
        from += run;
    }
    Ok(())
}

fn push_run<W: Write>(
    to: &mut ColumnWriter<'_, W>,
    ty: &TagType,
    values: &ArrayRef,
) -> std::result::Result<(), BuildError> {
    let valid: Vec<bool> = (0..values.len()).map(|i| values.is_valid(i)).collect();
    let valid = Some(valid.as_slice());
    match ty {
        TagType::Bool => {
            let a = values.as_boolean();
            to.push(&Values::Bools(&(0..a.len()).map(|i| a.value(i)).collect::<Vec<_>>()), valid)
        }
        TagType::Int | TagType::Duration => {
            to.push(&Values::Numbers(values.as_primitive::<Int64Type>().values()), valid)
        }
        TagType::Decimal | TagType::Money(_) => {
            // what the snapshot keeps is an i64 of millionths; fillers of NULL may be anything
            let all = values.as_primitive::<Decimal128Type>().values();
            to.push(&Values::Numbers(&all.iter().map(|&v| v as i64).collect::<Vec<_>>()), valid)
        }
        TagType::Date => {
            let all = values.as_primitive::<Date32Type>().values();
            to.push(&Values::Numbers(&all.iter().map(|&v| v.into()).collect::<Vec<_>>()), valid)
        }
        TagType::Cell => to.push(&Values::Cells(values.as_primitive::<UInt32Type>().values()), valid),
        TagType::Text | TagType::Enum { .. } => {
            let a = values.as_string::<i32>();
            let words: Vec<&str> = (0..a.len()).map(|i| if a.is_valid(i) { a.value(i) } else { "" }).collect();
            to.push(&Values::Texts(&words), valid)
        }
        TagType::Set { .. } => {
            let a = values.as_list::<i32>();
            let members = a.values().as_string::<i32>();
            let (mut ends, mut words) = (Vec::with_capacity(a.len()), Vec::new());
            for i in 0..a.len() {
                if a.is_valid(i) {
                    let within = a.value_offsets()[i] as usize..a.value_offsets()[i + 1] as usize;
                    words.extend(within.map(|m| members.value(m)));
                }
                ends.push(words.len() as u32);
            }
            to.push(&Values::Sets { ends: &ends, words: &words }, valid)
        }
    }
}
