//! msf_sysinfo.h: what the machine and its processes use.
