//! The settings against this machine: what cannot work here is said before anything is started. Start, reload and
//! `-k parse` ask here alone, so that none of them knows better than the others.

use super::{Failure, access, threads};
use msf_conf::agent::Settings;
use std::path::{Path, PathBuf};

/// Reads `files`, and looks whether this machine has what they ask for.
pub fn read(files: &[PathBuf]) -> Result<Settings, Failure> {
    let mut settings = Settings::read(files)?;
    sockets(&settings)?;
    if let Some(path) = &settings.pid_file {
        place(&settings, "pid_file", path)?;
    }
    // No error: one file serves machines with more and with fewer cores.
    for (core, why) in threads::missing_cores(&settings.cpu_affinity) {
        let what = format!("no thread can run on core {core} here ({why}); reactors meant for it are not pinned");
        settings.warnings.push(settings.blame(&["cpu_affinity"], &what));
    }
    Ok(settings)
}

fn sockets(settings: &Settings) -> Result<(), Failure> {
    if !settings.unix_enable && !settings.net_enable {
        let what = "nowhere to listen: unix_enable and net_enable are both false";
        return Err(settings.blame(&["unix_enable", "net_enable", "net_enbale"], what).into());
    }
    if settings.unix_enable {
        access::rights(settings)?;
        if let Some(path) = &settings.unix_path {
            place(settings, "unix_path", path)?;
        }
    }
    Ok(())
}

/// Whether a file can have this path.
fn place(settings: &Settings, key: &str, path: &Path) -> Result<(), Failure> {
    let whole = std::path::absolute(path)?;
    let refused = |what: String| Err(settings.blame(&[key], &what).into());
    match whole.parent() {
        Some(folder) if !folder.exists() => refused(format!("there is no folder {}", folder.display())),
        Some(folder) if !folder.is_dir() => refused(format!("{} is no folder", folder.display())),
        Some(_) if !whole.is_dir() => Ok(()),
        _ => refused(format!("{} is a folder; expected a file's path", whole.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_needs_a_folder_that_is_there_and_is_none_itself() {
        let judge = |path: &str| place(&Settings::default(), "pid_file", Path::new(path));
        assert!(judge("/new.pid").is_ok() && judge("new.pid").is_ok());
        let error = judge("/no/such/folder/a.pid").unwrap_err().to_string();
        assert_eq!(error, "pid_file: there is no folder /no/such/folder");
        assert_eq!(judge("/dev/null/a.pid").unwrap_err().to_string(), "pid_file: /dev/null is no folder");
        assert!(judge("/dev").is_err() && judge("/").is_err());
    }

    #[test]
    fn nowhere_to_listen_is_refused() {
        let deaf = Settings { unix_enable: false, net_enable: false, ..Settings::default() };
        assert!(sockets(&deaf).unwrap_err().to_string().contains("nowhere to listen"));
        assert!(sockets(&Settings { unix_enable: false, ..Settings::default() }).is_ok());
    }
}
