//! From the name in the configuration to the file of a library, and the sentences that say why it cannot be used: each
//! names the service, the file and what is wrong with it.

use crate::library::elf;
use crate::library::search::{Found, Search};
use msf_conf::shell::{Service, Shell};
use msf_sys::library;
use nix::errno::Errno;
use std::io;
use std::path::{Path, PathBuf};

/// The file a service's library is; a bare name if only the system's loader may know it.
pub fn find(settings: &Shell, service: &Service) -> Result<PathBuf, String> {
    let search = search(settings, service);
    match search.find(&service.library) {
        Found::File(file) => Ok(file),
        Found::AskLoader => Ok(PathBuf::from(&service.library)),
        Found::Nowhere => Err(nowhere(settings, service)),
    }
}

/// The file that names it.
pub fn written<'a>(settings: &'a Shell, service: &'a Service) -> &'a Path {
    service.source.as_ref().map_or(&settings.file, |source| &source.file)
}

fn search(settings: &Shell, service: &Service) -> Search {
    let search = Search::new(written(settings, service));
    match service.source.as_ref().and_then(|source| source.file.parent()) {
        Some(folder) => search.first(folder),
        None => search,
    }
}

/// Looks into `copy`, which complaints call `file`. Gives the size of the service's table, if the file tells.
pub fn look_into(copy: &Path, file: &Path, service: &str) -> Result<Option<u64>, String> {
    elf::inspect(copy, service).map_err(|misfit| match misfit.is_symbol() {
        true => format!("{}: symbol \"{service}\" {misfit}", file.display()),
        false => format!("{} {misfit}", file.display()),
    })
}

/// Refuses a library with functions of libmsf in it: what the plugin calls would be those, and they know nothing of the
/// log, the loops and the timers of this process.
pub fn no_second_libmsf(links: &elf::Links, file: &Path) -> Result<(), String> {
    match links.functions.iter().find(|name| library::libmsf_has(name)) {
        Some(name) => Err(format!(
            "{} defines {name} itself, as a second copy of libmsf would; link it with -lmsf instead",
            file.display()
        )),
        None => Ok(()),
    }
}

/// Where the system's loader found a library, once it is loaded. One found through a link goes by another name.
pub fn mapped(library: &Path) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mut files = maps.lines().filter_map(|line| line.split_once('/')).map(|(_, path)| Path::new("/").join(path));
    files.find(|file| file.file_name() == library.file_name())
}

/// Where libipc is: beside our libmsf, which a plugin need not know to be linked to both.
pub fn beside_libmsf(need: &str) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mut files = maps.lines().filter_map(|line| line.split_once('/')).map(|(_, path)| Path::new("/").join(path));
    let is_libmsf =
        |file: &PathBuf| file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"libmsf.so"));
    let beside = need.starts_with("libipc.so").then(|| files.find(is_libmsf))??.with_file_name(need);
    beside.is_file().then_some(beside)
}

/// A library that is in none of the places.
pub fn nowhere(settings: &Shell, service: &Service) -> String {
    format!(
        "no library \"{}\" ({} in {}); looked for {}",
        service.library,
        match &service.source {
            Some(source) => format!("{}svc_libs", source.prefix),
            None => format!("proc_svcs[{}].svc_libs", service.at),
        },
        written(settings, service).display(),
        search(settings, service).tried(&service.library)
    )
}

/// What libmsf's errno for a library says about this service.
pub fn refused(settings: &Shell, service: &Service, file: &Path, e: &io::Error) -> String {
    match Errno::from_raw(e.raw_os_error().unwrap_or(0)) {
        Errno::ENOENT => nowhere(settings, service),
        Errno::ELIBBAD => format!("{} cannot be loaded (the record above says why)", file.display()),
        _ => format!("{}: {e}", file.display()),
    }
}

/// A library that has no table of this name.
pub fn no_symbol(file: &Path, service: &str) -> String {
    let file = file.display();
    format!(
        "{file} exports no symbol \"{service}\", nor \"{service}_ops\" (with -fvisibility=hidden it must be marked MSF_EXPORT)"
    )
}
