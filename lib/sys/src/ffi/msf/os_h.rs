//! `include/msf_os.h`.
