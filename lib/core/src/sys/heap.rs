//! What the allocator keeps of the memory that was given back to it. Without glibc's nothing here does anything.

/// From now on little: large pieces and the end of the heap go back to the system at once, however large those before
/// were, and threads share the one heap. For programs that seldom need much, in one thread above all; before they have others.
pub fn keep_little() {
    #[cfg(target_env = "gnu")]
    for (what, much) in [(libc::M_MMAP_THRESHOLD, LITTLE), (libc::M_TRIM_THRESHOLD, LITTLE), (libc::M_ARENA_MAX, 1)] {
        // SAFETY: takes two numbers; a value that it does not like leaves things as they are.
        unsafe { libc::mallopt(what, much) };
    }
}

/// Gives back what is free in the middle of the heap as well: worth its millisecond where much has just been let go of.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number of bytes to keep at the end, locks the heap like any other call, and moves nothing.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(target_env = "gnu")]
const LITTLE: libc::c_int = 128 << 10;
