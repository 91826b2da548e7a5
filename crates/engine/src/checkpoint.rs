//! Checkpoints: the whole state in one file, published by rename, so that recovery replays only what came after.
//!
//! Header (40 bytes): magic, format, tenant, journal position, length and CRC32C of the body, CRC32C of the header.

use crate::{
    codec::{Malformed, Parsed, Reader, Writer, malformed},
    config::EngineConfig,
    core::{Core, Shelf},
    error::EngineError,
    ledger::{Contact, Phase},
    library::AudienceHash,
    record::WaveRec,
    wave::{Status, Wave},
};
use kairos_decide::{Allocator, ChannelUse, Entry, RunState, State};
use kairos_journal::Position;
use kairos_model::{
    CampaignClass, CampaignId, CampaignVersion, CellId, Channel, ContactId, LocalDay, PlaybookId, Reason, SnapshotId,
    WaveNo, disk::TEMPORARY_SUFFIX,
};
use std::{collections::BTreeMap, io, path::PathBuf};

const MAGIC: &[u8; 8] = b"KAIROSCP";
/// Raised with every change of the body; older ones stay readable.
pub const FORMAT: u16 = 1;
const HEADER: usize = 40;
/// Kept besides the newest, should that one be damaged.
const KEEP: usize = 2;
const SUFFIX: &str = ".checkpoint";

/// Where recovery begins.
pub struct Loaded {
    pub core: Core,
    pub position: Position,
    pub notes: Vec<String>,
}

fn failed(what: &'static str, path: PathBuf) -> impl FnOnce(io::Error) -> EngineError {
    move |cause| EngineError::Checkpoint { what, path, cause }
}

/// Positions of the checkpoints in the directory, newest first.
fn list(config: &EngineConfig) -> Result<Vec<(u64, String)>, EngineError> {
    let dir = &config.checkpoint_dir;
    config.disk.create_dir_all(dir).map_err(failed("make directory", dir.clone()))?;
    let names = config.disk.list(dir).map_err(failed("list", dir.clone()))?;
    let mut found: Vec<(u64, String)> =
        names.into_iter().filter_map(|n| Some((n.strip_suffix(SUFFIX)?.parse().ok()?, n))).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Position of the oldest checkpoint that is kept.
pub fn oldest(config: &EngineConfig) -> Result<Option<Position>, EngineError> {
    Ok(list(config)?.last().map(|&(p, _)| Position(p)))
}

/// Writes a checkpoint of the state at a committed position, then removes the ones that are no longer needed.
pub fn save(config: &EngineConfig, position: Position, core: &Core) -> Result<(), EngineError> {
    let dir = &config.checkpoint_dir;
    config.disk.create_dir_all(dir).map_err(failed("make directory", dir.clone()))?;
    let path = dir.join(format!("{:020}{SUFFIX}", position.0));
    let bytes = frame(config.tenant.0, position, &encode(core));
    config.disk.write_whole(&path, &bytes).map_err(failed("write", path))?;
    for (_, name) in list(config)?.into_iter().skip(KEEP) {
        let path = dir.join(name);
        config.disk.remove(&path).map_err(failed("remove", path))?;
    }
    tracing::info!(position = position.0, bytes = bytes.len(), "checkpoint published");
    Ok(())
}

/// The newest whole checkpoint, or an empty state where the journal is whole from its beginning.
pub fn load(
    config: &EngineConfig,
    (first, end): (Position, Position),
    shelf: &mut Shelf,
) -> Result<Loaded, EngineError> {
    let mut notes = Vec::new();
    sweep(config)?;
    for (position, name) in list(config)? {
        let path = config.checkpoint_dir.join(name);
        let bytes = config.disk.read(&path).map_err(failed("read", path.clone()))?;
        let body = match unframe(&bytes) {
            Ok(Framed { format, .. }) if format > FORMAT => {
                return Err(EngineError::NewerCheckpoint { path, found: format, known: FORMAT });
            }
            Ok(Framed { tenant, .. }) if tenant != config.tenant.0 => {
                return Err(EngineError::Stranger { path, found: tenant, wanted: config.tenant.0 });
            }
            Ok(Framed { position: inside, body, .. }) if inside == position => body,
            Ok(Framed { position: inside, .. }) => {
                notes.push(format!("checkpoint `{}` says it is at @{inside}: passed over", path.display()));
                continue;
            }
            Err(Malformed(why)) => {
                notes.push(format!("checkpoint `{}` is torn ({why}): passed over", path.display()));
                continue;
            }
        };
        let position = Position(position);
        if position > end {
            return Err(EngineError::Ahead { path, position, end });
        }
        if position < first {
            break;
        }
        let core = match decode(config, body, shelf) {
            Ok(core) => core,
            Err(Broken::Engine(e)) => return Err(e),
            Err(Broken::Body(Malformed(why))) => return Err(EngineError::Body { path, why }),
        };
        return Ok(Loaded { core, position, notes });
    }
    if first == Position::START {
        return Ok(Loaded { core: Core::new(config.subscribers_max), position: first, notes });
    }
    let dir = config.checkpoint_dir.clone();
    let tried = if notes.is_empty() { "none there".to_owned() } else { notes.join("; ") };
    Err(EngineError::NoCheckpoint { dir, first, tried })
}

/// Removes what an interrupted write left.
fn sweep(config: &EngineConfig) -> Result<(), EngineError> {
    let dir = &config.checkpoint_dir;
    config.disk.create_dir_all(dir).map_err(failed("make directory", dir.clone()))?;
    for name in config.disk.list(dir).map_err(failed("list", dir.clone()))? {
        if name.ends_with(TEMPORARY_SUFFIX) {
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

fn encode(core: &Core) -> Vec<u8> {
    let mut w = Writer::default();
    w.at(core.last).u8(u8::from(core.kill));
    w.u32(core.base.as_ref().map_or(u32::MAX, |b| b.id.0));
    w.u32(core.facts.as_ref().map_or(u32::MAX, |f| f.snapshot().0));
    w.count(core.runs.len());
    core.runs.iter().for_each(|(c, &run)| {
        w.u32(c.0).u8(run as u8);
    });
    w.count(core.allocator.channels().len());
    for (channel, u) in core.allocator.channels() {
        w.u8(channel.code()).i64(u.second).u32(u.in_second).u32(u.day.0 as u32).u32(u.in_day);
    }
    w.count(core.allocator.spent().len());
    core.allocator.spent().iter().for_each(|(c, &micros)| {
        w.u32(c.0).i64(micros);
    });
    w.count(core.waves.len());
    core.waves.iter().for_each(|x| put_wave(&mut w, x));
    let mut contacts: Vec<(ContactId, &Contact)> = core.ledger.contacts.iter().map(|(&id, c)| (id, c)).collect();
    contacts.sort_unstable_by_key(|&(id, _)| id);
    w.count(contacts.len());
    for (id, c) in contacts {
        w.u64(id.0).u32(c.wave).u32(c.rank).u32(c.version.0).u8(c.treatment).u8(c.channel.code()).u8(c.phase as u8);
        w.i64(c.cost).at(c.intended).at(c.offered).at(c.settled);
    }
    w.count(core.ledger.queues.len());
    for (channel, queue) in &core.ledger.queues {
        w.u8(channel.code()).count(queue.len());
        queue.iter().for_each(|id| {
            w.u64(id.0);
        });
    }
    let known = || core.states.iter().enumerate().filter(|(_, s)| !s.is_default());
    w.count(known().count());
    for (ordinal, s) in known() {
        w.count(ordinal).u32(s.cell.0).u16(s.flags()).count(s.history().len());
        for e in s.history() {
            w.at(e.stamp()).u32(e.campaign().0).u32(e.family().0).u32(e.key()).u8(e.mark() as u8);
        }
    }
    w.0
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

fn decode(config: &EngineConfig, body: &[u8], shelf: &mut Shelf) -> Result<Core, Broken> {
    let (mut r, mut core) = (Reader::new(body), Core::new(config.subscribers_max));
    core.last = r.at()?;
    core.kill = r.u8()? != 0;
    let (book, facts) = (r.u32()?, r.u32()?);
    if book != u32::MAX {
        core.base = Some(shelf.book(PlaybookId(book))?);
    }
    if facts != u32::MAX {
        core.facts = Some(shelf.facts(SnapshotId(facts))?);
    }
    for _ in 0..r.count(5)? {
        core.runs.insert(CampaignId(r.u32()?), r.coded("run state", RunState::from_code)?);
    }
    core.refresh_book();
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
        let wave = get_wave(&mut r, shelf)?;
        core.by_wave.insert((wave.campaign, wave.wave), at);
        core.waves.push(wave);
    }
    get_ledger(&mut r, &mut core)?;
    get_states(&mut r, &mut core)?;
    r.end()?;
    Ok(core)
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

fn get_ledger(r: &mut Reader<'_>, core: &mut Core) -> Parsed<()> {
    for _ in 0..r.count(55)? {
        let id = ContactId(r.u64()?);
        let contact = Contact {
            wave: r.u32()?,
            rank: r.u32()?,
            version: CampaignVersion(r.u32()?),
            treatment: r.u8()?,
            channel: r.coded("channel", Channel::from_code)?,
            phase: r.coded("phase", Phase::from_code)?,
            cost: r.i64()?,
            intended: r.at()?,
            offered: r.at()?,
            settled: r.at()?,
        };
        if core.waves.get(contact.wave as usize).is_none_or(|w| contact.rank as usize >= w.len()) {
            return malformed(format!("contact {id} belongs to no member"));
        }
        core.ledger.restore(id, contact);
    }
    for _ in 0..r.count(5)? {
        let channel = r.coded("channel", Channel::from_code)?;
        let queue = (0..r.count(8)?).map(|_| r.u64().map(ContactId)).collect::<Parsed<_>>()?;
        core.ledger.queues.insert(channel, queue);
    }
    Ok(())
}

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
        let at = ordinal as usize;
        if at >= core.states.len() {
            core.states.resize_with(at + 1, State::default);
        }
        core.states[at] = State::restore(cell, flags, history);
    }
    Ok(())
}
