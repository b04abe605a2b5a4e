//! msf_serial.h: serial lines.
