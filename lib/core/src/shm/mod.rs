//! Shared memory: segments, and a ring of messages in one.
