//! A loaded library of services, and letting go of it.
//!
//! Unmapping code that somebody still runs, or will call, is the end of the process, so a library is closed only with
//! an [`AtRest`] in hand (see [`crate::rest`]). One that is dropped stays mapped.

use std::ffi::{CString, c_void};
use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use crate::crash::{self, Owned};
use crate::ffi::msf as c;
use crate::outcome::{c_string, non_null};
use crate::rest::AtRest;

/// A loaded library.
#[derive(Debug)]
pub struct Library {
    handle: NonNull<c_void>,
    mapped_as: PathBuf,
    /// For the last words of the process.
    owned: Option<Owned>,
}

// SAFETY: the loader's functions may be called from any thread.
unsafe impl Send for Library {}

impl Library {
    /// Loads `path` (or a bare name, which the system's loader looks for), with all it needs; its constructors run. All
    /// symbols are bound now, and none of them is seen by libraries that are loaded later. The log has a record with
    /// what the loader said. `mapped_as` is what /proc/self/maps will call the file.
    pub fn open(path: &Path, mapped_as: &Path) -> io::Result<Library> {
        let name = c_string(path)?;
        // SAFETY: the name is terminated; that the constructors are what the operator takes them for is the operator's
        // word, who wrote the name into the configuration.
        let handle = non_null(unsafe { c::msf_load_dynamic(name.as_ptr()) })?;
        Ok(Library { handle, mapped_as: mapped_as.to_owned(), owned: None })
    }

    /// If the process ends in its code, it was `name`.
    pub fn belongs_to(&mut self, name: &str) {
        self.owned = Some(crash::own(name, &self.code()));
    }

    /// The address of a symbol.
    pub fn symbol(&self, name: &str) -> Option<NonNull<c_void>> {
        let name = CString::new(name).ok()?;
        // SAFETY: the handle is open, and the name terminated.
        NonNull::new(unsafe { libc::dlsym(self.handle.as_ptr(), name.as_ptr()) })
    }

    /// The addresses of its code. Not of its data: an address in there may lie about anywhere, and runs nothing.
    pub fn code(&self) -> Vec<Range<usize>> {
        mappings(&self.mapped_as, |rights| rights.contains(&b'x'))
    }

    /// The loader's handle, for `g_proc`.
    pub(crate) fn handle(&self) -> *mut c_void {
        self.handle.as_ptr()
    }

    /// Gives it back to the loader. Says whether its file is no longer mapped: a thread-local that is still to be
    /// destroyed, or the library's own wish, keep it.
    pub fn close(self, rest: AtRest) -> bool {
        if rest.is_of(self.handle()) {
            crate::keys::delete(&self.code());
            // SAFETY: the handle is open and given back once; nothing of the library runs or will be called, says `rest`.
            unsafe { libc::dlclose(self.handle.as_ptr()) };
        }
        mappings(&self.mapped_as, |_| true).is_empty()
    }
}

/// Whether a library of this name (its SONAME, or a path) is loaded; if so, it stays for good.
pub fn keep(name: &Path) -> bool {
    let Ok(name) = c_string(name) else { return false };
    // SAFETY: the name is terminated, and with RTLD_NOLOAD no constructor runs.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE) };
    if !handle.is_null() {
        // SAFETY: the reference taken above; the library itself stays, as was asked for.
        unsafe { libc::dlclose(handle) };
    }
    !handle.is_null()
}

/// Whether this process' libmsf has a function of this name.
pub fn libmsf_has(name: &str) -> bool {
    let Ok(name) = CString::new(name) else { return false };
    // SAFETY: the name is terminated.
    !unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }.is_null()
}

/// Where a file is mapped now with such rights, also one that has no name any longer.
fn mappings(path: &Path, rights: impl Fn(&[u8]) -> bool) -> Vec<Range<usize>> {
    let Ok(maps) = fs::read("/proc/self/maps") else { return Vec::new() };
    let wanted = path.as_os_str().as_bytes();
    let of = |line: &[u8]| {
        let (range, name) = line_parts(line)?;
        let this = name.strip_suffix(b" (deleted)").unwrap_or(name) == wanted;
        (this && rights(line.split(|byte| *byte == b' ').nth(1)?)).then_some(range)
    };
    maps.split(|byte| *byte == b'\n').filter_map(of).collect()
}

/// The addresses and the name of a line of `maps`.
pub(crate) fn line_parts(line: &[u8]) -> Option<(Range<usize>, &[u8])> {
    let text = str::from_utf8(line.split(|byte| *byte == b' ').next()?).ok()?;
    let (start, end) = text.split_once('-')?;
    let hex = |text| usize::from_str_radix(text, 16).ok();
    let name = line.iter().position(|byte| matches!(byte, b'/' | b'[')).and_then(|at| line.get(at..));
    Some((hex(start)?..hex(end)?, name.unwrap_or_default()))
}
