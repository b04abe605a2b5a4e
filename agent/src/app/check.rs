//! The settings against this machine: what cannot work here is said before anything is started. Start, reload and
//! `-k parse` ask here alone, so that none of them knows better than the others.

use super::{Failure, access, threads};
use msf_conf::agent::Settings;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Reads `files`, and looks whether this machine has what they ask for.
pub fn read(files: &[PathBuf]) -> Result<Settings, Failure> {
    let mut settings = Settings::read(files)?;
    sockets(&settings)?;
    if let Some(path) = &settings.pid_file {
        place(&settings, "pid_file", path)?;
    }
    if settings.nmid.listen.enable && settings.lists.admit_nobody() {
        let what = "white_list and black_list let nobody in; nmid_enable=false would close the port";
        settings.warnings.push(settings.blame(&["white_list", "black_list"], what));
    }
    // No error: one file serves machines with more and with fewer cores.
    for (core, why) in threads::missing_cores(&settings.cpu_affinity) {
        let what = format!("no thread can run on core {core} here ({why}); reactors meant for it are not pinned");
        settings.warnings.push(settings.blame(&["cpu_affinity"], &what));
    }
    Ok(settings)
}

fn sockets(settings: &Settings) -> Result<(), Failure> {
    let served = [settings.unix_enable, settings.net_enable, settings.nmid.listen.enable, settings.http.listen.enable];
    if served == [false; 4] {
        let what = "nowhere to listen: unix_enable, net_enable, nmid_enable and http_enable are all false";
        let keys = ["unix_enable", "net_enable", "net_enbale", "nmid_enable", "http_enable"];
        return Err(settings.blame(&keys, what).into());
    }
    apart(settings)?;
    if settings.unix_enable {
        access::rights(settings)?;
        if let Some(path) = &settings.unix_path {
            place(settings, "unix_path", path)?;
        }
    }
    Ok(())
}

/// Each port is for one protocol: two that cannot both be had are found here, with the names of their keys.
fn apart(settings: &Settings) -> Result<(), Failure> {
    let librpc = (settings.net_enable, "tcp_port", SocketAddr::new(settings.node_ip, settings.tcp_port));
    let others = [
        ("nmid_port", settings.nmid.listen),
        ("http_port", settings.http.listen),
        ("metrics_port", settings.metrics.listen),
    ];
    let others = others.map(|(key, endpoint)| (endpoint.enable, key, endpoint.address()));
    let all = [librpc].into_iter().chain(others).filter(|(enabled, ..)| *enabled).collect::<Vec<_>>();
    for (index, (_, key, place)) in all.iter().enumerate() {
        let taken = all.iter().take(index).find(|(_, _, other)| collide(*place, *other));
        if let Some((_, first, other)) = taken {
            let what = format!("{key} ({place}) and {first} ({other}) are the same port");
            return Err(settings.blame(&[first, key], &what).into());
        }
    }
    Ok(())
}

/// Whether two listeners would want the same port. Port 0 is another one each time; any address is all of them.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && (any || one.ip().to_canonical() == other.ip().to_canonical())
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

    fn parsed(text: &str) -> Settings {
        Settings::parse([(Path::new("a.conf"), text)].into_iter()).unwrap()
    }

    #[test]
    fn nowhere_to_listen_is_refused() {
        let deaf = sockets(&parsed("unix_enable=false\nnet_enable=false\n")).unwrap_err().to_string();
        assert!(deaf.starts_with("a.conf: net_enable: nowhere to listen"), "{deaf}");
        for one in ["net_enable=true", "nmid_enable=true", "http_enable=true"] {
            assert!(sockets(&parsed(&format!("unix_enable=false\nnet_enable=false\n{one}\n"))).is_ok(), "{one}");
        }
        // Numbers that count nothing.
        assert!(sockets(&parsed("unix_enable=false\nnet_enable=false\nmetrics_enable=true\n")).is_err());
    }

    #[test]
    fn two_listeners_on_one_port_are_refused_with_both_keys() {
        let refused = |text: &str| apart(&parsed(text)).err().map(|error| error.to_string());
        let said = "a.conf: nmid_port: nmid_port (127.0.0.1:9999) and tcp_port (127.0.0.1:9999) are the same port";
        assert_eq!(refused("nmid_port=9999").as_deref(), Some(said));
        let said = "a.conf: http_port: http_port (0.0.0.0:6808) and nmid_port (127.0.0.1:6808) are the same port";
        assert_eq!(refused("http_ip=NULL\nhttp_port=6808\n").as_deref(), Some(said));
        assert!(refused("nmid_port=0\nhttp_port=0\ntcp_port=0\nmetrics_port=0").is_none());
        assert!(refused("http_port=6808\nhttp_ip=127.0.0.2\n").is_none());
        assert!(refused("http_port=6808\nnmid_enable=false\n").is_none());
        assert!(refused("metrics_port=6809\n").is_some_and(|said| said.contains("http_port")));
    }
}
