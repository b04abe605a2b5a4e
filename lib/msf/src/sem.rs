//! msf_sem.h: semaphores with exact timeouts.
