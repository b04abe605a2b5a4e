//! What plugins read in `g_proc`: who this process is, and the services it hosts.
//!
//! C code may keep `g_proc->proc_svcs` and read it at any time, so a row never moves while its service is there, and a
//! table that has become too small is left where it is when a larger one takes its place.

use std::ffi::{CStr, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};

use crate::ffi::msf as c;
use crate::library::Library;
use crate::process::{self, About};
use crate::service::{Service, fill};

/// `g_proc`, filled in. Dropped, it is empty again.
#[derive(Debug)]
pub struct Roster {
    // Not a Box: that would claim nobody else looks at it, and plugins do.
    table: NonNull<[c::svcinst]>,
}

// SAFETY: rows are written by whoever has `&mut self`; C code that reads them meanwhile does so on its own account, as
// with any variable of 2019.
unsafe impl Send for Roster {}

impl Roster {
    /// Fills in `g_proc` with `about` (each text cut to 31 bytes) and no services yet. EALREADY while somebody else has.
    pub fn publish(about: About<'_>, room: usize) -> io::Result<Roster> {
        let table = empty(room.max(LEAST));
        process::publish(about, table.as_ptr().cast())?;
        Ok(Roster { table })
    }

    /// Enters a loaded service, or changes its row. A name of more than 63 bytes or a path of more than 4095 is an error
    /// naming it.
    pub fn enter(&mut self, name: &str, file: &Path, library: &Library, service: &Service) -> io::Result<()> {
        let slots = service.slots().map_or((&raw const NO_SLOTS.0).cast_mut(), |slots| slots.as_ptr().cast());
        self.put(name, file, library.handle(), slots)
    }

    /// Enters a service that is in another process: there is no handle of its library, and none of its slots is here.
    pub fn enter_isolated(&mut self, name: &str, file: &Path) -> io::Result<()> {
        self.put(name, file, ptr::null_mut(), (&raw const NO_SLOTS.0).cast_mut())
    }

    fn put(&mut self, name: &str, file: &Path, handle: *mut c_void, slots: *mut c::msf_svc) -> io::Result<()> {
        let at = self.row_of(name).or_else(|| self.row_of("")).unwrap_or_else(|| self.grow());
        // SAFETY: an all-zero `svcinst` is valid: numbers and null pointers.
        let mut row: c::svcinst = unsafe { std::mem::zeroed() };
        fill(&mut row.svc_name, name.as_bytes())?;
        fill(&mut row.svc_lib, file.as_os_str().as_bytes())?;
        row.state = c::SVCINST_LOADED as u32;
        (row.svc_handle, row.svc_cb) = (handle, slots);
        self.write(at, row);
        Ok(())
    }

    /// Empties the row of a service that is going.
    pub fn leave(&mut self, name: &str) {
        if let Some(at) = self.row_of(name) {
            // SAFETY: as in `enter`.
            self.write(at, unsafe { std::mem::zeroed() });
        }
    }

    fn write(&mut self, at: usize, row: c::svcinst) {
        // SAFETY: `at` is a row of the table, which lives as long as the process.
        unsafe { self.table.as_ptr().cast::<c::svcinst>().wrapping_add(at).write(row) };
        let last = (0..self.table.len()).rev().find(|at| !self.name_at(*at).is_empty());
        process::set_services(self.table.as_ptr().cast(), last.map_or(0, |last| last as u32 + 1));
    }

    /// The row of a name; of the empty name, the first free one.
    fn row_of(&self, name: &str) -> Option<usize> {
        (0..self.table.len()).find(|at| self.name_at(*at) == name.as_bytes())
    }

    fn name_at(&self, at: usize) -> &[u8] {
        let row = self.table.as_ptr().cast::<c::svcinst>().wrapping_add(at);
        // SAFETY: every caller names a row of the table.
        let name = unsafe { &raw const (*row).svc_name };
        // SAFETY: `fill` and zeroes leave at least one NUL at the end of the array.
        unsafe { CStr::from_ptr(name.cast()) }.to_bytes()
    }

    /// The first row of a table of twice the size.
    fn grow(&mut self) -> usize {
        let had = self.table.len();
        let larger = empty(had * 2);
        // SAFETY: the larger table has room for the rows of the smaller one, and is another.
        unsafe { ptr::copy_nonoverlapping(self.table.as_ptr().cast::<c::svcinst>(), larger.as_ptr().cast(), had) };
        self.table = larger;
        had
    }
}

impl Drop for Roster {
    fn drop(&mut self) {
        process::retract();
    }
}

fn empty(rows: usize) -> NonNull<[c::svcinst]> {
    // SAFETY: an all-zero `svcinst` is valid: numbers and null pointers.
    let table: Box<[c::svcinst]> = (0..rows).map(|_| unsafe { std::mem::zeroed() }).collect();
    NonNull::from(Box::leak(table))
}

/// What stands in for 2019's slots where a service has others: one can look at it, and it offers nothing.
struct NoSlots(c::msf_svc);
// SAFETY: nobody writes to it, and it holds no pointer.
unsafe impl Sync for NoSlots {}
static NO_SLOTS: NoSlots = NoSlots(c::msf_svc {
    init: None,
    deinit: None,
    start: None,
    stop: None,
    get_param: None,
    set_param: None,
    msg_handler: None,
});

/// A table is as large as this at least, so that most processes never need another.
const LEAST: usize = 32;
