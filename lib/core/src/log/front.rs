//! The `log` crate's macros in the same stream: `log::warn!` and C's `msf_log_write` end up in one file, in order.

use super::{Level, caller, modules};
use log::{LevelFilter, Log, Metadata, Record};

/// Makes the process's log the one that the `log` crate's macros write to. A record's target (the module path, unless
/// something else is given) is its module. What is written is decided by [`set_level`](super::set_level) and
/// [`set_module_level`](super::set_module_level); `trace!` counts as [`Level::Debug`].
///
/// Fails when another logger has been set before.
///
/// ```
/// msf_core::log::install()?;
/// log::warn!("peer {} is gone", 7);
/// # Ok::<(), log::SetLoggerError>(())
/// ```
pub fn install() -> Result<(), log::SetLoggerError> {
    log::set_logger(&Front)?;
    log::set_max_level(LevelFilter::Trace);
    Ok(())
}

struct Front;

impl Log for Front {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        modules::wants(level(metadata.level()), metadata.target().as_bytes())
    }

    fn log(&self, record: &Record<'_>) {
        let (func, file) = (record.module_path().unwrap_or("?"), record.file().unwrap_or("?"));
        caller::write(level(record.level()), record.target(), func, file, record.line().unwrap_or(0), *record.args());
    }

    fn flush(&self) {
        // Only a handler that interrupted the logger is refused; what it waits for cannot be had then.
        let _ = caller::flush();
    }
}

fn level(level: log::Level) -> Level {
    match level {
        log::Level::Error => Level::Error,
        log::Level::Warn => Level::Warn,
        log::Level::Info => Level::Info,
        log::Level::Debug | log::Level::Trace => Level::Debug,
    }
}
