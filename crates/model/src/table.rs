//! The tables of the lake and the typed columns that carry rows from files to it.
//!
//! One description serves the layout reader (what a column may be), the synthetic operator (what it writes), and the
//! lake (how it is stored). A layout may add columns of its own to any table.

use crate::{Msisdn, PartyId, Timestamp, time::LocalDay};

/// Type of a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ColumnType {
    Bool,
    /// Counts, seconds, bytes: a 64-bit integer.
    Int,
    /// Six exact decimals, e.g. megabytes; stored like money.
    Decimal,
    /// Millionths of the tenant's currency.
    Money,
    /// Words of a vocabulary or short free codes; never a person's name or number.
    Text,
    Date,
    Time,
    /// The source's key of a subscriber → `SubscriberId`.
    Subscriber,
    /// A number that belongs to the row's subscriber → a dated assignment in the vault; not stored in the lake.
    OwnNumber,
    /// A number of the other side → `PartyId`.
    Party,
    /// A number that *identifies* the row's subscriber at the row's time, where no source key is given → `SubscriberId`.
    SubscriberNumber,
    /// A person's name, address or free text → the vault under the subscriber's key; not stored in the lake.
    Secret,
}

impl ColumnType {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Decimal => "decimal",
            Self::Money => "money",
            Self::Text => "text",
            Self::Date => "date",
            Self::Time => "time",
            Self::Subscriber => "subscriber",
            Self::OwnNumber => "own_number",
            Self::Party => "party",
            Self::SubscriberNumber => "subscriber_number",
            Self::Secret => "secret",
        }
    }
    pub const ALL: [Self; 12] = [
        Self::Bool,
        Self::Int,
        Self::Decimal,
        Self::Money,
        Self::Text,
        Self::Date,
        Self::Time,
        Self::Subscriber,
        Self::OwnNumber,
        Self::Party,
        Self::SubscriberNumber,
        Self::Secret,
    ];
    /// Whether the column reaches the lake (the others end in the vault).
    pub const fn in_lake(self) -> bool {
        !matches!(self, Self::OwnNumber | Self::Secret)
    }
}

/// A column of a canonical table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnDef {
    pub name: &'static str,
    pub kind: ColumnType,
    /// A row without it is quarantined.
    pub required: bool,
}

/// A canonical table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableDef {
    pub name: &'static str,
    /// The column that says when a row happened; reads *as of* T leave out later rows. `None`: by the file's `as_of`.
    pub time: Option<&'static str>,
    pub columns: &'static [ColumnDef],
}

const fn req(name: &'static str, kind: ColumnType) -> ColumnDef {
    ColumnDef { name, kind, required: true }
}
const fn opt(name: &'static str, kind: ColumnType) -> ColumnDef {
    ColumnDef { name, kind, required: false }
}

use ColumnType::{Bool, Date, Int, Money, OwnNumber, Party, Secret, Subscriber, SubscriberNumber, Text, Time};

/// Every canonical table. `subscriber` columns may come as `Subscriber` (source key) or `SubscriberNumber`.
pub const TABLES: &[TableDef] = &[
    TableDef {
        name: "subscriber",
        time: None,
        columns: &[
            req("subscriber", Subscriber),
            opt("msisdn", OwnNumber),
            opt("name", Secret),
            // zh, en
            opt("language", Text),
            opt("brand", Text),
            opt("status", Text),
            opt("gender", Text),
            opt("birth_year", Int),
            opt("joined", Date),
            opt("region", Text),
            opt("home_cell", Int),
            opt("work_cell", Int),
            opt("tac", Int),
            opt("device_brand", Text),
            opt("device_os", Text),
            opt("device_screen", Int),
            opt("device_mms", Bool),
            opt("device_5g", Bool),
            opt("plan", Text),
            opt("customer_group", Text),
            opt("payment_method", Text),
            opt("do_not_disturb", Bool),
        ],
    },
    TableDef {
        name: "number",
        time: Some("since"),
        columns: &[req("subscriber", Subscriber), req("msisdn", OwnNumber), req("since", Time), opt("until", Time)],
    },
    TableDef {
        name: "usage",
        time: Some("at"),
        columns: &[
            req("subscriber", Subscriber),
            opt("peer", Party),
            // voice_out, voice_in, sms_out, sms_in, mms_out, data
            req("kind", Text),
            req("at", Time),
            opt("duration_s", Int),
            opt("bytes", Int),
            opt("cell", Int),
            // local, long_distance, international, ip
            opt("distance", Text),
            // home, domestic, international
            opt("roaming", Text),
            opt("on_net", Bool),
            opt("charge", Money),
        ],
    },
    TableDef {
        name: "bill",
        time: Some("issued"),
        columns: &[
            req("subscriber", Subscriber),
            req("month", Date),
            req("issued", Time),
            req("total", Money),
            opt("rental", Money),
            opt("voice", Money),
            opt("data", Money),
            opt("messages", Money),
            opt("services", Money),
            opt("arrears", Money),
            opt("paid_at", Time),
            opt("payment_method", Text),
        ],
    },
    TableDef {
        name: "contact_log",
        time: Some("at"),
        columns: &[
            req("subscriber", Subscriber),
            // contact, care, consultation, complaint, transaction, query, marketing
            req("kind", Text),
            req("channel", Text),
            req("at", Time),
            opt("service", Text),
            opt("outcome", Text),
            opt("level", Int),
            opt("satisfaction", Int),
            opt("department", Text),
            opt("duration_s", Int),
            opt("campaign", Text),
            opt("response", Text),
            opt("note", Secret),
        ],
    },
    TableDef {
        name: "orders",
        time: Some("at"),
        columns: &[
            req("subscriber", Subscriber),
            req("offer", Text),
            req("at", Time),
            opt("channel", Text),
            opt("price", Money),
        ],
    },
    TableDef {
        name: "product",
        time: Some("since"),
        columns: &[
            req("subscriber", Subscriber),
            req("product", Text),
            req("since", Time),
            opt("until", Time),
            opt("price", Money),
        ],
    },
    TableDef {
        name: "consent",
        time: Some("at"),
        columns: &[
            req("subscriber", Subscriber),
            req("purpose", Text),
            req("channel", Text),
            req("granted", Bool),
            req("at", Time),
        ],
    },
    TableDef {
        name: "suppression",
        time: Some("since"),
        columns: &[req("msisdn", SubscriberNumber), req("since", Time), opt("reason", Text)],
    },
    // the device library: a row a type allocation code, nobody's
    TableDef {
        name: "device",
        time: None,
        columns: &[
            req("tac", Int),
            opt("brand", Text),
            opt("model", Text),
            opt("os", Text),
            // 2g, 3g, 4g, 5g
            opt("generation", Text),
            // pixels
            opt("screen_width", Int),
            opt("screen_height", Int),
            opt("mms", Bool),
            opt("dual_sim", Bool),
            // megapixels
            opt("camera", Int),
            // year
            opt("released", Int),
            opt("price", Money),
        ],
    },
    // handsets by the IMEI that the network saw
    TableDef {
        name: "device_use",
        time: Some("since"),
        columns: &[req("subscriber", Subscriber), req("tac", Int), req("since", Time), opt("until", Time)],
    },
    TableDef {
        name: "payment",
        time: Some("at"),
        columns: &[
            req("subscriber", Subscriber),
            req("at", Time),
            // top_up, debit, gift, refund
            req("kind", Text),
            opt("channel", Text),
            // cash, bank, online, card
            opt("method", Text),
            req("amount", Money),
            // after the payment
            opt("balance", Money),
        ],
    },
    // what was listened to, read, played or watched
    TableDef {
        name: "content_use",
        time: Some("at"),
        columns: &[
            req("subscriber", Subscriber),
            req("at", Time),
            // music, reading, game, video
            req("service", Text),
            opt("content", Text),
            // singer, author, studio
            opt("creator", Text),
            opt("genre", Text),
            // 2g, 3g, 4g, 5g, wlan
            opt("network", Text),
            opt("duration_s", Int),
            opt("price", Money),
            opt("shared", Bool),
        ],
    },
    // the mobile web as a translation of host, path and client gives it
    TableDef {
        name: "web_visit",
        time: Some("at"),
        columns: &[
            req("subscriber", Subscriber),
            req("at", Time),
            req("topic", Text),
            opt("site", Text),
            opt("app", Text),
            opt("network", Text),
            opt("duration_s", Int),
            opt("bytes", Int),
        ],
    },
    // pages of our own web, WAP and app
    TableDef {
        name: "page_view",
        time: Some("at"),
        columns: &[
            req("subscriber", Subscriber),
            req("at", Time),
            // web, wap, app
            req("channel", Text),
            // number of the subscriber's visit, and the place of the page in it, both from 1
            opt("visit", Int),
            opt("step", Int),
            req("page", Text),
            // direct, search, sms_link, push, banner
            opt("source", Text),
            opt("stay_s", Int),
        ],
    },
];

/// A file of numbers for a list of a campaign: read by layouts like a table, and kept as a set, not in the lake.
pub const NUMBER_LIST: TableDef =
    TableDef { name: "number_list", time: None, columns: &[req("msisdn", SubscriberNumber)] };

/// What a layout may read: the canonical tables, and [`NUMBER_LIST`].
pub fn readable() -> impl Iterator<Item = &'static TableDef> {
    TABLES.iter().chain([&NUMBER_LIST])
}

/// A readable table by name.
pub fn table(name: &str) -> Option<&'static TableDef> {
    readable().find(|t| t.name == name)
}

impl TableDef {
    pub fn column(&self, name: &str) -> Option<&'static ColumnDef> {
        self.columns.iter().find(|c| c.name == name)
    }
}

/// Short texts end to end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    pub bytes: String,
    /// End of each text in `bytes`.
    pub ends: Vec<u32>,
}

impl Texts {
    pub fn push(&mut self, text: &str) {
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len() as u32);
    }
    pub fn get(&self, i: usize) -> &str {
        let from = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.bytes[from..self.ends[i] as usize]
    }
    pub fn len(&self) -> usize {
        self.ends.len()
    }
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// Values of one column; where `Column::valid` is false the value is a filler.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    /// Millionths: `Decimal` and `Money`.
    Micros(Vec<i64>),
    Text(Texts),
    Date(Vec<LocalDay>),
    Time(Vec<Timestamp>),
    /// Source keys before they become ordinals; secrets before they go to the vault.
    Key(Texts),
    /// Numbers before they become parties. Filler: any number.
    Number(Vec<Option<crate::Dialled>>),
    /// Ordinals of subscribers, or parties.
    Party(Vec<PartyId>),
}

impl Values {
    pub fn len(&self) -> usize {
        match self {
            Self::Bool(v) => v.len(),
            Self::Int(v) | Self::Micros(v) => v.len(),
            Self::Text(t) | Self::Key(t) => t.len(),
            Self::Date(v) => v.len(),
            Self::Time(v) => v.len(),
            Self::Number(v) => v.len(),
            Self::Party(v) => v.len(),
        }
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One named column of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    pub kind: ColumnType,
    pub values: Values,
    /// One flag a row; false = NULL.
    pub valid: Vec<bool>,
}

/// Rows on their way from a file to the lake: columns of equal length.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Batch {
    pub columns: Vec<Column>,
    /// 1-based row of the source for each row of the batch, to name it in the quarantine.
    pub source_rows: Vec<u64>,
}

impl Batch {
    pub fn rows(&self) -> usize {
        self.source_rows.len()
    }
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }
}

/// The number of an `OwnNumber` cell that is a real line.
pub fn line(d: Option<crate::Dialled>) -> Option<Msisdn> {
    match d {
        Some(crate::Dialled::Number(m)) => Some(m),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_names_its_time_column_and_repeats_no_name() {
        for t in TABLES {
            if let Some(time) = t.time {
                assert_eq!(t.column(time).map(|c| c.kind), Some(Time), "{}", t.name);
            }
            let mut names: Vec<_> = t.columns.iter().map(|c| c.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), t.columns.len(), "{}", t.name);
        }
    }

    #[test]
    fn texts_come_back() {
        let mut t = Texts::default();
        for x in ["a", "", "天气"] {
            t.push(x);
        }
        assert_eq!((t.get(0), t.get(1), t.get(2), t.len()), ("a", "", "天气", 3));
    }
}
