//! `include/msf_channel.h`.
