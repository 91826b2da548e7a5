//! Large pages for large memory: random reads of hundreds of megabytes otherwise cost more for finding the page than for
//! the line. A hint: where the system does not have them, nothing changes.
#![allow(unsafe_code)]

use rustix::mm::{Advice, madvise};

const PAGE: usize = 4096;
/// Below it nothing is gained.
const LEAST: usize = 4 << 20;

/// Asks for large pages behind `len` bytes at `from`, best before they are first written.
pub fn advise_huge(from: *const u8, len: usize) {
    if len < LEAST {
        return;
    }
    let skip = from.align_offset(PAGE);
    let whole = (len - skip) / PAGE * PAGE;
    // SAFETY: the advice changes neither contents nor protection of any page, so it is sound for every range; one that is
    // not mapped is refused.
    let advised = unsafe { madvise(from.wrapping_add(skip).cast_mut().cast(), whole, Advice::LinuxHugepage) };
    if let Err(e) = advised {
        tracing::debug!(error = %e, "no large pages");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_memory_stays() {
        let mut v: Vec<u32> = Vec::with_capacity(3_000_000);
        advise_huge(v.as_ptr().cast(), 12_000_000);
        v.resize(3_000_000, 7);
        assert!(v.len() == 3_000_000 && v.iter().all(|&x| x == 7));
        advise_huge(std::ptr::dangling(), usize::MAX / 2);
    }
}
