//! `include/msf_sysinfo.h`.
