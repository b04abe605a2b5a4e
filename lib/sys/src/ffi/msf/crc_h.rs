//! `include/msf_crc.h`.
