//! msf_ringbuff.h: a ring of bytes.
