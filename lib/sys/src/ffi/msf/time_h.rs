//! `include/msf_time.h`.
