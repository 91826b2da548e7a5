//! Contacts that leave as files: lists for outbound callers and other people, written, listed, called back; and what a
//! person says became of a contact whose answer is lost.

use crate::{
    app::{App, catalog_error},
    campaigns::{Transport, transport},
    deliveries::ChannelSide,
    error::{AppError, Kind, Result},
};
use kairos_catalog::Actor;
use kairos_connect::file_channel::{FileChannel, FileChannelError, Listed};
use kairos_engine::{ContactView, Input, Outcome};
use kairos_model::{Channel, ContactId, ContactState, Disposition, Reason};
use serde_json::json;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

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
        let side = ChannelSide::new(self, channel);
        let mut exports = Exports::default();
        loop {
            let contacts = side.take_now(LIST_ROWS).await?;
            if contacts.is_empty() {
                return Ok(exports);
            }
            let name = self.list_name(&outbox, channel)?;
            let clock = self.clock.clone();
            let written = tokio::task::block_in_place(|| outbox.export(&name, &contacts, &*side, move || clock.now()));
            let written = match written {
                Ok(written) => written,
                Err(e) => {
                    // nothing has the list's name: all of it is as it was before
                    let back = contacts.iter().map(|d| (d.contact, Outcome::Cancelled { reason: Reason::Paused }));
                    self.answer(back).await?;
                    return Err(outbox_error(&e).because(e));
                }
            };
            for (_, reason) in &written.cancelled {
                *exports.cancelled.entry(*reason).or_default() += 1;
            }
            let exported = written.exported.iter().map(|&c| (c, Outcome::Seen(Disposition::Exported)));
            let cancelled = written.cancelled.iter().map(|&(c, reason)| (c, Outcome::Cancelled { reason }));
            self.answer(exported.chain(cancelled)).await?;
            let Some(path) = written.path else {
                // all of them were refused: what was put back would be offered at once again
                return Ok(exports);
            };
            let detail = json!({ "contacts": written.exported.len(), "channel": channel.name() });
            self.catalog
                .note(actor, &format!("export:{name}"), "export.write", detail, self.now())
                .await
                .map_err(catalog_error)?;
            exports.lists.push(ExportedList { path, contacts: written.exported.len() as u64 });
        }
    }

    async fn answer(&self, outcomes: impl Iterator<Item = (ContactId, Outcome)>) -> Result<()> {
        let inputs = outcomes.map(|(contact, outcome)| Input::Outcome { contact, outcome }).collect();
        self.runner().handle_all(inputs).await.map(drop)
    }

    /// Channel and local time, and a number within the second.
    fn list_name(&self, outbox: &FileChannel, channel: Channel) -> Result<String> {
        let at = self.zone.civil(self.now()).strftime("%Y%m%dT%H%M%S").to_string();
        let taken = outbox.list().map_err(|e| outbox_error(&e).because(e))?;
        (1..=SAME_SECOND_MAX)
            .map(|n| format!("{channel}-{at}-{n:03}"))
            .find(|name| taken.iter().all(|l| l.name != *name))
            .ok_or_else(|| AppError::conflict("export_name", "too many lists in one second; export again"))
    }

    /// The lists in the outbox.
    pub fn exported(&self) -> Result<Vec<Listed>> {
        self.outbox()?.list().map_err(|e| outbox_error(&e).because(e))
    }

    /// Marks a list as called back; its contacts, for whoever must tell the callers. They stay exported in the ledger:
    /// the file is out of our hands.
    pub async fn recall(&self, actor: &Actor, name: &str) -> Result<Vec<ContactId>> {
        let contacts = self.outbox()?.recall(name).map_err(|e| outbox_error(&e).because(e))?;
        let detail = json!({ "contacts": contacts.len() });
        self.catalog
            .note(actor, &format!("export:{name}"), "export.recall", detail, self.now())
            .await
            .map_err(catalog_error)?;
        Ok(contacts)
    }

    /// Contacts that were offered and whose answer is lost.
    pub fn unknowns(&self) -> Vec<ContactView> {
        self.runner().engine().unknowns()
    }

    /// What a person found out about an unknown contact: it was sent, or it certainly was not.
    pub async fn settle(&self, actor: &Actor, contact: ContactId, sent: bool, reason: &str) -> Result<ContactView> {
        let known = self.runner().engine().contact(contact);
        let before = known.ok_or_else(|| AppError::not_found("contact", format!("there is no contact {contact}")))?;
        if before.state != ContactState::Unknown {
            let message = format!("contact {contact} is {}, not unknown; nothing was changed", before.state.name());
            return Err(AppError::conflict("contact_known", message));
        }
        if reason.trim().is_empty() {
            return Err(AppError::invalid("reason", "say how you know, with --reason"));
        }
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
