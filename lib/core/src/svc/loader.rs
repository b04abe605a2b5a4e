//! Loading a service: its library, and the variable that is named like it. The only file that names libloading.

use crate::error::Error;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LAZY, RTLD_LOCAL, RTLD_NOW};
use nix::errno::Errno;
use std::ffi::{CStr, OsStr, c_int, c_void};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A loaded service. Both addresses are valid until [`unload`].
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// The loader's handle of the library, as `dlopen` gives it.
    pub handle: *mut c_void,
    /// Address of the variable.
    pub variable: *mut c_void,
}

/// Loads `needs` and then `library`, and finds the variable called `service` in it. Nothing of the service is called.
///
/// A name without a slash is searched for as the dynamic loader does. Fails with ENOENT when there is no such library,
/// ELIBBAD when it or one that it needs cannot be loaded, ESRCH when it has no such variable.
///
/// # Safety
/// The libraries' constructors are run: they have to be what the operator believes they are.
pub unsafe fn load(library: &OsStr, service: &str, needs: &[&OsStr]) -> Result<Loaded, Error> {
    let mut opened = Vec::with_capacity(needs.len());
    for need in needs {
        // What a service needs is looked up by its symbols, so it is visible to the libraries loaded after it.
        // SAFETY: our caller vouches for the constructors.
        opened.push(unsafe { open(need, service, RTLD_NOW | RTLD_GLOBAL) }?);
    }
    // SAFETY: our caller vouches for the constructors.
    let main = unsafe { open(library, service, RTLD_NOW | RTLD_LOCAL) }?;
    // SAFETY: the symbol is only looked up; its type is the caller's business.
    let symbol = unsafe { main.get::<*mut c_void>(service.as_bytes()) };
    let variable = symbol.map_err(|error| no_symbol(library, service, &reason(&error)))?.as_raw_ptr();
    if variable.is_null() {
        return Err(no_symbol(library, service, "its address is null"));
    }
    opened.into_iter().for_each(keep);
    Ok(Loaded { handle: main.into_raw(), variable })
}

/// Gives back what [`load`] got with the same `needs`.
///
/// # Safety
/// `loaded` came from [`load`] and is given back once; nothing of the libraries is running or will be called.
pub unsafe fn unload(loaded: Loaded, needs: &[&OsStr]) -> Result<(), Error> {
    // SAFETY: the handle came out of `into_raw` in `load`.
    let main = unsafe { Library::from_raw(loaded.handle) };
    let closed = main.close();
    for need in needs.iter().rev() {
        // Asking for a library that is there yields its handle and one more reference: both are given back.
        // SAFETY: with RTLD_NOLOAD no constructor runs.
        let Ok(again) = (unsafe { Library::open(Some(*need), RTLD_LAZY | libc::RTLD_NOLOAD) }) else { continue };
        let handle = again.into_raw();
        for _ in 0..2 {
            // SAFETY: the handle is open, and has at least the two references given back here.
            drop(unsafe { Library::from_raw(handle) });
        }
    }
    closed.map_err(|_| Error::System { doing: "unload a library", source: Errno::EINVAL })
}

/// Loads a library and gives the loader's handle of it, which `dlclose` takes back. Fails with ENOENT when there is none
/// of this name, ELIBBAD when it cannot be loaded.
///
/// # Safety
/// The library's constructors are run: it has to be what the caller believes it is.
pub unsafe fn open_library(name: &OsStr) -> Result<*mut c_void, Error> {
    // SAFETY: our caller vouches for the constructors.
    let opened = unsafe { open_file(name, RTLD_NOW | RTLD_LOCAL) };
    opened.map(Library::into_raw).map_err(|(reason, errno)| {
        let what = name.to_string_lossy().into_owned();
        Error::Loader { doing: "load", what, reason, errno }
    })
}

/// The address of a symbol; ESRCH when the library has none of this name.
///
/// # Safety
/// `handle` came from [`open_library`] (or `dlopen`) and is open.
pub unsafe fn symbol(handle: *mut c_void, name: &CStr) -> Result<*mut c_void, Error> {
    // Not to be closed here: the handle is the caller's.
    // SAFETY: our caller says that it is a handle of the loader.
    let library = std::mem::ManuallyDrop::new(unsafe { Library::from_raw(handle) });
    let missing = |reason| {
        let what = name.to_string_lossy().into_owned();
        Error::Loader { doing: "find", what, reason, errno: Errno::ESRCH }
    };
    // SAFETY: the symbol is only looked up; its type is the caller's business.
    let found = unsafe { library.get::<*mut c_void>(name.to_bytes_with_nul()) };
    let address = found.map_err(|error| missing(reason(&error)))?.as_raw_ptr();
    if address.is_null() { Err(missing("its address is null".to_owned())) } else { Ok(address) }
}

/// # Safety
/// The library's constructors may be run.
unsafe fn open(name: &OsStr, service: &str, flags: c_int) -> Result<Library, Error> {
    // SAFETY: our caller vouches for the constructors.
    let opened = unsafe { open_file(name, flags) };
    opened.map_err(|(reason, errno)| Error::Service { file: name.into(), service: service.to_owned(), reason, errno })
}

/// # Safety
/// The library's constructors may be run.
unsafe fn open_file(name: &OsStr, flags: c_int) -> Result<Library, (String, Errno)> {
    let path = name.as_bytes().contains(&b'/').then(|| Path::new(name));
    // The loader would wait at a pipe until somebody writes.
    if path.is_some_and(|path| fs::metadata(path).is_ok_and(|found| !found.is_file())) {
        return Err(("it is not a file".to_owned(), Errno::ELIBBAD));
    }
    // SAFETY: our caller vouches for the constructors.
    unsafe { Library::open(Some(name), flags) }.map_err(|error| {
        let reason = reason(&error);
        let errno = if is_missing(name, &reason) { Errno::ENOENT } else { Errno::ELIBBAD };
        (reason, errno)
    })
}

fn no_symbol(library: &OsStr, service: &str, reason: &str) -> Error {
    let reason = format!("it has no variable {service} ({reason})");
    Error::Service { file: library.into(), service: service.to_owned(), reason, errno: Errno::ESRCH }
}

/// Leaves the library loaded; `unload` finds it again by its name.
fn keep(library: Library) {
    let _handle = library.into_raw();
}

/// Whether the library itself is missing, rather than something it needs.
fn is_missing(name: &OsStr, reason: &str) -> bool {
    if name.as_bytes().contains(&b'/') {
        return !Path::new(name).exists();
    }
    // The loader's sentence begins with the file it is about.
    let about_it = reason.strip_prefix(&*name.to_string_lossy()).is_some_and(|rest| rest.starts_with(':'));
    about_it && reason.contains("cannot open shared object file")
}

/// The loader's own sentence, without libloading's frame around it.
fn reason(error: &libloading::Error) -> String {
    match error {
        libloading::Error::DlOpen { source } | libloading::Error::DlSym { source } => source.to_string(),
        _ => "the loader does not say why".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_and_a_missing_variable_are_told_apart() {
        // SAFETY: there is no such library, so nothing runs.
        let error = unsafe { load(OsStr::new("libmsf_no_such_thing.so"), "upnp", &[]) }.unwrap_err();
        assert_eq!(error.errno(), Errno::ENOENT, "{error}");
        assert!(error.to_string().contains("libmsf_no_such_thing.so") && error.to_string().contains("upnp"), "{error}");
        // SAFETY: the C library is loaded already, and its constructors have run.
        let error = unsafe { load(OsStr::new("libc.so.6"), "no_such_variable", &[]) }.unwrap_err();
        assert_eq!(error.errno(), Errno::ESRCH, "{error}");
        assert!(error.to_string().contains("no_such_variable"), "{error}");
        // SAFETY: the file is no library at all.
        let error = unsafe { load(OsStr::new("/proc/self/stat"), "upnp", &[]) }.unwrap_err();
        assert_eq!(error.errno(), Errno::ELIBBAD, "{error}");
    }

    #[test]
    fn regress_the_loader_does_not_wait_at_a_pipe() {
        let pipe = std::env::temp_dir().join(format!("msf-loader-{}", std::process::id()));
        let _ = fs::remove_file(&pipe);
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // SAFETY: a pipe has no constructors.
        let error = unsafe { load(pipe.as_os_str(), "upnp", &[]) }.unwrap_err();
        assert!(error.to_string().ends_with("it is not a file") && error.errno() == Errno::ELIBBAD, "{error}");
        // SAFETY: as above.
        let error = unsafe { open_library(pipe.as_os_str()) }.unwrap_err();
        assert!(error.to_string().ends_with("it is not a file") && error.errno() == Errno::ELIBBAD, "{error}");
        fs::remove_file(pipe).unwrap();
    }

    #[test]
    fn a_variable_is_found_and_the_library_given_back() {
        let needs = [OsStr::new("libc.so.6")];
        // SAFETY: the C library is loaded already, and its constructors have run.
        let loaded = unsafe { load(OsStr::new("libc.so.6"), "environ", &needs) }.unwrap();
        assert!(!loaded.variable.is_null());
        // SAFETY: given back once, and the C library stays anyway.
        unsafe { unload(loaded, &needs) }.unwrap();
    }
}
