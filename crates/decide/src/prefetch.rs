//! A hint to the processor that a line will be read. Changes nothing that can be observed but time.
#![allow(unsafe_code)]

/// Asks for the line of `x`.
#[inline(always)]
pub fn read<T>(x: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: `x` is a reference, so its address is valid; a prefetch reads nothing that the program sees.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(std::ptr::from_ref(x).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _unused: &T = x;
}
