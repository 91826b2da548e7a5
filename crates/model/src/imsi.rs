//! IMSI: the identity on the SIM. Masked wherever it prints, like a number.

use std::fmt;

/// An International Mobile Subscriber Identity: 14 or 15 digits (ITU-T E.212; 15 with a two-digit operator code such as
/// China's). `Debug` and `Display` show country and operator only: `46000****`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Imsi(u64);

/// Where the count of digits stands: 10^15 needs 50 bits, and a leading zero must not be lost.
const LEN_SHIFT: u32 = 56;

impl Imsi {
    /// `None` unless the text is 14 or 15 digits.
    pub fn parse(text: &str) -> Option<Self> {
        if !matches!(text.len(), 14 | 15) {
            return None;
        }
        let mut n = 0u64;
        for b in text.bytes() {
            let digit = b.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            n = n * 10 + u64::from(digit);
        }
        Some(Self((text.len() as u64) << LEN_SHIFT | n))
    }

    /// The digits. Call only where the vault looks a subscriber up; never log the result.
    pub fn reveal(self) -> String {
        let (len, n) = (self.0 >> LEN_SHIFT, self.0 & ((1 << LEN_SHIFT) - 1));
        format!("{n:0w$}", w = len as usize)
    }

    /// As one number that stands for it in a key; [`Imsi::from_code`] reads it back.
    pub const fn code(self) -> u64 {
        self.0
    }
    pub const fn from_code(code: u64) -> Option<Self> {
        let (len, n) = (code >> LEN_SHIFT, code & ((1 << LEN_SHIFT) - 1));
        match (len, n) {
            (14, 0..100_000_000_000_000) | (15, 0..1_000_000_000_000_000) => Some(Self(code)),
            _ => None,
        }
    }
}

impl fmt::Display for Imsi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}****", &self.reveal()[..5])
    }
}
impl fmt::Debug for Imsi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_imsi_keeps_its_zeros_and_prints_masked() {
        for text in ["460001234567890", "001010123456789", "00101012345678", "46000123456789"] {
            let imsi = Imsi::parse(text).expect("an imsi");
            assert_eq!((imsi.reveal(), Imsi::from_code(imsi.code())), (text.to_owned(), Some(imsi)));
        }
        let imsi = Imsi::parse("460001234567890").expect("an imsi");
        assert_eq!(format!("{imsi} {imsi:?}"), "46000**** 46000****");
        assert_ne!(Imsi::parse("001010123456789"), Imsi::parse("01010123456789"));
    }

    #[test]
    fn what_is_no_imsi_is_none() {
        for text in ["", "46000", "4600012345678901", "46000123456789F", "46000 123456789", "４６０００１２３４"]
        {
            assert_eq!(Imsi::parse(text), None, "{text}");
        }
        assert_eq!((Imsi::from_code(0), Imsi::from_code(u64::MAX)), (None, None));
    }
}
