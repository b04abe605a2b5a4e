//! One logger per process: records of all threads, in one file, one line each.
//!
//! ```text
//! [2026-11-21 18:19:54][AGENT][DEBUG][accept agent/src/control.rs:81] peer 7 is gone[pid:13962,tid:13970]
//! ```
//! The call puts the record into a ring of its thread, in memory that a file beside the log backs; a thread of the log
//! writes it, a few milliseconds later. A process that is killed loses none: what is still in its rings is written when
//! that log is opened next, by whichever program. [`Level::Fatal`] records are in the file when the call returns, and so
//! is every record in [`Mode::Direct`] or after [`flush`]. Several processes may write one file (a fork, or two
//! programs); each appends whole lines and notices when another has rotated. Levels below [`Level::Info`] are copied to
//! stderr by the caller. Before [`open`] only that copy is made.
//!
//! Every call may be made from any thread; none changes errno through the C library's back (the doorways restore it).
//! Writing a record from a signal handler that interrupted the writing of another one fails instead of deadlocking.
//!
//! ```
//! use msf_core::log::{self, Level};
//!
//! let folder = std::env::temp_dir().join(format!("msf-doc-log-{}", std::process::id()));
//! log::open(&folder.join("x.log"))?;
//! log::set_module_level("NET", Some(Level::Error))?;
//! msf_core::log!(Level::Info, "DOC", "peer {} is back", 7);
//! msf_core::log!(Level::Info, "NET", "this is more than was asked for");
//! log::flush()?;
//! let text = std::fs::read_to_string(folder.join("x.log")).unwrap();
//! assert!(text.contains("[DOC][INFO]") && text.contains("] peer 7 is back[pid:") && !text.contains("[NET]"));
//! log::close();
//! # std::fs::remove_dir_all(folder).unwrap();
//! # Ok::<(), msf_core::Error>(())
//! ```

mod bell;
mod berth;
mod caller;
mod copy;
mod datagram;
mod entry;
mod environment;
mod front;
mod json;
mod logger;
mod modules;
mod output;
mod record;
mod recover;
mod ring;
mod room;
mod rotate;
mod session;
mod sink;
mod sitting;
mod spool;
mod stray;
mod text;
mod writer;

pub use caller::{
    add_output, close, flush, limit, open, open_default, record_panics, recover, remove_output, reopen, set_level,
    set_mode, set_module_level, set_policy, set_ring, stats, wants, wants_all, wants_bytes, write, write_bytes,
};
pub use front::install;
pub use output::Output;
pub use record::Source;
pub use sitting::{Quick, look_after, write_quickly};

/// How a record reaches the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Through the ring of its thread: the call costs next to nothing.
    Ring,
    /// With the call: it is in the file when the call returns, which tells whether it is. No thread, no ring.
    Direct,
}

/// What happens to a record that finds its ring full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The caller waits until there is room: nothing is lost.
    Block,
    /// It is dropped; a record in the log tells how many were.
    Drop,
}

/// What the log of this process has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records in the file.
    pub written: u64,
    /// Records dropped because their ring was full ([`Policy::Drop`]).
    pub dropped: u64,
    /// Records that could not be written, to a full disk for one.
    pub lost: u64,
    /// Records of processes that had been killed, written by this one.
    pub recovered: u64,
    /// Records that an [`Output`] did not take.
    pub refused: u64,
    /// Rings in use: threads that log, or have done so at one time.
    pub rings: u32,
}

impl Stats {
    const NONE: Stats = Stats { written: 0, dropped: 0, lost: 0, recovered: 0, refused: 0, rings: 0 };
}

/// How important a record is. The order is the original's: larger is more talkative, and Debug stands above Info.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// The process cannot go on.
    Fatal = 0,
    /// A request or a service failed.
    Error = 1,
    /// Something is odd; work goes on.
    Warn = 2,
    /// For whoever looks into a fault.
    Debug = 3,
    /// The ordinary course of things; goes to the file only.
    Info = 4,
}

impl Level {
    /// The level with the C interface's number, if there is one.
    pub fn from_number(number: i32) -> Option<Level> {
        usize::try_from(number).ok().and_then(|number| Level::ALL.get(number).copied())
    }

    /// The level called `name` ("warn", "WARN"), if there is one.
    pub fn from_name(name: &str) -> Option<Level> {
        Level::ALL.iter().copied().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    /// The level as records spell it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Fatal => "FATAL",
            Level::Error => "ERROR",
            Level::Warn => "WARN",
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
        }
    }

    /// Every level, most important first.
    pub const ALL: &'static [Level] = &[Level::Fatal, Level::Error, Level::Warn, Level::Debug, Level::Info];
}

/// Writes a record: `log!(Level::Warn, "AGENT", "peer {} is gone", id)`.
///
/// The place in the source is filled in: the module path stands for the function.
#[macro_export]
macro_rules! log {
    ($level:expr, $module:expr, $($text:tt)+) => {
        $crate::log::write($level, $module, ::std::module_path!(), ::std::file!(), ::std::line!(), ::std::format_args!($($text)+))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_keep_the_originals_numbers_and_order() {
        let numbers: Vec<i32> = Level::ALL.iter().map(|level| *level as i32).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        assert_eq!(Level::from_number(3), Some(Level::Debug));
        assert_eq!(Level::from_number(5), None);
        assert_eq!(Level::from_number(-1), None);
        assert_eq!(Level::from_name("warn"), Some(Level::Warn));
    }
}
