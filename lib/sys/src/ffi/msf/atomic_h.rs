//! `include/msf_atomic.h`.

pub type msf_atomic_t = u32;
