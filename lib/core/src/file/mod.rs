//! Files: read and replaced whole, in pieces, locked, mapped, naming a process.
//!
//! ```
//! use msf_core::file;
//!
//! let path = std::env::temp_dir().join(format!("msf-doc-{}.conf", std::process::id()));
//! // Whoever reads it meanwhile, or after a crash, finds the old text or the new one.
//! file::replace(&path, b"port = 9999\n", 0o644)?;
//! assert_eq!(file::read(&path, 1 << 20)?, b"port = 9999\n");
//! # std::fs::remove_file(&path).unwrap();
//! # Ok::<(), msf_core::Error>(())
//! ```

mod lock;
mod mapping;
mod pid;
mod pieces;
mod whole;

pub use lock::{Lock, lock};
pub use mapping::Mapping;
pub use pid::{PidFile, named_pid, running};
pub use pieces::{read_at, write_at};
pub use whole::{read, replace};
