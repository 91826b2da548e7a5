//! Checkpoints: what subscribers have by chunks in one file, everything else in a manifest that is published by rename,
//! so that recovery replays only what came after.
//!
//! Manifest: header (40 bytes): magic, format, tenant, journal position, length and CRC32C of the body, CRC32C of the
//! header. It is named by its position and by the one of the first chunk, `<position>.<from>.checkpoint`; the chunks lie
//! in `<from>.states`. Format 1 had everything in one body and is named by its position alone.

use crate::{
    chunk,
    codec::{Malformed, Parsed, Reader, Writer, malformed},
    config::EngineConfig,
    core::{Core, Shelf},
    error::EngineError,
    ledger::{Contact, Home, Phase},
    library::AudienceHash,
    record::WaveRec,
    replay::{CHUNK_BITS, Replay},
    wave::{Status, Wave},
};
use kairos_decide::{Allocator, ChannelUse, Entry, RunState, Saved};
use kairos_journal::{DiskFile, Position};
use kairos_model::{
    CampaignClass, CampaignId, CampaignVersion, CellId, Channel, ContactId, LocalDay, PlaybookId, Reason, SnapshotId,
    SubscriberId, Timestamp, WaveNo, disk::TEMPORARY_SUFFIX,
};
use std::{collections::BTreeMap, io, path::PathBuf};

const MAGIC: &[u8; 8] = b"KAIROSCP";
/// Raised with every change of the body; older ones stay readable.
pub const FORMAT: u16 = 2;
const HEADER: usize = 40;
/// Kept besides the newest, should that one be damaged.
const KEEP: usize = 2;
const SUFFIX: &str = ".checkpoint";
const STATES: &str = ".states";
/// Chunks are written by so much at once, and padded to `ALIGN`, so that a disk can take them past its cache.
const WRITE: usize = 1 << 20;
const ALIGN: usize = 4096;

/// Where recovery begins.
pub struct Loaded {
    pub core: Core,
    /// Position of the first record to replay.
    pub from: Position,
    /// What was in force when the rest was captured, if that was later.
    pub rest: Option<Force>,
    pub notes: Vec<String>,
}

/// Playbook, snapshot, run states and kill switch at one instant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Force {
    book: Option<PlaybookId>,
    facts: Option<SnapshotId>,
    runs: BTreeMap<CampaignId, RunState>,
    kill: bool,
}

impl Force {
    fn of(core: &Core) -> Self {
        Self {
            book: core.base.as_ref().map(|b| b.id),
            facts: core.facts.as_ref().map(|f| f.snapshot()),
            runs: core.runs.clone(),
            kill: core.kill,
        }
    }
    pub fn restore(self, core: &mut Core, shelf: &mut Shelf) -> Result<(), EngineError> {
        let now = Self::of(core);
        if now == self && core.book.is_some() == now.book.is_some() {
            return Ok(());
        }
        if now.book != self.book {
            core.base = self.book.map(|id| shelf.book(id)).transpose()?;
        }
        if now.facts != self.facts {
            core.facts = self.facts.map(|id| shelf.facts(id)).transpose()?;
        }
        (core.runs, core.kill) = (self.runs, self.kill);
        core.bind();
        Ok(())
    }
    fn put(&self, w: &mut Writer) {
        w.u8(u8::from(self.kill));
        w.u32(self.book.map_or(u32::MAX, |b| b.0)).u32(self.facts.map_or(u32::MAX, |f| f.0));
        w.count(self.runs.len());
        self.runs.iter().for_each(|(c, &run)| {
            w.u32(c.0).u8(run as u8);
        });
    }
    fn get(r: &mut Reader<'_>) -> Parsed<Self> {
        let kill = r.u8()? != 0;
        let (book, facts) = (r.u32()?, r.u32()?);
        let runs = (0..r.count(5)?)
            .map(|_| Ok((CampaignId(r.u32()?), r.coded("run state", RunState::from_code)?)))
            .collect::<Parsed<_>>()?;
        let some = |x: u32| (x != u32::MAX).then_some(x);
        Ok(Self { book: some(book).map(PlaybookId), facts: some(facts).map(SnapshotId), runs, kill })
    }
}

/// A chunk in the file of states.
struct Place {
    position: Position,
    offset: u64,
    len: u64,
    sum: u32,
}

/// A checkpoint that is being made.
pub struct Rolling {
    from: Position,
    begun: Timestamp,
    force: Force,
    path: PathBuf,
    file: Option<Box<dyn DiskFile>>,
    pending: Vec<u8>,
    places: Vec<Place>,
    offset: u64,
}

impl Rolling {
    /// Begins at a committed position.
    pub fn begin(config: &EngineConfig, from: Position, core: &Core) -> Result<Self, EngineError> {
        let dir = &config.checkpoint_dir;
        config.disk.create_dir_all(dir).map_err(failed("make directory", dir.clone()))?;
        Ok(Self {
            from,
            begun: core.last,
            force: Force::of(core),
            path: dir.join(format!("{:020}{STATES}", from.0)),
            file: None,
            pending: Vec::new(),
            places: Vec::new(),
            offset: 0,
        })
    }
    /// Chunks in all, as of now.
    pub fn count(&self, core: &Core) -> usize {
        core.states.len().div_ceil(1 << CHUNK_BITS)
    }
    pub fn done(&self) -> usize {
        self.places.len()
    }
    /// Captures some more chunks at a committed position; after the last one publishes the checkpoint: `true`.
    pub fn go_on(
        &mut self,
        config: &EngineConfig,
        position: Position,
        core: &Core,
        chunks: usize,
    ) -> Result<bool, EngineError> {
        for _ in 0..chunks {
            if self.places.len() == self.count(core) {
                break;
            }
            let begin = self.pending.len();
            chunk::put(&mut self.pending, &core.states, self.places.len());
            let sum = crc32c::crc32c(&self.pending[begin..]);
            let len = (self.pending.len() - begin) as u64;
            self.places.push(Place { position, offset: self.offset, len, sum });
            self.pending.resize(self.pending.len().next_multiple_of(ALIGN), 0);
            self.offset += (self.pending.len() - begin) as u64;
            if self.pending.len() >= WRITE {
                self.write(config)?;
            }
        }
        if self.places.len() < self.count(core) {
            return Ok(false);
        }
        self.publish(config, position, core)?;
        Ok(true)
    }
    fn write(&mut self, config: &EngineConfig) -> Result<(), EngineError> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                // one of an attempt that was given up
                match config.disk.remove(&self.path) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => {
                        return Err(failed("remove", self.path.clone())(e));
                    }
                    _ => {}
                }
                let file = config.disk.create_append(&self.path).map_err(failed("create", self.path.clone()))?;
                self.file.insert(file)
            }
        };
        file.append(&self.pending).map_err(failed("write", self.path.clone()))?;
        self.pending.clear();
        Ok(())
    }
    fn publish(&mut self, config: &EngineConfig, position: Position, core: &Core) -> Result<(), EngineError> {
        let dir = &config.checkpoint_dir;
        let path = dir.join(format!("{:020}.{:020}{SUFFIX}", position.0, self.from.0));
        if list(config)?.iter().any(|f| (f.position, f.from) == (position.0, self.from.0)) {
            // nothing has happened since the last one
            return Ok(());
        }
        self.write(config)?;
        if let Some(file) = &mut self.file {
            file.sync_data().map_err(failed("sync", self.path.clone()))?;
        }
        config.disk.sync_dir(dir).map_err(failed("sync directory", dir.clone()))?;
        let body = self.manifest(core);
        let bytes = frame(config.tenant.0, position, &body);
        config.disk.write_whole(&path, &bytes).map_err(failed("write", path))?;
        let found = list(config)?;
        for old in found.iter().skip(KEEP) {
            let path = dir.join(&old.name);
            config.disk.remove(&path).map_err(failed("remove", path))?;
        }
        sweep(config)?;
        tracing::info!(position = position.0, bytes = self.offset + bytes.len() as u64, "checkpoint published");
        Ok(())
    }
    fn manifest(&self, core: &Core) -> Vec<u8> {
        let mut w = Writer::default();
        self.force.put(&mut w);
        w.at(self.begun).count(self.places.len());
        for p in &self.places {
            w.u64(p.position.0).u64(p.offset).u64(p.len).u32(p.sum);
        }
        encode(&mut w, core);
        w.0
    }
}

fn failed(what: &'static str, path: PathBuf) -> impl FnOnce(io::Error) -> EngineError {
    move |cause| EngineError::Checkpoint { what, path, cause }
}

/// A manifest by its name.
struct Found {
    position: u64,
    from: u64,
    name: String,
}

/// The manifests in the directory, newest first.
fn list(config: &EngineConfig) -> Result<Vec<Found>, EngineError> {
    let dir = &config.checkpoint_dir;
    config.disk.create_dir_all(dir).map_err(failed("make directory", dir.clone()))?;
    let names = config.disk.list(dir).map_err(failed("list", dir.clone()))?;
    let parse = |name: String| {
        let stem = name.strip_suffix(SUFFIX)?;
        let (position, from) = stem.split_once('.').unwrap_or((stem, stem));
        Some(Found { position: position.parse().ok()?, from: from.parse().ok()?, name })
    };
    let mut found: Vec<Found> = names.into_iter().filter_map(parse).collect();
    found.sort_unstable_by_key(|f| std::cmp::Reverse((f.position, f.from)));
    Ok(found)
}

/// Where the replay of the checkpoint that reaches back farthest begins.
pub fn oldest(config: &EngineConfig) -> Result<Option<Position>, EngineError> {
    Ok(list(config)?.iter().map(|f| Position(f.from)).min())
}

/// The newest whole checkpoint, or an empty state where the journal is whole from its beginning.
pub fn load(
    config: &EngineConfig,
    (first, end): (Position, Position),
    shelf: &mut Shelf,
) -> Result<Loaded, EngineError> {
    let mut notes = Vec::new();
    sweep(config)?;
    for found in list(config)? {
        let path = config.checkpoint_dir.join(&found.name);
        let bytes = config.disk.read(&path).map_err(failed("read", path.clone()))?;
        let (format, body) = match unframe(&bytes) {
            Ok(Framed { format, .. }) if format > FORMAT => {
                return Err(EngineError::NewerCheckpoint { path, found: format, known: FORMAT });
            }
            Ok(Framed { tenant, .. }) if tenant != config.tenant.0 => {
                return Err(EngineError::Stranger { path, found: tenant, wanted: config.tenant.0 });
            }
            Ok(Framed { format, position: inside, body, .. }) if inside == found.position => (format, body),
            Ok(Framed { position: inside, .. }) => {
                notes.push(format!("checkpoint `{}` says it is at @{inside}: passed over", path.display()));
                continue;
            }
            Err(Malformed(why)) => {
                notes.push(format!("checkpoint `{}` is torn ({why}): passed over", path.display()));
                continue;
            }
        };
        let (position, from) = (Position(found.position), Position(found.from));
        if position > end {
            return Err(EngineError::Ahead { path, position, end });
        }
        if from < first {
            break;
        }
        match decode(config, format, (position, from), body, shelf) {
            Ok((core, rest)) => return Ok(Loaded { core, from, rest, notes }),
            Err(Broken::Engine(e)) => return Err(e),
            Err(Broken::Body(Malformed(why))) => return Err(EngineError::Body { path, why }),
            Err(Broken::States(why)) => {
                notes.push(format!("checkpoint `{}` lacks its states ({why}): passed over", path.display()));
            }
        }
    }
    if first == Position::START {
        return Ok(Loaded { core: blank(config), from: first, rest: None, notes });
    }
    let dir = config.checkpoint_dir.clone();
    let tried = if notes.is_empty() { "none there".to_owned() } else { notes.join("; ") };
    Err(EngineError::NoCheckpoint { dir, first, tried })
}

fn blank(config: &EngineConfig) -> Core {
    Core::new(config.subscribers_max, config.partitions, config.ids_max)
}

/// Removes what an interrupted write left, and states that no manifest names.
fn sweep(config: &EngineConfig) -> Result<(), EngineError> {
    let dir = &config.checkpoint_dir;
    let kept: Vec<String> = list(config)?.iter().map(|f| format!("{:020}{STATES}", f.from)).collect();
    for name in config.disk.list(dir).map_err(failed("list", dir.clone()))? {
        if name.ends_with(TEMPORARY_SUFFIX) || (name.ends_with(STATES) && !kept.contains(&name)) {
            let path = dir.join(name);
            config.disk.remove(&path).map_err(failed("remove", path))?;
        }
    }
    // a checkpoint that an earlier process did not live to publish durably counts from here on
    config.disk.sync_dir(dir).map_err(failed("sync directory", dir.clone()))
}

fn frame(tenant: u16, position: Position, body: &[u8]) -> Vec<u8> {
    let mut w = Writer(Vec::with_capacity(HEADER + body.len()));
    w.bytes(MAGIC).u16(FORMAT).u16(tenant).u64(position.0).u64(body.len() as u64).u32(crc32c::crc32c(body)).u32(0);
    let sum = crc32c::crc32c(&w.0);
    w.u32(sum).bytes(body);
    w.0
}

struct Framed<'a> {
    format: u16,
    tenant: u16,
    position: u64,
    body: &'a [u8],
}

/// The header is checked first: a newer format may have another body, but keeps this header.
fn unframe(bytes: &[u8]) -> Parsed<Framed<'_>> {
    let Some((header, body)) = bytes.split_at_checked(HEADER) else {
        return malformed("shorter than a header");
    };
    let mut r = Reader::new(header);
    if r.take(8)? != MAGIC {
        return malformed("no checkpoint");
    }
    let (format, tenant, position, len, sum) = (r.u16()?, r.u16()?, r.u64()?, r.u64()?, r.u32()?);
    r.u32()?;
    if r.u32()? != crc32c::crc32c(&header[..HEADER - 4]) {
        return malformed("checksum of the header");
    }
    if format <= FORMAT && (len != body.len() as u64 || sum != crc32c::crc32c(body)) {
        return malformed("checksum of the body");
    }
    Ok(Framed { format, tenant, position, body })
}

/// Everything but the subscribers.
fn encode(w: &mut Writer, core: &Core) {
    w.at(core.last);
    Force::of(core).put(w);
    w.count(core.allocator.channels().len());
    for (channel, u) in core.allocator.channels() {
        w.u8(channel.code()).i64(u.second).u32(u.in_second).u32(u.day.0 as u32).u32(u.in_day);
    }
    w.count(core.allocator.spent().len());
    core.allocator.spent().iter().for_each(|(c, &micros)| {
        w.u32(c.0).i64(micros);
    });
    w.count(core.waves.len());
    core.waves.iter().for_each(|x| put_wave(w, x));
    let mut contacts: Vec<(ContactId, &Contact)> = core.ledger.contacts.iter().map(|(&id, c)| (id, c)).collect();
    contacts.sort_unstable_by_key(|&(id, _)| id);
    w.count(contacts.len());
    for (id, c) in contacts {
        w.u64(id.0);
        match c.home {
            Home::Wave { wave, rank } => w.u8(0).u32(wave).u32(rank),
            Home::Moment { subscriber, campaign, occurrence, status } => {
                w.u8(1).u32(subscriber.0).u32(campaign.0).at(occurrence).u16(status.0)
            }
        };
        w.u32(c.version.0).u8(c.treatment).u8(c.channel.code()).u8(c.phase as u8);
        w.i64(c.cost).at(c.intended).at(c.offered).at(c.settled);
    }
    w.count(core.ledger.queues.len());
    for (channel, queue) in &core.ledger.queues {
        w.u8(channel.code()).count(queue.len());
        queue.iter().for_each(|id| {
            w.u64(id.0);
        });
    }
    w.count(core.moments.len());
    for (campaign, m) in &core.moments {
        w.u32(campaign.0).u32(m.intended).u64(m.merged);
        m.sums.put(w);
    }
    let mut offsets: Vec<((u32, u32), u64)> = core.taken.offsets.iter().map(|(&k, &v)| (k, v)).collect();
    offsets.sort_unstable();
    w.count(offsets.len());
    for ((source, partition), to) in offsets {
        w.u32(source).u32(partition).u64(to);
    }
    w.count(core.taken.ids().len());
    core.taken.ids().for_each(|id| {
        w.u64(id);
    });
    let n = &core.intake;
    w.u64(n.events).u64(n.duplicates).u64(n.refused).u64(n.stale);
}

fn put_wave(w: &mut Writer, x: &Wave) {
    w.u32(x.campaign.0).u32(x.version.0).u16(x.wave.0).bytes(&x.audience.0).at(x.not_after);
    w.count(x.len()).u64(x.order_salt).u8(x.class.code()).u8(x.channel.code());
    w.at(x.started).count(x.cursor).u32(x.intended).u8(x.closed.map_or(u8::MAX, |r| r as u8));
    w.count(x.deferred.len());
    x.deferred.iter().for_each(|(&rank, &until)| {
        w.u32(rank).at(until);
    });
    x.statuses().iter().for_each(|s| {
        w.u16(s.0);
    });
}

enum Broken {
    Engine(EngineError),
    /// The checksum holds and the content does not: a bug, not a torn write.
    Body(Malformed),
    /// The file of states is missing, short or damaged.
    States(String),
}
impl From<Malformed> for Broken {
    fn from(m: Malformed) -> Self {
        Self::Body(m)
    }
}
impl From<EngineError> for Broken {
    fn from(e: EngineError) -> Self {
        Self::Engine(e)
    }
}

fn decode(
    config: &EngineConfig,
    format: u16,
    (position, from): (Position, Position),
    body: &[u8],
    shelf: &mut Shelf,
) -> Result<(Core, Option<Force>), Broken> {
    let (mut r, mut core) = (Reader::new(body), blank(config));
    if format == 1 {
        core.last = r.at()?;
        Force::get(&mut r)?.restore(&mut core, shelf)?;
        get_common(&mut r, &mut core, format, shelf)?;
        get_states(&mut r, &mut core)?;
        r.end()?;
        return Ok((core, None));
    }
    let first = Force::get(&mut r)?;
    let begun = r.at()?;
    let places: Vec<Place> = (0..r.count(28)?)
        .map(|_| Ok(Place { position: Position(r.u64()?), offset: r.u64()?, len: r.u64()?, sum: r.u32()? }))
        .collect::<Parsed<_>>()?;
    core.last = r.at()?;
    let rest = Force::get(&mut r)?;
    get_common(&mut r, &mut core, format, shelf)?;
    get_triggers(&mut r, &mut core)?;
    r.end()?;
    first.restore(&mut core, shelf)?;
    load_states(config, from, &places, &mut core)?;
    let timers: Vec<_> = core.states.timers().map(|(s, t)| (s, t.due, t.campaign)).collect();
    for (subscriber, due, campaign) in timers {
        let lane = core.lanes.of(subscriber);
        core.lanes.wheel(lane).insert(begun.min(due), due, campaign, subscriber);
    }
    let chunks: Vec<Position> = places.iter().map(|p| p.position).collect();
    if from == position {
        return Ok((core, None));
    }
    core.replay = Some(Replay { chunks, rest: position, at: from });
    Ok((core, Some(rest)))
}

fn load_states(config: &EngineConfig, from: Position, places: &[Place], core: &mut Core) -> Result<(), Broken> {
    if places.is_empty() {
        return Ok(());
    }
    let path = config.checkpoint_dir.join(format!("{:020}{STATES}", from.0));
    let file = match config.disk.open_read(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Broken::States("no file".to_owned())),
        Err(e) => return Err(failed("read", path)(e).into()),
    };
    core.states.make_room((places.len() << CHUNK_BITS).min(core.subscribers_max as usize));
    core.advise_new();
    let mut bytes = Vec::new();
    for (i, p) in places.iter().enumerate() {
        if p.len > 1 << 31 {
            return Err(Malformed(format!("chunk {i} of {} bytes", p.len)).into());
        }
        bytes.resize(p.len as usize, 0);
        if let Err(e) = file.read_exact_at(p.offset, &mut bytes) {
            return Err(match e.kind() {
                io::ErrorKind::UnexpectedEof => Broken::States(format!("chunk {i} is cut short")),
                _ => failed("read", path)(e).into(),
            });
        }
        if crc32c::crc32c(&bytes) != p.sum {
            return Err(Broken::States(format!("checksum of chunk {i}")));
        }
        chunk::get(&bytes, &mut core.states, i, core.subscribers_max)?;
    }
    Ok(())
}

/// Capacities, waves and ledger: alike in both formats but for whose a contact is.
fn get_common(r: &mut Reader<'_>, core: &mut Core, format: u16, shelf: &mut Shelf) -> Result<(), Broken> {
    let (mut channels, mut spent) = (BTreeMap::new(), BTreeMap::new());
    for _ in 0..r.count(21)? {
        let channel = r.coded("channel", Channel::from_code)?;
        let (second, in_second, day, in_day) = (r.i64()?, r.u32()?, LocalDay(r.u32()? as i32), r.u32()?);
        channels.insert(channel, ChannelUse { second, in_second, day, in_day });
    }
    for _ in 0..r.count(12)? {
        spent.insert(CampaignId(r.u32()?), r.i64()?);
    }
    core.allocator = Allocator::restore(channels, spent);
    for at in 0..r.count(80)? {
        let wave = get_wave(r, shelf)?;
        core.by_wave.insert((wave.campaign, wave.wave), at);
        core.waves.push(wave);
    }
    Ok(get_ledger(r, core, format)?)
}

fn get_triggers(r: &mut Reader<'_>, core: &mut Core) -> Parsed<()> {
    for _ in 0..r.count(16)? {
        let moments = core.moments.entry(CampaignId(r.u32()?)).or_default();
        (moments.intended, moments.merged) = (r.u32()?, r.u64()?);
        moments.sums = crate::output::Sums::get(r)?;
    }
    for _ in 0..r.count(16)? {
        let key = (r.u32()?, r.u32()?);
        core.taken.offsets.insert(key, r.u64()?);
    }
    let ids = (0..r.count(8)?).map(|_| r.u64()).collect::<Parsed<_>>()?;
    core.taken.restore_ids(ids);
    let n = &mut core.intake;
    (n.events, n.duplicates, n.refused, n.stale) = (r.u64()?, r.u64()?, r.u64()?, r.u64()?);
    Ok(())
}

fn get_wave(r: &mut Reader<'_>, shelf: &mut Shelf) -> Result<Wave, Broken> {
    let rec = WaveRec {
        campaign: CampaignId(r.u32()?),
        version: CampaignVersion(r.u32()?),
        wave: WaveNo(r.u16()?),
        audience: AudienceHash(r.hash()?),
        not_after: r.at()?,
        members: r.u32()?,
        order_salt: r.u64()?,
        class: r.coded("campaign class", CampaignClass::from_code)?,
        channel: r.coded("channel", Channel::from_code)?,
    };
    let audience = shelf.audience(rec.audience)?;
    if audience.len() != u64::from(rec.members) {
        let why = format!("audience {} has {} members, not {}", rec.audience, audience.len(), rec.members);
        return Err(Malformed(why).into());
    }
    let mut wave = Wave::new(&rec, r.at()?, &audience);
    wave.cursor = (r.u32()? as usize).min(wave.len());
    wave.intended = r.u32()?;
    wave.closed = match r.u8()? {
        u8::MAX => None,
        code => match Reason::from_code(code) {
            Some(reason) => Some(reason),
            None => return Err(Malformed(format!("{code} is no reason")).into()),
        },
    };
    for _ in 0..r.count(12)? {
        let (rank, until) = (r.u32()?, r.at()?);
        if rank >= rec.members {
            return Err(Malformed(format!("rank {rank} of {} members", rec.members)).into());
        }
        wave.deferred.insert(rank, until);
    }
    let raw = r.take(2 * wave.len())?;
    let status: Vec<Status> = raw.chunks_exact(2).map(|b| Status(u16::from_le_bytes([b[0], b[1]]))).collect();
    if !status.iter().all(|s| s.is_valid()) {
        return Err(Malformed("a member's state is unknown".to_owned()).into());
    }
    wave.restore_statuses(status);
    Ok(wave)
}

fn get_home(r: &mut Reader<'_>, core: &Core, format: u16) -> Parsed<Home> {
    if format > 1 && r.u8()? == 1 {
        let (subscriber, campaign) = (SubscriberId(r.u32()?), CampaignId(r.u32()?));
        let (occurrence, status) = (r.at()?, Status(r.u16()?));
        if !status.is_valid() {
            return malformed("a contact's state is unknown");
        }
        return Ok(Home::Moment { subscriber, campaign, occurrence, status });
    }
    let (wave, rank) = (r.u32()?, r.u32()?);
    if core.waves.get(wave as usize).is_none_or(|w| rank as usize >= w.len()) {
        return malformed(format!("a contact of rank {rank} belongs to no member"));
    }
    Ok(Home::Wave { wave, rank })
}

fn get_ledger(r: &mut Reader<'_>, core: &mut Core, format: u16) -> Parsed<()> {
    for _ in 0..r.count(55)? {
        let id = ContactId(r.u64()?);
        let contact = Contact {
            home: get_home(r, core, format)?,
            version: CampaignVersion(r.u32()?),
            treatment: r.u8()?,
            channel: r.coded("channel", Channel::from_code)?,
            phase: r.coded("phase", Phase::from_code)?,
            cost: r.i64()?,
            intended: r.at()?,
            offered: r.at()?,
            settled: r.at()?,
        };
        core.ledger.restore(id, contact);
    }
    for _ in 0..r.count(5)? {
        let channel = r.coded("channel", Channel::from_code)?;
        let queue = (0..r.count(8)?).map(|_| r.u64().map(ContactId)).collect::<Parsed<_>>()?;
        core.ledger.queues.insert(channel, queue);
    }
    Ok(())
}

/// Subscribers as format 1 had them.
fn get_states(r: &mut Reader<'_>, core: &mut Core) -> Parsed<()> {
    for _ in 0..r.count(14)? {
        let (ordinal, cell, flags) = (r.u32()?, CellId(r.u32()?), r.u16()?);
        if ordinal >= core.subscribers_max {
            return malformed(format!("subscriber s{ordinal} is past the limit of {}", core.subscribers_max));
        }
        let n = r.count(21)?;
        let mut history = Vec::with_capacity(n);
        for _ in 0..n {
            let (stamp, campaign, family, key, mark) = (r.at()?, r.u32()?, r.u32()?, r.u32()?, r.u8()?);
            match Entry::from_parts(stamp.0, campaign, family, key, mark) {
                Some(e) => history.push(e),
                None => return malformed(format!("{mark} is no mark of a contact")),
            }
        }
        let saved = Saved {
            seen_at: Timestamp::MIN,
            cell,
            flags: flags as u8,
            history: &history,
            timers: Vec::new(),
            progress: Vec::new(),
        };
        core.states.restore(SubscriberId(ordinal), saved);
    }
    Ok(())
}
