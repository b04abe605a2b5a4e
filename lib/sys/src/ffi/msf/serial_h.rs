//! `include/msf_serial.h`.
