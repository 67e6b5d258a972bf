//! The memory that the allocator keeps for later.

/// Gives what is not in use back to the system: some milliseconds after a load that took much.
///
/// For programs whose allocator is mimalloc; for others it does nothing.
pub fn give_back() {
    // SAFETY: the function takes no pointer and may be called by any thread at any time
    // (mimalloc's documentation of `mi_collect`).
    unsafe { libmimalloc_sys::mi_collect(true) }
}
