//! `include/msf_threadpool.h`.
