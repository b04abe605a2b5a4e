//! What the machine and its processes use: processors, memory, disks. Every call looks once and keeps nothing; who wants
//! a rate keeps what he saw and compares.
//!
//! ```
//! use msf_core::sysinfo::{cpu, disk, memory, process};
//!
//! let before = cpu::read()?;
//! let memory = memory::read()?;
//! println!("{} of {} MiB are free", memory.available >> 20, memory.total >> 20);
//! println!("{} MiB are free in /", disk::usage("/")?.available >> 20);
//! println!("we use {} KiB", process::current()?.resident >> 10);
//! println!("{:.1} % busy", cpu::read()?.all.busy_since(&before.all) * 100.0);
//! # Ok::<(), msf_core::Error>(())
//! ```

pub mod cpu;
pub mod disk;
pub mod gauge;
pub mod memory;
pub mod process;

use crate::error::Error;
use std::fs;
use std::io;
use std::time::Duration;

fn text(path: &str) -> Result<String, Error> {
    let read = fs::read(path).map_err(|error| Error::file("read", path, error))?;
    // A process may call itself anything, so the kernel's files need not be UTF-8.
    Ok(String::from_utf8(read).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

fn odd(path: &str) -> Error {
    Error::file("make sense of", path, io::Error::from_raw_os_error(libc::EBADMSG))
}

/// The kernel counts time for its users in hundredths of a second, on every machine we are built for.
fn ticks(count: u64) -> Duration {
    Duration::from_millis(count.saturating_mul(10))
}
