//! Which records are wanted: a level for all modules, and others for some of them, changed at any time.

use super::Level;
use crate::error::Error;
use nix::errno::Errno;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// Whether a record is to be written at all.
#[inline]
pub(super) fn wants(level: Level, module: &[u8]) -> bool {
    let general = LEVEL.load(Ordering::Relaxed);
    let limit = if ANY.load(Ordering::Relaxed) { special(module).unwrap_or(general) } else { general };
    level as u8 <= limit
}

/// As [`wants`], as long as no module has a level of its own; None: one may have.
#[inline]
pub(super) fn wants_all(level: Level) -> Option<bool> {
    if ANY.load(Ordering::Relaxed) { None } else { Some(level as u8 <= LEVEL.load(Ordering::Relaxed)) }
}

/// The level of the modules that have none of their own.
pub(super) fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// The level of `module`; None: the one of all others again. Fails with ENOSPC when [`MOST`] modules have had one.
pub(super) fn set_module_level(module: &[u8], level: Option<Level>) -> Result<(), Error> {
    let number = level.map_or(AS_ALL_OTHERS, |level| level as u8);
    for slot in &SLOTS {
        let special = slot.get_or_init(|| Special { module: module.into(), level: AtomicU8::new(number) });
        if *special.module == *module {
            special.level.store(number, Ordering::Relaxed);
            ANY.store(true, Ordering::Relaxed);
            return Ok(());
        }
    }
    Err(Error::System { doing: "give one more module a log level", source: Errno::ENOSPC })
}

#[cold]
fn special(module: &[u8]) -> Option<u8> {
    let found = SLOTS.iter().map_while(OnceLock::get).find(|special| *special.module == *module)?;
    Some(found.level.load(Ordering::Relaxed)).filter(|level| *level != AS_ALL_OTHERS)
}

#[derive(Debug)]
struct Special {
    module: Box<[u8]>,
    level: AtomicU8,
}

static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);
/// Whether a module ever had a level of its own.
static ANY: AtomicBool = AtomicBool::new(false);
static SLOTS: [OnceLock<Special>; MOST] = [const { OnceLock::new() }; MOST];
const AS_ALL_OTHERS: u8 = u8::MAX;
/// How many modules may have a level of their own.
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_has_the_general_level_until_it_has_its_own_and_again_afterwards() {
        assert!(wants(Level::Info, b"special"));
        set_module_level(b"special", Some(Level::Error)).unwrap();
        assert!(wants(Level::Error, b"special") && !wants(Level::Warn, b"special"));
        assert!(wants(Level::Info, b"other"));
        set_module_level(b"special", None).unwrap();
        assert!(wants(Level::Info, b"special"));
        let failed = (0..MOST).find_map(|number| set_module_level(number.to_string().as_bytes(), None).err());
        assert_eq!(failed.unwrap().errno(), Errno::ENOSPC);
    }
}
