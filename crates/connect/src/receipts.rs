//! Which contact a receipt is about, and what the receipts of its segments say about the whole of it.

use crate::channel::id_form;
use kairos_model::{ContactId, Disposition, hash::FixedMap};
use std::collections::VecDeque;

/// Message ids kept to match receipts with; the oldest are forgotten first. A centre keeps a message some days.
const IDS_MAX: usize = 4 << 20;

/// Message ids by which receipts name contacts. In memory only: what an earlier process was told is gone, so whoever
/// matches a receipt without its id must say how many segments the contact has ([`Ids::note`]).
#[derive(Default)]
pub struct Ids {
    by_id: FixedMap<String, ContactId>,
    order: VecDeque<String>,
    /// Only contacts of more than one segment.
    long: FixedMap<ContactId, Long>,
}

struct Long {
    segments: usize,
    /// What was said under which id, each id once: a centre repeats what we did not acknowledge.
    said: Vec<(String, Disposition)>,
}

impl Ids {
    /// `id` is that of one of the contact's `segments`.
    pub fn note(&mut self, id: &str, contact: ContactId, segments: u8) {
        let id = id_form(id);
        if self.by_id.insert(id.clone(), contact).is_none() {
            self.order.push_back(id);
        }
        if segments > 1 {
            self.long.entry(contact).or_insert(Long { segments: segments.into(), said: Vec::new() });
        }
        while self.order.len() > IDS_MAX {
            if let Some(old) = self.order.pop_front()
                && let Some(contact) = self.by_id.remove(&old)
            {
                self.long.remove(&contact);
            }
        }
    }

    /// The first of the forms of an id that is known, and its contact.
    pub fn find<'a>(&self, forms: &'a [String]) -> Option<(&'a str, ContactId)> {
        forms.iter().find_map(|id| Some((id.as_str(), *self.by_id.get(id)?)))
    }

    /// What a receipt of one segment says of the whole contact; `None`: nothing yet. `accepted`: all segments are known to
    /// have been accepted; otherwise some may never have been written, and only receipts of all of them settle it.
    pub fn says(&mut self, contact: ContactId, id: &str, said: Disposition, accepted: bool) -> Option<Disposition> {
        let Some(long) = self.long.get_mut(&contact) else { return Some(said) };
        if long.said.len() < long.segments && long.said.iter().all(|(known, _)| known != id) {
            long.said.push((id.to_owned(), said));
        }
        let bad = long.said.iter().map(|(_, d)| *d).find(|&d| d != Disposition::Delivered);
        match bad {
            Some(bad) if accepted => Some(bad),
            _ if long.said.len() < long.segments => None,
            bad => Some(bad.unwrap_or(Disposition::Delivered)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Disposition::{Delivered, Undelivered};

    const C: ContactId = ContactId(7);

    #[test]
    fn one_segment_speaks_for_itself() {
        let mut ids = Ids::default();
        ids.note("00AB", C, 1);
        let forms = ["171".to_owned(), "ab".to_owned()];
        assert_eq!(ids.find(&forms), Some(("ab", C)));
        assert_eq!(ids.find(&forms[..1]), None);
        assert_eq!(ids.says(C, "ab", Delivered, false), Some(Delivered));
    }

    #[test]
    fn a_long_text_is_delivered_when_each_of_its_segments_is() {
        let mut ids = Ids::default();
        ids.note("1", C, 2);
        assert_eq!(ids.says(C, "1", Delivered, false), None);
        // repeated after a lost connection
        assert_eq!(ids.says(C, "1", Delivered, true), None);
        ids.note("2", C, 2);
        assert_eq!(ids.says(C, "2", Delivered, false), Some(Delivered));
    }

    #[test]
    fn one_segment_lost_loses_the_text_but_does_not_settle_what_may_be_half_written() {
        let mut ids = Ids::default();
        ids.note("1", C, 2);
        assert_eq!(ids.says(C, "1", Undelivered, false), None);
        assert_eq!(ids.says(C, "1", Undelivered, true), Some(Undelivered));
        assert_eq!(ids.says(C, "2", Delivered, false), Some(Undelivered));
    }
}
