//! A hint to the processor that a line will be read. Changes nothing that can be observed but time.
#![allow(unsafe_code)]

/// Asks for the line of `x`, and the next one if it lies in two.
#[inline(always)]
pub fn read<T>(x: &T) {
    let from = std::ptr::from_ref(x).cast::<i8>();
    hint(from);
    if size_of::<T>() > align_of::<T>() {
        // the same line again costs nothing
        hint(from.wrapping_add(size_of::<T>() - 1));
    }
}

#[inline(always)]
fn hint(at: *const i8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program sees and never faults, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at);
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::hint::black_box(at);
}
