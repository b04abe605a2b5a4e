//! msf_loop.h: loops with a thread of their own.
