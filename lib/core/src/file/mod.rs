//! Files: reading and writing whole, locking, mapping, watching who has them.
