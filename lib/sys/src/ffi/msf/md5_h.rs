//! `include/msf_md5.h`.
