//! Lists of numbers: loaded from a file, kept as sets of parties under a version, named in conditions.
//!
//! An own list holds subscribers; a peer list also foreign numbers and short codes. The file's numbers end at this door.

use crate::{
    app::App,
    areas,
    error::{AppError, Context, Kind, Result},
    frame,
    import::{CHUNKS_AHEAD, Fault, count, read_text},
    progress::Progress,
    tags::load_tags,
};
use kairos_catalog::is_slug;
use kairos_connect::layout::{self, Chunk, Layout, ReadOptions};
use kairos_lake::Sets;
use kairos_model::{
    Party, PartyId, Timestamp,
    table::{ColumnType, NUMBER_LIST, Values},
};
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{PoisonError, mpsc},
    thread,
};

const MAGIC: &[u8; 8] = b"KAILIST1";
const CODES: frame::Codes = frame::Codes { missing: "list_missing", broken: "list_broken", newer: "list_newer" };
/// Lists at once: each is in memory.
const LISTS_MAX: usize = 1_000;
/// Versions of one list that are kept; older files are removed.
const VERSIONS_KEPT: u32 = 8;

/// Whose numbers a list holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListKind {
    /// 本端: subscribers.
    Own,
    /// 对端: whom subscribers talk to, foreign numbers and short codes too.
    Peer,
}

/// What became of the lines of the file: `lines` = members + duplicate + bad, and of an own list + foreign.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ListCounts {
    pub lines: u64,
    /// Parties on the list.
    pub members: u64,
    /// Lines whose party stood on the list already.
    pub duplicate: u64,
    /// Numbers that belong to no subscriber now: left out of an own list, members of a peer list.
    pub foreign: u64,
    /// Lines that hold no number.
    pub bad: u64,
}

/// One version of a list, without its members.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListHead {
    pub tenant: u16,
    pub id: String,
    pub zh: String,
    pub en: String,
    pub kind: ListKind,
    pub version: u32,
    #[serde(with = "micros")]
    pub loaded: Timestamp,
    /// From then on the list is not named in conditions any more.
    #[serde(with = "micros_or_none")]
    pub expires: Option<Timestamp>,
    pub file: String,
    pub counts: ListCounts,
}

/// What to load.
pub struct LoadList {
    pub id: String,
    pub zh: Option<String>,
    pub en: Option<String>,
    pub kind: ListKind,
    pub expires: Option<Timestamp>,
}

/// A loaded list, and the faults of its file by kind.
pub struct Loaded {
    pub head: ListHead,
    pub faults: Vec<Fault>,
    pub seconds: f64,
}

impl App {
    fn lists_folder(&self) -> PathBuf {
        self.dir.path("lists")
    }

    /// The newest version of each list, by id, and of those that do not read, why. Expired ones too.
    pub fn lists(&self) -> Result<Vec<std::result::Result<ListHead, (String, AppError)>>> {
        let found = versions(&self.lists_folder())?;
        let head = |(id, versions): (String, Vec<u32>)| {
            let path = file_of(&self.lists_folder(), &id, versions.last().copied().unwrap_or_default());
            load(&path).map(|(head, _)| head).map_err(|e| (id, e))
        };
        Ok(found.into_iter().map(head).collect())
    }

    /// Areas of the definitions, and the lists as they were at a time.
    pub(crate) fn sets(&self, at: Timestamp) -> Result<Named> {
        sets(&self.definitions, &self.lists_folder(), at)
    }

    /// Members of a list that is in force: ordinals of an own list, parties of a peer list.
    pub(crate) fn list_members(&self, id: &str, kind: ListKind) -> Result<RoaringBitmap> {
        let last = versions(&self.lists_folder())?.remove(id).and_then(|v| v.last().copied());
        let Some(last) = last else {
            return Err(AppError::not_found("list", format!("there is no list `{id}`; kairos list show names them")));
        };
        let (head, body) = load(&file_of(&self.lists_folder(), id, last))?;
        if head.kind != kind {
            return Err(AppError::invalid(
                "list_kind",
                format!("`{id}` is a list of the other kind ({:?})", head.kind),
            ));
        }
        if let Some(t) = head.expires.filter(|&t| t <= self.now()) {
            return Err(AppError::invalid("list_expired", format!("the list `{id}` expired at {t}; load it again")));
        }
        RoaringBitmap::deserialize_from(&body[..])
            .or_fail(Kind::Failure, CODES.broken, || format!("the list `{id}` does not read as a set"))
    }

    /// Reads a file of numbers into a new version of a list, whole or not at all.
    pub fn load_list(&self, what: LoadList, layout: &Layout, path: &Path, progress: &dyn Progress) -> Result<Loaded> {
        let started = std::time::Instant::now();
        if !is_slug(&what.id) {
            return Err(AppError::invalid(
                "list_id",
                format!("`{}` cannot name a list; use 1–64 of a–z, 0–9, `-` and `_`", what.id),
            ));
        }
        if layout.table.name != NUMBER_LIST.name {
            let message = format!(
                "the layout `{}` reads the table `{}`; a list is read by one of table `number_list`",
                layout.id, layout.table.name
            );
            return Err(AppError::invalid("list_layout", message));
        }
        if what.expires.is_some_and(|t| t <= self.now()) {
            return Err(AppError::invalid("list_expires", "the list would have expired already; give a later time"));
        }
        // one change of the lists at a time
        let _held = self.lists_lock.lock().unwrap_or_else(PoisonError::into_inner);
        let known = versions(&self.lists_folder())?;
        let last = known.get(&what.id).and_then(|v| v.last().copied());
        if last.is_none() && known.len() >= LISTS_MAX {
            return Err(AppError::conflict(
                "lists_max",
                format!("there are {LISTS_MAX} lists; drop one first: kairos list drop ID"),
            ));
        }
        // what does not read any more is replaced like any other
        let before = last.and_then(|v| load(&file_of(&self.lists_folder(), &what.id, v)).ok()).map(|(head, _)| head);
        if let Some(b) = before.as_ref().filter(|b| b.kind != what.kind) {
            return Err(AppError::conflict(
                "list_kind",
                format!("`{}` is a list of the other kind ({:?}); give another id", what.id, b.kind),
            ));
        }
        let (members, counts, faults) = self.read_list(what.kind, layout, path, progress)?;
        if members.is_empty() {
            let message = format!(
                "no line of `{}` is the number of a {}; nothing was kept ({} foreign or unknown, {} bad)",
                path.display(),
                if what.kind == ListKind::Own { "subscriber" } else { "party" },
                counts.foreign,
                counts.bad
            );
            return Err(AppError::invalid("list_empty", message));
        }
        let head = ListHead {
            zh: what.zh.or(before.as_ref().map(|b| b.zh.clone())).unwrap_or_else(|| what.id.clone()),
            en: what.en.or(before.as_ref().map(|b| b.en.clone())).unwrap_or_else(|| what.id.clone()),
            id: what.id,
            kind: what.kind,
            tenant: self.dir.tenant().0,
            version: last.map_or(1, |v| v + 1),
            loaded: self.now(),
            expires: what.expires,
            file: path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
            counts,
        };
        let mut body = Vec::with_capacity(members.serialized_size());
        members.serialize_into(&mut body).or_fail(Kind::Failure, "internal", || format!("list `{}`", head.id))?;
        frame::save(&file_of(&self.lists_folder(), &head.id, head.version), MAGIC, &head, &body)?;
        self.forget(&head.id, head.version.saturating_sub(VERSIONS_KEPT))?;
        self.reload_sets()?;
        Ok(Loaded { head, faults, seconds: started.elapsed().as_secs_f64() })
    }

    /// Forgets a list with all its versions, also one that does not read any more. `Conflict` if a tag names it; a
    /// campaign that names it is refused from then on. The number of its last version.
    pub fn drop_list(&self, id: &str) -> Result<u32> {
        let _held = self.lists_lock.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = versions(&self.lists_folder())?.remove(id).and_then(|v| v.last().copied()) else {
            return Err(AppError::not_found("list", format!("there is no list `{id}`; kairos list show names them")));
        };
        let mut without = self.sets(self.now())?;
        without.sets.remove_list(id);
        load_tags(&self.definitions, self.currency, without.sets).map_err(|e| {
            AppError::conflict("list_used", format!("a tag names the list `{id}`; change the tag first")).because(e)
        })?;
        self.forget(id, last)?;
        self.reload_sets()?;
        Ok(last)
    }

    /// Removes versions up to `upto`, the newest last: a crash between leaves the newest in force.
    fn forget(&self, id: &str, upto: u32) -> Result<()> {
        for version in 1..=upto {
            let path = file_of(&self.lists_folder(), id, version);
            if path.exists() {
                std::fs::remove_file(&path)
                    .or_fail(Kind::Unavailable, "list", || format!("cannot remove `{}`", path.display()))?;
            }
        }
        Ok(())
    }

    fn read_list(
        &self,
        kind: ListKind,
        layout: &Layout,
        path: &Path,
        progress: &dyn Progress,
    ) -> Result<(RoaringBitmap, ListCounts, Vec<Fault>)> {
        let hash = layout::content_hash(path)
            .or_fail(Kind::Invalid, "list_file", || format!("cannot read `{}`", path.display()))?;
        progress.begin(&format!("list {}", path.display()), std::fs::metadata(path).map_or(0, |m| m.len()));
        let options = ReadOptions::new(self.plan.clone(), self.currency, self.vault.derived_key("row keys"));
        let (mut members, mut counts, mut faults) = (RoaringBitmap::new(), ListCounts::default(), Vec::new());
        let (sender, chunks) = mpsc::sync_channel(CHUNKS_AHEAD);
        thread::scope(|scope| -> Result<()> {
            let reader = scope.spawn(move || read_text(path, layout, &options, hash, &sender));
            let mut at = 0;
            for chunk in chunks {
                progress.advance(chunk.bytes_read.saturating_sub(at));
                at = chunk.bytes_read;
                self.take(kind, &chunk, &mut members, &mut counts)?;
                chunk.rejects.iter().for_each(|r| count(&mut faults, r.field.as_deref(), &r.reason.to_string(), r.row));
            }
            match reader.join() {
                Ok(outcome) => outcome,
                Err(_) => Err(AppError::failure("internal", format!("reading `{}` ended in a panic", path.display()))),
            }
        })?;
        counts.members = members.len();
        faults.sort_by_key(|f| f.first_row);
        progress.end(&format!("{}: {} lines, {} members", path.display(), counts.lines, counts.members));
        Ok((members, counts, faults))
    }

    /// The numbers of one chunk.
    fn take(&self, kind: ListKind, chunk: &Chunk, members: &mut RoaringBitmap, counts: &mut ListCounts) -> Result<()> {
        counts.lines += chunk.read;
        counts.bad += chunk.rejects.len() as u64;
        let column = chunk.batch.columns.iter().find(|c| c.kind == ColumnType::SubscriberNumber);
        let Some(Values::Number(numbers)) = column.map(|c| &c.values) else { return Ok(()) };
        let now = self.now();
        let asked: Vec<_> = numbers.iter().flatten().map(|&n| (n, now)).collect();
        counts.bad += (numbers.len() - asked.len()) as u64;
        let parties: Vec<Option<PartyId>> = match kind {
            ListKind::Own => self.vault.parties(&asked),
            ListKind::Peer => {
                let known = self.vault.ensure_parties(&asked);
                let known = known.or_fail(Kind::Unavailable, "vault", || "cannot resolve the numbers".to_owned())?;
                known.into_iter().map(Some).collect()
            }
        };
        for party in parties {
            let own = party.and_then(PartyId::party).filter(|p| matches!(p, Party::Subscriber(_))).is_some();
            if !own {
                counts.foreign += 1;
            }
            let Some(id) = party.filter(|_| own || kind == ListKind::Peer) else { continue };
            if !members.insert(id.0) {
                counts.duplicate += 1;
                counts.foreign -= u64::from(!own);
            }
        }
        Ok(())
    }
}

fn file_of(folder: &Path, id: &str, version: u32) -> PathBuf {
    folder.join(format!("{id}.{version:08}.list"))
}

/// Head and members' bytes of one file.
fn load(path: &Path) -> Result<(ListHead, Vec<u8>)> {
    frame::load(path, MAGIC, "list", &CODES)
}

/// The versions of each list in a folder, ascending, by id.
fn versions(folder: &Path) -> Result<BTreeMap<String, Vec<u32>>> {
    let mut found: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    if !folder.exists() {
        return Ok(found);
    }
    let fail = || format!("cannot list `{}`", folder.display());
    for entry in std::fs::read_dir(folder).or_fail(Kind::Unavailable, "lists", fail)? {
        let path = entry.or_fail(Kind::Unavailable, "lists", fail)?.path();
        let name = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".list"));
        if let Some((id, version)) = name.and_then(|n| n.rsplit_once('.'))
            && let Ok(version) = version.parse::<u32>()
        {
            found.entry(id.to_owned()).or_default().push(version);
        }
    }
    found.values_mut().for_each(|v| v.sort_unstable());
    Ok(found)
}

/// What conditions may name at an instant.
pub struct Named {
    pub sets: Sets,
    /// When the first of the lists expires.
    pub until: Option<Timestamp>,
}

/// Areas of the definitions, and the lists of a folder as they were at an instant. A list that is of peers, has expired
/// or does not read blocks the conditions that name it, and nothing else.
pub fn sets(definitions: &crate::Definitions, folder: &Path, at: Timestamp) -> Result<Named> {
    let mut sets = Sets::default();
    areas::read(definitions, &mut sets)?;
    let mut until: Option<Timestamp> = None;
    for (id, versions) in versions(folder)? {
        let mut named = None;
        for version in versions.iter().rev() {
            match load(&file_of(folder, &id, *version)) {
                Ok((head, _)) if head.loaded > at => {}
                other => {
                    named = Some(other);
                    break;
                }
            }
        }
        let Some(found) = named else { continue };
        let (head, body) = match found {
            Ok(found) => found,
            Err(e) => {
                tracing::error!(list = id, error = %e, "a list does not read");
                sets.block_list(kairos_rules::Named::new(&id, &id, &id), e.message);
                continue;
            }
        };
        let name = kairos_rules::Named::new(&id, &head.zh, &head.en);
        if head.kind == ListKind::Peer {
            sets.block_list(name, "it is a peer list, of whom subscribers talk to".to_owned());
        } else if let Some(t) = head.expires.filter(|&t| t <= at) {
            sets.block_list(name, format!("it expired at {t}; load it again"));
        } else {
            until = head.expires.into_iter().chain(until).min();
            match RoaringBitmap::deserialize_from(&body[..]) {
                Ok(members) => sets.add_list(name, members),
                Err(e) => sets.block_list(name, format!("its file does not read as a set ({e})")),
            }
        }
    }
    Ok(Named { sets, until })
}

/// A time as microseconds since 1970, UTC.
mod micros {
    use kairos_model::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(t: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_i64(t.0)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(d).map(Timestamp)
    }
}

mod micros_or_none {
    use kairos_model::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(t: &Option<Timestamp>, s: S) -> Result<S::Ok, S::Error> {
        t.map(|t| t.0).serialize(s)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<i64>::deserialize(d)?.map(Timestamp))
    }
}
