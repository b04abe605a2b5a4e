//! msf_shmem.h: shared memory and message rings.
