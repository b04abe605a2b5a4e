//! msf_file.h: files, pid files, mappings.
