//! `include/msf_file.h`.
