//! `include/msf_sem.h`.
