//! Digests, checks and encodings, from crates that do nothing else.
