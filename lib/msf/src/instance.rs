//! One process, one libmsf: of several copies in a process the one loaded first works, the others refuse every call.
//!
//! Two copies would mean two loggers writing one file and two reactors on one thread. Each copy decides for itself, at
//! its first call, by walking the loaded objects in load order: the first whose SONAME begins with `libmsf.so` is the
//! one. No symbol and no shared state is needed for that, so it also holds between different versions.

use nix::errno::Errno;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicU8, Ordering};

/// Whether this copy may work; EALREADY if another one was here first. Costs one relaxed load after the first call.
pub(crate) fn check() -> Result<(), Errno> {
    match VERDICT.load(Ordering::Relaxed) {
        FIRST => Ok(()),
        SECOND => Err(Errno::EALREADY),
        _ => decide(),
    }
}

#[cold]
#[inline(never)]
fn decide() -> Result<(), Errno> {
    let mut search = Search { own: &raw const VERDICT as usize, verdict: FIRST };
    // SAFETY: `visit` has the signature the C library asks for, and `search` outlives the call that uses it.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
    VERDICT.store(search.verdict, Ordering::Relaxed);
    if search.verdict == FIRST {
        // What the guards catch is told in the log.
        msf_core::log::record_panics();
    }
    check()
}

/// `own` is an address inside this copy; `verdict` is settled by the first libmsf.so met.
struct Search {
    own: usize,
    verdict: u8,
}

unsafe extern "C" fn visit(object: *mut libc::dl_phdr_info, _size: usize, search: *mut c_void) -> c_int {
    // SAFETY: the C library hands a valid object description to each call.
    let object = unsafe { &*object };
    // SAFETY: `decide` passed a `Search`, and nobody else holds it during the walk.
    let search = unsafe { &mut *search.cast::<Search>() };
    let base = object.dlpi_addr as usize;
    // SAFETY: the object is loaded, so its program headers are mapped and there are `dlpi_phnum` of them.
    let headers = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)) };
    let Some(dynamic) = headers.iter().find(|header| header.p_type == libc::PT_DYNAMIC) else { return 0 };
    // SAFETY: PT_DYNAMIC of a loaded object is mapped at its base plus its virtual address.
    let Some(soname) = (unsafe { soname(base, (base + dynamic.p_vaddr as usize) as *const Dyn) }) else { return 0 };
    if !soname.to_bytes().starts_with(b"libmsf.so") {
        return 0;
    }
    let holds_us = headers.iter().filter(|header| header.p_type == libc::PT_LOAD).any(|header| {
        let start = base + header.p_vaddr as usize;
        (start..start + header.p_memsz as usize).contains(&search.own)
    });
    search.verdict = if holds_us { FIRST } else { SECOND };
    1
}

/// An entry of the dynamic section (`ElfW(Dyn)`): both members are as wide as a pointer.
#[repr(C)]
#[derive(Clone, Copy)]
struct Dyn {
    tag: isize,
    value: usize,
}

/// The DT_SONAME of a loaded object.
///
/// # Safety
/// `entry` is the dynamic section of an object that is loaded at `base`, and stays loaded for `'a`.
unsafe fn soname<'a>(base: usize, mut entry: *const Dyn) -> Option<&'a CStr> {
    let (mut strings, mut name) = (None, None);
    loop {
        // SAFETY: the section ends with a DT_NULL entry, at which this loop stops.
        let Dyn { tag, value } = unsafe { *entry };
        match tag {
            DT_NULL => break,
            // glibc writes the loaded address into the table, other loaders (and the vdso) leave the offset.
            DT_STRTAB => strings = Some(if value < base { base + value } else { value }),
            DT_SONAME => name = Some(value),
            _ => {}
        }
        // SAFETY: this was not the DT_NULL entry, so another one follows.
        entry = unsafe { entry.add(1) };
    }
    let text = (strings? + name?) as *const c_char;
    // SAFETY: DT_SONAME is an offset of a NUL-terminated string in the object's string table.
    Some(unsafe { CStr::from_ptr(text) })
}

static VERDICT: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const FIRST: u8 = 1;
const SECOND: u8 = 2;

const DT_NULL: isize = 0;
const DT_STRTAB: isize = 5;
const DT_SONAME: isize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_another_copy_is_served() {
        assert_eq!(check(), Ok(()));
        assert_eq!(check(), Ok(()));
    }
}
