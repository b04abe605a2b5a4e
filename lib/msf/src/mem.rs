//! msf_mem.h: memory by alignment, page size and node.
