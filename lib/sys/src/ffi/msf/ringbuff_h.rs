//! `include/msf_ringbuff.h`.
