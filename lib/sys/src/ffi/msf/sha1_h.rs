//! `include/msf_sha1.h`.
