//! `include/msf_shmem.h`.
