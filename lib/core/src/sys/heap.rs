//! Memory that was given back to the allocator.

/// Gives what is free within the heap back to the system. Worth its milliseconds where much has just been let go of and
/// little will come; a C library that cannot keeps it for later.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number of bytes to keep at the end, locks the heap like any other call, and moves nothing.
    unsafe {
        libc::malloc_trim(0);
    }
}
