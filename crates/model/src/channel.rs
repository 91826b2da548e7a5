//! Channels, contact kinds, dispositions (C2), campaign classes: closed lists with stable codes and names.

use std::fmt;

macro_rules! closed_list {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $code:literal, $text:literal, $zh:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum $name { $($variant = $code),* }
        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The stable name used in files, API and SQL.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
            /// The operators' own word.
            pub const fn zh(self) -> &'static str {
                match self { $(Self::$variant => $zh),* }
            }
            /// The stable code used in durable records.
            pub const fn code(self) -> u8 {
                self as u8
            }
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
        impl std::str::FromStr for $name {
            type Err = UnknownName;
            fn from_str(s: &str) -> Result<Self, UnknownName> {
                Self::ALL.iter().copied().find(|x| x.name() == s).ok_or_else(|| UnknownName {
                    kind: stringify!($name),
                    given: s.to_owned(),
                    known: Self::ALL.iter().map(|x| x.name()).collect::<Vec<_>>().join(", "),
                })
            }
        }
    };
}

/// A name outside a closed list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no {kind}; one of {known}")]
pub struct UnknownName {
    pub kind: &'static str,
    pub given: String,
    pub known: String,
}

closed_list!(
    /// Where a subscriber is reached or comes from (渠道).
    Channel {
        Sms = 1, "sms", "短信";
        Mms = 2, "mms", "彩信";
        Outbound = 3, "outbound", "外呼";
        Counter = 4, "counter", "营业厅";
        Hotline = 5, "hotline", "热线";
        Ivr = 6, "ivr", "自动语音";
        Web = 7, "web", "网上营业厅";
        Wap = 8, "wap", "掌上营业厅";
        App = 9, "app", "客户端";
        Email = 10, "email", "邮件";
        SelfService = 11, "self_service", "自助终端";
        Manager = 12, "manager", "客户经理";
        Agent = 13, "agent", "代理商";
        UssdMenu = 14, "ussd", "USSD";
    }
);

closed_list!(
    /// What kind of row of the contact log it is (客户接触信息视图, C2).
    ContactKind {
        Contact = 1, "contact", "接触";
        Care = 2, "care", "关怀";
        Consultation = 3, "consultation", "咨询";
        Complaint = 4, "complaint", "投诉";
        Transaction = 5, "transaction", "办理";
        Query = 6, "query", "查询";
        Marketing = 7, "marketing", "营销接触";
    }
);

closed_list!(
    /// What became of a contact (反馈).
    Disposition {
        Accepted = 1, "accepted", "网关已收";
        Delivered = 2, "delivered", "已送达";
        Undelivered = 3, "undelivered", "未送达";
        Expired = 4, "expired", "已过期";
        Replied = 5, "replied", "已回复";
        OptedOut = 6, "opted_out", "已退订";
        Ordered = 7, "ordered", "已办理";
        Refused = 8, "refused", "已拒绝";
        Exported = 9, "exported", "已导出";
    }
);

closed_list!(
    /// What a campaign is for; each class has a policy of its own.
    CampaignClass {
        Marketing = 1, "marketing", "营销";
        Care = 2, "care", "服务关怀";
        PublicInterest = 3, "public_interest", "公益";
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_come_back() {
        for &c in Channel::ALL {
            assert_eq!(c.name().parse(), Ok(c));
            assert_eq!(Channel::from_code(c.code()), Some(c));
        }
        let e = "smss".parse::<Channel>().expect_err("unknown");
        assert!(e.to_string().starts_with("`smss` is no Channel; one of sms, mms, outbound"), "{e}");
    }
}
