//! From the names in the configuration to loaded services: found, looked into, loaded, or a sentence that names the
//! service, the file and what is wrong with it.

use crate::MODULE;
use crate::elf;
use crate::search::{Found, Search};
use msf_conf::shell::Shell;
use msf_sys::log::Level;
use msf_sys::service::Services;
use nix::errno::Errno;
use std::io;
use std::path::{Path, PathBuf};

/// Finds and loads every library before any service is called.
pub fn load(settings: &Shell) -> Result<Services, String> {
    let search = Search::new(&settings.file);
    let mut wanted = Vec::with_capacity(settings.services.len());
    for (at, service) in settings.services.iter().enumerate() {
        let file = match search.find(&service.library) {
            Found::File(file) => file,
            Found::AskLoader => PathBuf::from(&service.library),
            Found::Nowhere => return Err(nowhere(settings, at, &search)),
        };
        if file.is_absolute() {
            look_into(&file, &service.name)?;
        }
        wanted.push(file);
    }
    let table = settings.services.iter().zip(&wanted).map(|(service, file)| (service.name.as_str(), file.as_path()));
    let mut services = Services::new(table).map_err(|e| e.to_string())?;
    for (at, file) in wanted.iter().enumerate() {
        services.load(at).map_err(|e| refused(settings, at, file, &search, &e))?;
        let loaded = if file.is_absolute() { None } else { mapped(file) };
        if let Some(found) = &loaded {
            look_into(found, services.name(at))?;
        }
        let file = loaded.as_deref().unwrap_or(file).display();
        msf_sys::log!(Level::Info, MODULE, "service {}: loaded {file}", services.name(at));
    }
    Ok(services)
}

fn look_into(file: &Path, service: &str) -> Result<(), String> {
    elf::inspect(file, service).map_err(|misfit| match misfit.is_symbol() {
        true => format!("service {service}: {}: symbol \"{service}\" {misfit}", file.display()),
        false => format!("service {service}: {} {misfit}", file.display()),
    })
}

/// Where the system's loader found a library, once it is loaded. One found through a link goes by another name.
fn mapped(library: &Path) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mut files = maps.lines().filter_map(|line| line.split_once('/')).map(|(_, path)| Path::new("/").join(path));
    files.find(|file| file.file_name() == library.file_name())
}

fn nowhere(settings: &Shell, at: usize, search: &Search) -> String {
    let service = &settings.services[at];
    format!(
        "service {}: no library \"{}\" (proc_svcs[{at}].svc_libs in {}); looked for {}",
        service.name,
        service.library,
        settings.file.display(),
        search.tried(&service.library)
    )
}

/// What libmsf's errno for a library says about this service.
fn refused(settings: &Shell, at: usize, file: &Path, search: &Search, e: &io::Error) -> String {
    let name = &settings.services[at].name;
    let file = file.display();
    match Errno::from_raw(e.raw_os_error().unwrap_or(0)) {
        Errno::ENOENT => nowhere(settings, at, search),
        Errno::ESRCH => format!(
            "service {name}: {file} exports no symbol \"{name}\" (with -fvisibility=hidden it must be marked MSF_EXPORT)"
        ),
        Errno::ELIBBAD => format!("service {name}: {file} cannot be loaded (the record above says why)"),
        _ => format!("service {name}: {file}: {e}"),
    }
}
