//! msf_threadpool.h: threads that carry out what is queued.
