//! What `ps` shows: the area of the command line, overwritten with a title. `comm` stays the program's name.
//!
//! The kernel shows the bytes between the addresses it noted at exec (`/proc/self/stat` tells them). The environment
//! lies right behind; a title longer than the command line grows into it, after its strings were moved to the heap.

use crate::error::Error;
use nix::errno::Errno;
use std::ffi::{CStr, CString, c_char};
use std::fs;
use std::ptr;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Makes `ps` show `text` for this process; it is cut where the area ends.
///
/// Call it early, while no other thread reads the environment; arguments are gone afterwards (copy them before).
pub fn title(text: &str) -> Result<(), Error> {
    let mut area = AREA.lock().unwrap_or_else(PoisonError::into_inner);
    if area.is_none() {
        *area = Some(Area::find().map_err(Error::system("find the command line in memory"))?);
    }
    let Some(area) = area.as_mut() else { return Err(Error::System { doing: "set the title", source: Errno::EIO }) };
    area.show(text.as_bytes());
    Ok(())
}

/// Addresses of the command line and, if it may be used, of the environment's end.
struct Area {
    start: usize,
    arguments_end: usize,
    environment: (usize, usize),
    environment_moved: bool,
    /// How far earlier titles reached.
    used: usize,
}

impl Area {
    fn find() -> Result<Area, Errno> {
        let stat = fs::read_to_string("/proc/self/stat").map_err(|_| Errno::ENOENT)?;
        let area = Area::parse(&stat).ok_or(Errno::ENOTSUP)?;
        Ok(area)
    }

    /// Fields 48 to 51 of proc(5)'s stat; the second field is in brackets and may hold spaces and brackets itself.
    fn parse(stat: &str) -> Option<Area> {
        let (_, fields) = stat.rsplit_once(')')?;
        let mut addresses = fields.split_ascii_whitespace().skip(45).map(|field| field.parse::<usize>().ok());
        let mut next = || addresses.next().flatten();
        let (start, arguments_end) = (next()?, next()?);
        let environment = (next()?, next()?);
        // An emulator reports zeros.
        let sane = start != 0 && start < arguments_end;
        sane.then_some(Area { start, arguments_end, environment, environment_moved: false, used: 0 })
    }

    fn show(&mut self, text: &[u8]) {
        let adjacent = self.environment.0 == self.arguments_end && self.environment.1 > self.environment.0;
        if text.len() >= self.arguments_end - self.start && adjacent && !self.environment_moved {
            move_environment(self.environment);
            self.environment_moved = true;
        }
        let end = if self.environment_moved { self.environment.1 } else { self.arguments_end };
        let room = end - self.start;
        let shown = text.len().min(room - 1);
        let area = self.start as *mut u8;
        // SAFETY: the area is the process's own, mapped writable since exec; nobody else refers to it any more (the
        // environment was moved if it is part of it), and `shown` is less than its size.
        unsafe { ptr::copy_nonoverlapping(text.as_ptr(), area, shown) };
        // The command line ends with NULs, those of an earlier, longer title included.
        let filled = (self.arguments_end - self.start).max(self.used).max(shown + 1);
        // SAFETY: shown < filled <= room, so the start of the rest is inside the area.
        let rest = unsafe { area.add(shown) };
        // SAFETY: `filled - shown` more bytes are inside it, too.
        unsafe { ptr::write_bytes(rest, 0, filled - shown) };
        self.used = shown + 1;
    }
}

/// Gives every string of the environment that lies in `from..to` a copy on the heap, for good.
fn move_environment((from, to): (usize, usize)) {
    // SAFETY: `environ` is the C library's own variable; the caller promises that no other thread uses it now.
    let mut entry = unsafe { environ };
    if entry.is_null() {
        return;
    }
    loop {
        // SAFETY: the list is not null and ends with a null pointer, at which this loop stops.
        let text = unsafe { *entry };
        if text.is_null() {
            return;
        }
        if (from..to).contains(&(text as usize)) {
            // SAFETY: entries of the environment are NUL-terminated strings.
            let copy = CString::from(unsafe { CStr::from_ptr(text) });
            // SAFETY: the slot is part of the list, which is writable; the copy is never freed.
            unsafe { *entry = copy.into_raw() };
        }
        // SAFETY: this entry was not the null one, so another one follows.
        entry = unsafe { entry.add(1) };
    }
}

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
}

static AREA: Mutex<Option<Area>> = Mutex::new(None);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_are_found_behind_a_name_with_brackets() {
        let mut fields: Vec<String> = (3..=52).map(|number| number.to_string()).collect();
        for (at, address) in [(45, 1000), (46, 1100), (47, 1100), (48, 2000)] {
            fields[at] = address.to_string();
        }
        let area = Area::parse(&format!("7 (a) b) {}", fields.join(" "))).unwrap();
        assert_eq!((area.start, area.arguments_end, area.environment), (1000, 1100, (1100, 2000)));
        assert!(Area::parse("7 (a) S 1").is_none());
    }

    #[test]
    fn the_command_line_shows_the_title_and_the_name_stays() {
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        let path = std::env::var_os("PATH");
        let long = format!("msf_test: {}", "long ".repeat(60));
        for text in [long.as_str(), "msf_test: short"] {
            title(text).unwrap();
            let shown = fs::read("/proc/self/cmdline").unwrap();
            let end = shown.iter().position(|byte| *byte == 0).unwrap_or(shown.len());
            assert!(text.as_bytes().starts_with(&shown[..end]) && end > 10, "{:?}", String::from_utf8_lossy(&shown));
        }
        assert_eq!(fs::read_to_string("/proc/self/comm").unwrap(), name);
        assert_eq!(std::env::var_os("PATH"), path);
    }
}
