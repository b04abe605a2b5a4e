//! One logger per process: records of all threads, in one file, one line each.
//!
//! ```text
//! [2026-11-21 18:19:54][AGENT][DEBUG][accept agent/src/control.rs:81] peer 7 is gone[pid:13962,tid:13970]
//! ```
//! A record is in the file when the call that wrote it returns: there is no queue that a crash could lose. Several
//! processes may write one file (a fork, or two programs); each appends whole lines and notices when another has
//! rotated. Levels below [`Level::Info`] are copied to stderr. Before [`open`] only that copy is made.
//!
//! Every call may be made from any thread; none changes errno through the C library's back (the doorways restore it).
//! Writing a record from a signal handler that interrupted the writing of another one fails instead of deadlocking.

mod logger;
mod record;
mod rotate;
mod sink;

pub use logger::{close, limit, open, open_default, record_panics, reopen, set_level, write, write_bytes};
pub use record::Source;

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
        Level::ALL.iter().copied().find(|level| *level as i32 == number)
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
