//! Files with services in them: where they are looked for, what is in them, and the private copy that is loaded.

pub mod elf;
pub mod libraries;
pub mod search;
pub mod staging;
