//! Contacts that leave as files: lists for outbound callers and other people, written, listed, called back; and what a
//! person says became of a contact whose answer is lost.

use crate::{
    app::{App, catalog_error},
    campaigns::{Transport, transport},
    deliveries::ChannelSide,
    error::{AppError, Kind, Result},
};
use kairos_catalog::{Actor, REASON_MAX};
use kairos_connect::channel::Dispatch;
use kairos_connect::file_channel::{FileChannel, FileChannelError, Listed};
use kairos_engine::{ContactView, Input, Outcome};
use kairos_model::{Channel, ContactId, ContactState, Disposition, Reason};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

/// Contacts of one list: offered together, so that a crash while a list is written leaves no more than these unknown.
pub const LIST_ROWS: usize = 5_000;
/// Lists of one second, at most.
const SAME_SECOND_MAX: u32 = 1_000;

/// Status of a contact that a person settled as not sent: outside every centre's range.
const NOT_SENT: u32 = 0xFFFF_0010;

/// One list that was written.
#[derive(Clone, Debug)]
pub struct ExportedList {
    pub path: PathBuf,
    pub contacts: u64,
}

/// What an export did.
#[derive(Clone, Debug, Default)]
pub struct Exports {
    pub lists: Vec<ExportedList>,
    /// Refused by the gate as they were to be written, by reason.
    pub cancelled: BTreeMap<Reason, u64>,
}

impl App {
    fn outbox(&self) -> Result<FileChannel> {
        FileChannel::open(&self.outbox, self.dir.root()).map_err(|e| outbox_error(&e).because(e))
    }

    /// Writes everything that may go out on a file channel now: lists of at most [`LIST_ROWS`].
    pub async fn export(self: &Arc<Self>, actor: &Actor, channel: Channel) -> Result<Exports> {
        if transport(channel) != Some(Transport::File) {
            let message = format!("{channel} does not go out as files; outbound and mms do");
            return Err(AppError::invalid("channel", message));
        }
        let outbox = self.outbox()?;
        self.settle_exported(&outbox).await?;
        let side = ChannelSide::new(self, channel);
        let mut exports = Exports::default();
        loop {
            let name = self.list_name(&outbox, channel)?;
            let (contacts, put_back) = gather(&side, &mut exports.cancelled).await?;
            if contacts.is_empty() {
                return Ok(exports);
            }
            // who takes numbers out of the house stands in the log before they are out
            let detail = json!({ "contacts": contacts.len(), "channel": channel.name() });
            if let Err(e) =
                self.catalog.note(actor, &format!("export:{name}"), "export.write", detail, self.now()).await
            {
                self.give_back(&contacts).await?;
                return Err(catalog_error(e));
            }
            let clock = self.clock.clone();
            let written = tokio::task::block_in_place(|| outbox.export(&name, &contacts, &*side, move || clock.now()));
            let written = match written {
                Ok(written) => written,
                Err(e) => {
                    // nothing has the list's name: all of it is as it was before
                    self.give_back(&contacts).await?;
                    return Err(outbox_error(&e).because(e));
                }
            };
            for (_, reason) in &written.cancelled {
                *exports.cancelled.entry(*reason).or_default() += 1;
            }
            let exported = written.exported.iter().map(|&c| (c, Outcome::Seen(Disposition::Exported)));
            let cancelled = written.cancelled.iter().map(|&(c, reason)| (c, Outcome::Cancelled { reason }));
            self.answer(exported.chain(cancelled)).await?;
            if let Some(path) = written.path {
                exports.lists.push(ExportedList { path, contacts: written.exported.len() as u64 });
            }
            if put_back || written.cancelled.iter().any(|(_, r)| kairos_decide::Judgement::defers(*r)) {
                // what was put back would be offered at once again
                return Ok(exports);
            }
        }
    }

    async fn give_back(&self, contacts: &[Dispatch]) -> Result<()> {
        self.answer(contacts.iter().map(|d| (d.contact, Outcome::Cancelled { reason: Reason::Paused }))).await
    }

    /// A crash between a list and its entry in the ledger leaves contacts unknown that are in a file with its name: they
    /// are out.
    async fn settle_exported(&self, outbox: &FileChannel) -> Result<()> {
        let unknown: BTreeSet<ContactId> = self
            .runner()
            .engine()
            .unknowns()
            .iter()
            .filter(|c| transport(c.channel) == Some(Transport::File))
            .map(|c| c.contact)
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let mut found = Vec::new();
        for list in outbox.list().map_err(|e| outbox_error(&e).because(e))? {
            match outbox.contacts(&list.name) {
                Ok(contacts) => found.extend(contacts.into_iter().filter(|c| unknown.contains(c))),
                Err(e) => tracing::warn!(list = list.name, error = %e, "a list in the outbox does not read"),
            }
        }
        self.answer(found.into_iter().map(|c| (c, Outcome::Seen(Disposition::Exported)))).await
    }

    async fn answer(&self, outcomes: impl Iterator<Item = (ContactId, Outcome)>) -> Result<()> {
        let inputs = outcomes.map(|(contact, outcome)| Input::Outcome { contact, outcome }).collect();
        self.runner().handle_all(inputs).await.map(drop)
    }

    /// Channel and local time, and a number within the second.
    fn list_name(&self, outbox: &FileChannel, channel: Channel) -> Result<String> {
        let at = self.zone.civil(self.now()).strftime("%Y%m%dT%H%M%S").to_string();
        for n in 1..=SAME_SECOND_MAX {
            let name = format!("{channel}-{at}-{n:03}");
            if !outbox.has(&name).map_err(|e| outbox_error(&e).because(e))? {
                return Ok(name);
            }
        }
        Err(AppError::conflict("export_name", "too many lists in one second; export again"))
    }

    /// The lists in the outbox; none where there is no outbox yet.
    pub fn exported(&self) -> Result<Vec<Listed>> {
        if !self.outbox.exists() {
            return Ok(Vec::new());
        }
        self.outbox()?.list().map_err(|e| outbox_error(&e).because(e))
    }

    /// Marks a list as called back; its contacts, for whoever must tell the callers. They stay exported in the ledger:
    /// the file is out of our hands.
    pub async fn recall(&self, actor: &Actor, name: &str) -> Result<Vec<ContactId>> {
        let outbox = self.outbox()?;
        let fail = |e: FileChannelError| outbox_error(&e).because(e);
        let detail = json!({ "contacts": outbox.contacts(name).map_err(fail)?.len() });
        self.catalog
            .note(actor, &format!("export:{name}"), "export.recall", detail, self.now())
            .await
            .map_err(catalog_error)?;
        outbox.recall(name).map_err(fail)
    }

    /// Contacts that were offered and whose answer is lost.
    pub async fn unknowns(&self) -> Result<Vec<ContactView>> {
        if self.outbox.exists() {
            self.settle_exported(&self.outbox()?).await?;
        }
        Ok(self.runner().engine().unknowns())
    }

    /// A reason that people read in the log for ever: some words, and nobody's number.
    pub(crate) fn reason(&self, text: &str) -> Result<()> {
        let wrong = |message: String| Err(AppError::invalid("reason", message));
        if !(1..=REASON_MAX).contains(&text.trim().chars().count()) {
            return wrong(format!("say why, in 1–{REASON_MAX} characters: it stands in the audit log"));
        }
        let mut run = String::new();
        for c in text.chars().chain(['.']) {
            match c {
                c if c.is_ascii_digit() => run.push(c),
                ' ' | '-' | '+' if !run.is_empty() => {}
                _ => {
                    if run.len() > 6 && self.plan.parse_msisdn(&run).is_ok() {
                        return wrong(
                            "a reason holds nobody's number: the log is kept for ever; name the contact".to_owned(),
                        );
                    }
                    run.clear();
                }
            }
        }
        Ok(())
    }

    /// What a person found out about an unknown contact: it was sent, or it certainly was not.
    pub async fn settle(&self, actor: &Actor, contact: ContactId, sent: bool, reason: &str) -> Result<ContactView> {
        let known = self.runner().engine().contact(contact);
        let before = known.ok_or_else(|| AppError::not_found("contact", format!("there is no contact {contact}")))?;
        if before.state != ContactState::Unknown {
            let message = format!("contact {contact} is {}, not unknown; nothing was changed", before.state.name());
            return Err(AppError::conflict("contact_known", message));
        }
        self.reason(reason)?;
        let detail = json!({ "as": if sent { "sent" } else { "not sent" }, "reason": reason });
        self.catalog
            .note(actor, &format!("contact:{contact}"), "contact.settle", detail, self.now())
            .await
            .map_err(catalog_error)?;
        let outcome = if sent { Outcome::Accepted } else { Outcome::Refused { status: NOT_SENT } };
        self.answer([(contact, outcome)].into_iter()).await?;
        let after = self.runner().engine().contact(contact);
        after.ok_or_else(|| AppError::failure("internal", "the contact is gone"))
    }
}

/// As many contacts as one list takes; `true` with them: some were put back and would be offered at once again.
async fn gather(side: &ChannelSide, cancelled: &mut BTreeMap<Reason, u64>) -> Result<(Vec<Dispatch>, bool)> {
    let mut contacts = Vec::new();
    loop {
        let more = side.take_now(LIST_ROWS - contacts.len()).await?;
        for reason in &more.refused {
            *cancelled.entry(*reason).or_default() += 1;
        }
        let none = more.contacts.is_empty() && more.refused.is_empty();
        contacts.extend(more.contacts);
        if none || more.put_back || contacts.len() >= LIST_ROWS {
            return Ok((contacts, more.put_back));
        }
    }
}

fn outbox_error(e: &FileChannelError) -> AppError {
    let (kind, code) = match e {
        FileChannelError::Io { .. } => (Kind::Unavailable, "outbox"),
        FileChannelError::Inside { .. } => (Kind::Invalid, "outbox_inside"),
        FileChannelError::Name { .. } => (Kind::Invalid, "list_name"),
        FileChannelError::TooMany { .. } => (Kind::Invalid, "list_rows"),
        FileChannelError::Exists { .. } => (Kind::Conflict, "list_exists"),
        FileChannelError::Unknown { .. } => (Kind::NotFound, "list_not_found"),
        FileChannelError::Damaged { .. } => (Kind::Failure, "list_damaged"),
    };
    AppError::new(kind, code, e.to_string())
}
