//! Bytes of records and checkpoints: little-endian, fixed widths, every length checked.

use kairos_model::Timestamp;

#[derive(Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn u8(&mut self, x: u8) -> &mut Self {
        self.0.push(x);
        self
    }
    pub fn u16(&mut self, x: u16) -> &mut Self {
        self.bytes(&x.to_le_bytes())
    }
    pub fn u32(&mut self, x: u32) -> &mut Self {
        self.bytes(&x.to_le_bytes())
    }
    pub fn u64(&mut self, x: u64) -> &mut Self {
        self.bytes(&x.to_le_bytes())
    }
    pub fn i64(&mut self, x: i64) -> &mut Self {
        self.bytes(&x.to_le_bytes())
    }
    pub fn at(&mut self, t: Timestamp) -> &mut Self {
        self.i64(t.0)
    }
    pub fn bytes(&mut self, b: &[u8]) -> &mut Self {
        self.0.extend_from_slice(b);
        self
    }
    /// A count in 32 bits. Counts are bounded far below by the limits of the configuration.
    pub fn count(&mut self, n: usize) -> &mut Self {
        self.u32(u32::try_from(n).expect("counts are bounded by u32 ordinals"))
    }
}

/// What is wrong with some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

pub type Parsed<T> = Result<T, Malformed>;

pub fn malformed<T>(what: impl Into<String>) -> Parsed<T> {
    Err(Malformed(what.into()))
}

pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }
    pub fn take(&mut self, n: usize) -> Parsed<&'a [u8]> {
        match self.bytes.split_at_checked(n) {
            Some((head, tail)) => {
                self.bytes = tail;
                Ok(head)
            }
            None => malformed(format!("{} bytes are missing", n - self.bytes.len())),
        }
    }
    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let mut a = [0; N];
        a.copy_from_slice(self.take(N)?);
        Ok(a)
    }
    pub fn u8(&mut self) -> Parsed<u8> {
        Ok(self.array::<1>()?[0])
    }
    pub fn u16(&mut self) -> Parsed<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }
    pub fn u32(&mut self) -> Parsed<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    pub fn u64(&mut self) -> Parsed<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }
    pub fn i64(&mut self) -> Parsed<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }
    pub fn at(&mut self) -> Parsed<Timestamp> {
        Ok(Timestamp(self.i64()?))
    }
    pub fn hash(&mut self) -> Parsed<[u8; 32]> {
        self.array()
    }
    /// A count of things of at least `least` bytes each: refused before anything is reserved for it.
    pub fn count(&mut self, least: usize) -> Parsed<usize> {
        let n = self.u32()? as usize;
        if n.saturating_mul(least) > self.bytes.len() {
            return malformed(format!("{n} entries do not fit into {} bytes", self.bytes.len()));
        }
        Ok(n)
    }
    /// A value of a closed list by its code.
    pub fn coded<T>(&mut self, what: &str, from: impl Fn(u8) -> Option<T>) -> Parsed<T> {
        let code = self.u8()?;
        from(code).map_or_else(|| malformed(format!("{code} is no {what}")), Ok)
    }
    pub fn end(self) -> Parsed<()> {
        if self.bytes.is_empty() { Ok(()) } else { malformed(format!("{} bytes too many", self.bytes.len())) }
    }
}
