//! `include/msf_crypto.h`.
