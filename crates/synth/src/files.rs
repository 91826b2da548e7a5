//! The operator's files: names, headers, and their bytes chunk by chunk.

use crate::{
    bill,
    circle::TOWN,
    contact, content, device,
    draw::Stream,
    pay,
    province::{Index, Province},
    rows,
    text::Row,
    usage::{Cdr, DISTANCES, Distance, IP_ACCESS, KINDS, Kind, ROAMINGS, Town},
    web,
};
use kairos_model::hash;

/// Towns in a chunk: 1,024 subscribers, about 2 MB of usage, so that two threads with a few chunks each stay small.
const TOWNS_IN_CHUNK: u32 = 8;
pub const SUBSCRIBERS_IN_CHUNK: u32 = TOWNS_IN_CHUNK * TOWN;

/// A file of the operator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FileKind {
    Subscribers,
    Numbers,
    Products,
    Consents,
    Suppression,
    /// The month's place in the data, from 0.
    Usage(u8),
    Bills,
    Contacts,
    Orders,
    /// The device library: a row a type allocation code, nobody's.
    Devices,
    DeviceHistory,
    Payments,
    Content,
    WebVisits,
    PageViews,
}

const USAGE: &str =
    "cdr_id,msisdn,peer_number,kind,start_time,duration,volume_kb,cell_id,distance,roaming,on_net,charge,access_code\n";

/// Share of the subscribers with a spoilt row in the contacts, and in each month's usage: about 0.05 % of the rows.
const DIRTY_CONTACTS_PPM: u32 = 1_700;
const DIRTY_USAGE_PPM: u32 = 10_500;

impl FileKind {
    /// The layout's id and file stem: `province/layouts/<stem>.toml`.
    pub const fn layout(self) -> &'static str {
        match self {
            Self::Subscribers => "subscribers",
            Self::Numbers => "numbers",
            Self::Products => "products",
            Self::Consents => "consents",
            Self::Suppression => "suppression",
            Self::Usage(_) => "usage",
            Self::Bills => "bills",
            Self::Contacts => "contacts",
            Self::Orders => "orders",
            Self::Devices => "devices",
            Self::DeviceHistory => "device_history",
            Self::Payments => "payments",
            Self::Content => "content",
            Self::WebVisits => "web_visits",
            Self::PageViews => "page_views",
        }
    }
    /// The first line, with its line break.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Subscribers => rows::SUBSCRIBERS,
            Self::Numbers => rows::NUMBERS,
            Self::Products => rows::PRODUCTS,
            Self::Consents => rows::CONSENTS,
            Self::Suppression => rows::SUPPRESSION,
            Self::Usage(_) => USAGE,
            Self::Bills => bill::HEADER,
            Self::Contacts => contact::HEADER,
            Self::Orders => rows::ORDERS,
            Self::Devices => device::LIBRARY,
            Self::DeviceHistory => device::HISTORY,
            Self::Payments => pay::HEADER,
            Self::Content => content::HEADER,
            Self::WebVisits => web::VISITS,
            Self::PageViews => web::PAGES,
        }
    }
}

impl Province {
    /// Every file, in the order in which a data directory should take them in: who held which number first, so that a
    /// subscriber file's number is known for what it is, then the subscribers.
    pub fn files(&self) -> Vec<FileKind> {
        use FileKind::{
            Bills, Consents, Contacts, Content, DeviceHistory, Devices, Numbers, Orders, PageViews, Payments, Products,
            Subscribers, Suppression, Usage, WebVisits,
        };
        let mut all = vec![Numbers, Subscribers, Products, Consents, Suppression];
        all.extend((0..self.months.len() as u8).map(Usage));
        all.extend([Bills, Contacts, Orders, Devices, DeviceHistory, Payments, Content, WebVisits, PageViews]);
        all
    }

    /// The file's name: `usage-2025-12.csv`, `bills.csv`.
    pub fn file_name(&self, file: FileKind) -> String {
        match file {
            FileKind::Usage(m) => match self.months.get(usize::from(m)) {
                Some(month) => format!("usage-{}-{:02}.csv", month.year, month.month),
                None => format!("usage-{m}.csv"),
            },
            _ => format!("{}.csv", file.layout()),
        }
    }

    /// Chunks of a file; bills have one for each month and block, months first.
    pub fn chunks(&self, file: FileKind) -> u32 {
        let blocks = self.blocks();
        match file {
            FileKind::Bills => blocks * self.months.len() as u32,
            FileKind::Usage(m) if usize::from(m) >= self.months.len() => 0,
            FileKind::Devices => 1,
            _ => blocks,
        }
    }
    /// Blocks of [`SUBSCRIBERS_IN_CHUNK`] subscribers.
    pub fn blocks(&self) -> u32 {
        self.subscribers().div_ceil(SUBSCRIBERS_IN_CHUNK)
    }

    /// Appends chunk `n` of a file to `out` and returns its rows, spoilt ones included; 0 past the last chunk.
    ///
    /// The file is its header, then its chunks in order. Chunks depend on nothing but their number: several threads may
    /// make them at once, if the caller keeps the order.
    pub fn write_chunk(&self, file: FileKind, n: u32, out: &mut Vec<u8>) -> u64 {
        if n >= self.chunks(file) {
            return 0;
        }
        match file {
            FileKind::Usage(m) => self.usage_and_bills(m, n, out, &mut Vec::new()).0,
            FileKind::Bills => {
                let (m, block) = ((n / self.blocks()) as u8, n % self.blocks());
                self.usage_and_bills(m, block, &mut Vec::new(), out).1
            }
            FileKind::Subscribers => self.each(n, |s| rows::subscriber(self, s, out)),
            FileKind::Numbers => self.each(n, |s| rows::number(self, s, out)),
            FileKind::Products => self.each(n, |s| rows::product(self, s, out)),
            FileKind::Consents => self.each(n, |s| rows::consent(self, s, out)),
            FileKind::Suppression => self.each(n, |s| rows::suppression(self, s, out)),
            FileKind::Orders => self.each(n, |s| rows::order(self, s, out)),
            FileKind::Devices => device::library(self, out),
            FileKind::DeviceHistory => self.each(n, |s| device::history(self, s, out)),
            FileKind::Payments => self.each(n, |s| pay::write(self, s, out)),
            FileKind::Content => self.each(n, |s| content::write(self, s, out)),
            FileKind::WebVisits => self.each(n, |s| web::visits(self, s, out)),
            FileKind::PageViews => self.each(n, |s| web::pages(self, s, out)),
            FileKind::Contacts => {
                self.each(n, |s| contact::write(self, s, out) + u64::from(self.dirty_contact(s.index, out)))
            }
        }
    }

    fn each(&self, block: u32, mut f: impl FnMut(&crate::Subscriber) -> u64) -> u64 {
        let first = block * SUBSCRIBERS_IN_CHUNK;
        let last = first.saturating_add(SUBSCRIBERS_IN_CHUNK).min(self.subscribers());
        (first..last).map(|i| f(&self.subscriber(Index(i)))).sum()
    }

    /// Appends a block's usage and bills of a month, made together at the price of one; returns the rows of each.
    pub fn usage_and_bills(&self, month: u8, block: u32, usage: &mut Vec<u8>, bills: &mut Vec<u8>) -> (u64, u64) {
        let m = usize::from(month);
        let (mut town, mut cdr_rows, mut bill_rows) = (Town::default(), 0, 0);
        if m >= self.months.len() {
            return (0, 0);
        }
        for t in block * TOWNS_IN_CHUNK..(block + 1) * TOWNS_IN_CHUNK {
            if u64::from(t) * u64::from(TOWN) >= u64::from(self.subscribers()) {
                break;
            }
            town.make(self, t, m);
            cdr_rows += self.write_usage(m, &town, usage);
            bill_rows += bill::write(self, m, &town, bills);
        }
        (cdr_rows, bill_rows)
    }

    fn write_usage(&self, m: usize, town: &Town, out: &mut Vec<u8>) -> u64 {
        let mut rest = town.cdrs.as_slice();
        let mut rows = 0;
        for (who, member) in town.members.iter().enumerate() {
            let n = rest.partition_point(|c| c.who() <= who);
            let (own, later) = rest.split_at(n);
            rest = later;
            // a month's records of one subscriber stay far below 4,096: their means are bounded
            let id = (u64::from(member.sub.index.0) * 12 + m as u64) << 12;
            for (k, c) in own.iter().enumerate() {
                let number = member.numbers().at(c.second());
                cdr(&mut Row::new(self, out), id + k as u64, number, c);
            }
            rows += n as u64 + u64::from(self.dirty_usage(m, member.sub.index, id + 4_095, out));
        }
        rows
    }

    /// Rows of a file that an honest reader must refuse: they are in the file beside the good ones.
    pub fn expected_rejects(&self, file: FileKind) -> u64 {
        let spoilt = |what: u64, ppm: u32| self.indices().filter(|&i| self.is_dirty(i, what, ppm)).count() as u64;
        match file {
            FileKind::Usage(m) if usize::from(m) < self.months.len() => spoilt(m.into(), DIRTY_USAGE_PPM),
            FileKind::Contacts => spoilt(DIRTY_IN_CONTACTS, DIRTY_CONTACTS_PPM),
            _ => 0,
        }
    }

    fn dirt(&self, i: Index, what: u64) -> u64 {
        hash::salted2(self.seed() ^ (Stream::Dirty as u64) << 56, i.0.into(), what)
    }
    fn is_dirty(&self, i: Index, what: u64, ppm: u32) -> bool {
        hash::below_ppm(self.dirt(i, what), ppm)
    }

    /// A spoilt record: a number in no plan, a day that does not exist, or a row cut short.
    fn dirty_usage(&self, m: usize, i: Index, id: u64, out: &mut Vec<u8>) -> bool {
        if !self.is_dirty(i, m as u64, DIRTY_USAGE_PPM) {
            return false;
        }
        let number = self.numbers.national(i.0.into());
        let mut r = Row::new(self, out);
        match self.dirt(i, m as u64) % 3 {
            0 => r.int(id).text("12800001111").int(10_086).text("voice_out").time(self.months[m].offset_s.into()),
            1 => r.int(id).int(number).int(10_086).text("voice_out").text("2025-13-40 25:61:00"),
            _ => {
                r.int(id).int(number).end();
                return true;
            }
        };
        r.int(60).empty().int(10_001).text("local").text("home").flag(false).money(0).empty().end();
        true
    }

    fn dirty_contact(&self, i: Index, out: &mut Vec<u8>) -> bool {
        if !self.is_dirty(i, DIRTY_IN_CONTACTS, DIRTY_CONTACTS_PPM) {
            return false;
        }
        let mut r = Row::new(self, out);
        r.int(u64::from(i.0) * 64 + 63);
        match self.dirt(i, DIRTY_IN_CONTACTS) % 3 {
            0 => r.key(i).text("query").text("hotline").text("2026-02-30 08:00:00").text("balance").text("ok").empty(),
            1 => r.key(i).text("complaint").text("hotline").time(40_000).text("network").text("ok").text("high"),
            _ => {
                r.key(i).text("query").end();
                return true;
            }
        };
        r.empty().empty().empty().empty().empty().empty().end();
        true
    }
}

const DIRTY_IN_CONTACTS: u64 = 0xC0;

fn cdr(r: &mut Row<'_>, id: u64, number: Option<u64>, c: &Cdr) {
    let data = c.kind == Kind::Data;
    let voice = matches!(c.kind, Kind::VoiceOut | Kind::VoiceIn);
    r.int(id).maybe(number).dialled(c.peer.zeros, c.peer.digits).text(KINDS[c.kind as usize]).time(c.second());
    r.maybe((data || voice).then_some(c.duration_s.into())).maybe(data.then_some(c.kb.into()));
    r.maybe((c.cell != 0).then_some(c.cell.into()));
    r.text(DISTANCES[c.distance as usize]).text(ROAMINGS[usize::from(c.roaming)]);
    if data {
        r.empty()
    } else {
        r.flag(c.on_net)
    };
    r.money(c.charge).text(if c.distance == Distance::Ip { IP_ACCESS } else { "" }).end();
}
