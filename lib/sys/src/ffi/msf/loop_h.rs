//! `include/msf_loop.h`.
