//! The words of the synthetic province: brands, groups, plans, products, regions, devices, with their weights.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum $name { $($variant),* }
        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The code in the files.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

words!(
    /// 品牌.
    Brand {
        Gotone = "gotone";
        Easyown = "easyown";
        Mzone = "mzone";
    }
);
words!(
    /// 客户群.
    Group {
        Student = "student";
        Business = "business";
        Housewife = "housewife";
        Farmer = "farmer";
        Senior = "senior";
        Trend = "trend";
        Worker = "worker";
        Migrant = "migrant";
        Civil = "civil";
        Other = "other";
    }
);
words!(
    Payment {
        Cash = "cash";
        Bank = "bank";
        Online = "online";
        Card = "card";
    }
);
words!(
    Status {
        Active = "active";
        Suspended = "suspended";
        Closed = "closed";
    }
);
words!(
    /// How spend goes over the months.
    Trend {
        Steady = "steady";
        Growing = "growing";
        Declining = "declining";
    }
);
words!(
    /// Products that a subscriber can hold; offers have the same codes.
    Product {
        RingBackTone = "ring_back_tone";
        MobileNewspaper = "mobile_newspaper";
        Data10m = "data_10m";
        Data50m = "data_50m";
        Data500m = "data_500m";
        Messenger = "messenger";
        MusicClub = "music_club";
        Reading = "reading";
        MmsPack = "mms_pack";
        MissedCall = "missed_call";
        Vpmn = "vpmn";
        Wlan = "wlan";
    }
);

impl Product {
    /// Monthly price in millionths of a yuan.
    pub const fn price(self) -> i64 {
        match self {
            Self::RingBackTone | Self::MobileNewspaper => 5_000_000,
            Self::Data10m => 5_000_000,
            Self::Data50m => 10_000_000,
            Self::Data500m => 30_000_000,
            Self::Messenger => 0,
            Self::MusicClub => 6_000_000,
            Self::Reading => 3_000_000,
            Self::MmsPack => 8_000_000,
            Self::MissedCall => 2_000_000,
            Self::Vpmn => 3_000_000,
            Self::Wlan => 20_000_000,
        }
    }
    /// Data volume included in a month, KiB.
    pub const fn data_kb(self) -> u64 {
        match self {
            Self::Data10m => 10 * 1024,
            Self::Data50m => 50 * 1024,
            Self::Data500m => 500 * 1024,
            Self::Wlan => 200 * 1024,
            _ => 0,
        }
    }
    /// The words by which a text names the offer: a short Latin one, then Chinese ones. No keyword is part of another's.
    pub const fn keywords(self) -> &'static [&'static str] {
        match self {
            Self::RingBackTone => &["RBT", "彩铃"],
            Self::MobileNewspaper => &["NEWS", "手机报"],
            Self::Data10m => &["D10M", "10M流量"],
            Self::Data50m => &["D50M", "50M流量"],
            Self::Data500m => &["D500M", "500M流量"],
            Self::Messenger => &["IMSG", "飞信"],
            Self::MusicClub => &["MUSIC", "音乐俱乐部"],
            Self::Reading => &["READ", "手机阅读"],
            Self::MmsPack => &["MMSP", "彩信包"],
            Self::MissedCall => &["MCALL", "来电提醒"],
            Self::Vpmn => &["VPMN", "集团短号"],
            Self::Wlan => &["WLAN", "无线宽带"],
        }
    }
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|p| p.code() == code)
    }
    /// The offer that a text speaks of: the one whose keyword stands first. Latin letters in either case; a keyword
    /// that is part of a longer word of letters or digits does not count (`D500M` is not `D50M`, `already` not `READ`).
    pub fn in_text(text: &str) -> Option<Self> {
        let upper = text.to_ascii_uppercase();
        let first = |p: Self| p.keywords().iter().filter_map(|k| find_word(&upper, k)).min();
        Self::ALL.iter().copied().filter_map(|p| first(p).map(|at| (at, p))).min().map(|(_, p)| p)
    }
}

fn find_word(text: &str, word: &str) -> Option<usize> {
    let joins = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let edge = |end: u8| end.is_ascii_alphanumeric();
    text.match_indices(word).map(|(at, _)| at).find(|&at| {
        let (bytes, w, end) = (text.as_bytes(), word.as_bytes(), at + word.len());
        let open = at == 0 || !edge(w[0]) || !joins(bytes.get(at - 1));
        open && (!edge(w[w.len() - 1]) || !joins(bytes.get(end)))
    })
}

/// 套餐: rental and rates in millionths of a yuan, voice per begun minute, data per begun KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub code: &'static str,
    pub brand: Brand,
    pub rental: i64,
    pub free_minutes: u32,
    pub free_sms: u32,
    pub free_kb: u64,
    pub local: i64,
    pub long_distance: i64,
    pub ip: i64,
    pub roaming: i64,
    pub international: i64,
    pub sms: i64,
    pub mms: i64,
    pub per_kb: i64,
}

const fn plan(code: &'static str, brand: Brand, yuan: i64, free: (u32, u32, u64), rates: [i64; 3]) -> Plan {
    let [local, long_distance, ip] = rates;
    Plan {
        code,
        brand,
        rental: yuan * 1_000_000,
        free_minutes: free.0,
        free_sms: free.1,
        free_kb: free.2 * 1024,
        local,
        long_distance,
        ip,
        roaming: 600_000,
        international: 3_000_000,
        sms: 100_000,
        mms: 300_000,
        per_kb: 300,
    }
}

pub const PLANS: [Plan; 8] = [
    plan("easy18", Brand::Easyown, 18, (0, 20, 0), [250_000, 500_000, 350_000]),
    plan("easy38", Brand::Easyown, 38, (60, 50, 5), [220_000, 450_000, 320_000]),
    plan("gotone58", Brand::Gotone, 58, (150, 50, 10), [250_000, 400_000, 300_000]),
    plan("gotone88", Brand::Gotone, 88, (350, 100, 30), [190_000, 300_000, 250_000]),
    plan("gotone128", Brand::Gotone, 128, (600, 150, 100), [150_000, 250_000, 200_000]),
    plan("mzone20", Brand::Mzone, 20, (0, 200, 20), [200_000, 400_000, 300_000]),
    plan("mzone30", Brand::Mzone, 30, (50, 300, 50), [190_000, 390_000, 290_000]),
    plan("biz188", Brand::Gotone, 188, (1_000, 200, 300), [120_000, 200_000, 150_000]),
];

/// A handset type. The codes are the province's own: no real TAC begins with 8699.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    pub tac: u32,
    pub brand: &'static str,
    pub os: &'static str,
    /// Height of the screen in pixels.
    pub screen: u32,
    pub mms: bool,
    pub five_g: bool,
    /// 0 plain … 3 flagship.
    pub class: u8,
}

const fn device(tac: u32, brand: &'static str, os: &'static str, screen: u32, caps: (bool, bool), class: u8) -> Device {
    Device { tac, brand, os, screen, mms: caps.0, five_g: caps.1, class }
}

pub const DEVICES: [Device; 16] = [
    device(86_990_101, "Nokia", "series30", 160, (false, false), 0),
    device(86_990_102, "Nokia", "series40", 320, (true, false), 0),
    device(86_990_201, "Tianyu", "mtk", 240, (false, false), 0),
    device(86_990_202, "Tianyu", "mtk", 320, (true, false), 0),
    device(86_990_301, "Huawei", "android", 1280, (true, false), 1),
    device(86_990_302, "Huawei", "harmony", 2340, (true, true), 2),
    device(86_990_303, "Huawei", "harmony", 2700, (true, true), 3),
    device(86_990_401, "Xiaomi", "android", 1600, (true, false), 1),
    device(86_990_402, "Xiaomi", "android", 2400, (true, true), 2),
    device(86_990_501, "Oppo", "android", 1600, (true, false), 1),
    device(86_990_502, "Oppo", "android", 2400, (true, true), 2),
    device(86_990_601, "Vivo", "android", 1600, (true, false), 1),
    device(86_990_602, "Vivo", "android", 2408, (true, true), 2),
    device(86_990_701, "Apple", "ios", 1334, (true, false), 2),
    device(86_990_702, "Apple", "ios", 2556, (true, true), 3),
    device(86_990_801, "Samsung", "android", 2340, (true, true), 3),
];

/// Regions with their weight in the population and the first of their cells; each region has 200 cells.
pub const REGIONS: [(&str, u32); 11] = [
    ("haishu", 14),
    ("yinzhou", 18),
    ("jiangbei", 8),
    ("zhenhai", 7),
    ("beilun", 9),
    ("fenghua", 6),
    ("yuyao", 12),
    ("cixi", 14),
    ("xiangshan", 5),
    ("ninghai", 6),
    ("dongqian", 1),
];
pub const CELLS_PER_REGION: u32 = 200;

/// The first cell of a region.
pub const fn first_cell(region: u8) -> u32 {
    10_000 + region as u32 * 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_its_offer() {
        for (text, want) in [
            ("Set a song for your callers: reply Y for RBT", Some(Product::RingBackTone)),
            ("回复Y开通彩铃，5元/月", Some(Product::RingBackTone)),
            ("rbt then NEWS", Some(Product::RingBackTone)),
            ("办理D500M，30元", Some(Product::Data500m)),
            ("500M流量包", Some(Product::Data500m)),
            ("150M流量", None),
            ("already newsworthy", None),
            ("", None),
        ] {
            assert_eq!(Product::in_text(text), want, "{text}");
        }
    }

    #[test]
    fn codes_come_back_and_are_unique() {
        for &p in Product::ALL {
            assert_eq!(Product::from_code(p.code()), Some(p));
            for k in p.keywords() {
                assert_eq!(Product::in_text(k), Some(p), "{k}");
            }
        }
        let mut tacs: Vec<_> = DEVICES.iter().map(|d| d.tac).collect();
        tacs.dedup();
        assert_eq!(tacs.len(), DEVICES.len());
    }
}
