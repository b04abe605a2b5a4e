//! Where the agent may be.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// An agent's address, as a list of places to try where it has several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Unix sockets, best first; the first that answers is the agent's.
    Local(Vec<PathBuf>),
    /// A TCP port.
    Remote {
        /// Name or address; an IPv6 address may stand in brackets.
        host: String,
        /// The port.
        port: u16,
    },
}

impl Place {
    /// The agent of this machine: `MSF_AGENT_SOCK` if it is set, else `msf_agent.sock` in `MSF_RUN_DIR` if that is
    /// set, else in each of the usual run directories, and last the original's `/var/msf_agent.sock`.
    ///
    /// `variable` reads the environment: `std::env::var_os`, or for a program that runs with more rights than who started
    /// it (setuid, file capabilities) what does not believe it, as `secure_getenv`: whoever starts such a program would
    /// say who the agent is.
    #[must_use]
    pub fn local(variable: impl Fn(&'static str) -> Option<OsString>) -> Self {
        Self::Local(candidates(variable, own_uid()))
    }

    /// What the original's `host` and `port` strings mean: a loopback address is the unix socket. `None` when the port
    /// of a remote place is not a number from 1 to 65535. `variable` as for [`Place::local`].
    #[must_use]
    pub fn of(host: &str, port: &str, variable: impl Fn(&'static str) -> Option<OsString>) -> Option<Self> {
        if host.starts_with("127.0") || host == "[::1]" || host == "::1" {
            return Some(Self::local(variable));
        }
        let port = port.trim().parse().ok().filter(|port| *port > 0)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        (!bare.is_empty()).then(|| Self::Remote { host: bare.to_owned(), port })
    }
}

/// Whether a socket may be connected to now. Anybody may have made our folder in `/tmp`; a socket in somebody else's is a
/// trap.
#[must_use]
pub fn trusted(socket: &Path) -> bool {
    match (socket.parent(), own_uid()) {
        (Some(folder), Some(uid)) if folder == own_folder(uid) => owned_by(folder, uid),
        _ => true,
    }
}

fn candidates(variable: impl Fn(&'static str) -> Option<OsString>, uid: Option<u32>) -> Vec<PathBuf> {
    let named = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(socket) = named("MSF_AGENT_SOCK") {
        return vec![socket];
    }
    if let Some(folder) = named("MSF_RUN_DIR") {
        return vec![folder.join(SOCKET)];
    }
    let mut folders = vec![PathBuf::from("/run/msf")];
    folders.extend(named("XDG_RUNTIME_DIR").map(|folder| folder.join("msf")));
    folders.extend(uid.map(own_folder));
    let mut sockets: Vec<PathBuf> = folders.into_iter().map(|folder| folder.join(SOCKET)).collect();
    sockets.push(PathBuf::from("/var/msf_agent.sock"));
    sockets
}

/// The place of who has no better one, in a folder where everybody may write.
fn own_folder(uid: u32) -> PathBuf {
    PathBuf::from(format!("/tmp/msf-{uid}"))
}

fn owned_by(folder: &Path, uid: u32) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir() && found.uid() == uid)
}

/// The kernel shows a process's folder as owned by its effective user.
fn own_uid() -> Option<u32> {
    fs::metadata("/proc/self").map(|found| found.uid()).ok()
}

const SOCKET: &str = "msf_agent.sock";

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &'static [(&'static str, &'static str)]) -> Vec<PathBuf> {
        let look = |name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        candidates(look, Some(4_000_000_000))
    }

    #[test]
    fn a_named_socket_is_the_only_candidate() {
        assert_eq!(with(&[("MSF_AGENT_SOCK", "/a/b"), ("MSF_RUN_DIR", "/r")]), [PathBuf::from("/a/b")]);
    }

    #[test]
    fn a_named_run_directory_is_the_only_one() {
        assert_eq!(with(&[("MSF_RUN_DIR", "/r"), ("MSF_AGENT_SOCK", "")]), [PathBuf::from("/r/msf_agent.sock")]);
    }

    #[test]
    fn without_names_the_usual_places_are_tried_in_order() {
        let expected = [
            "/run/msf/msf_agent.sock",
            "/x/msf/msf_agent.sock",
            "/tmp/msf-4000000000/msf_agent.sock",
            "/var/msf_agent.sock",
        ];
        assert_eq!(with(&[("XDG_RUNTIME_DIR", "/x")]), expected.map(PathBuf::from));
    }

    #[test]
    fn a_folder_of_somebody_else_is_not_trusted() {
        assert!(!owned_by(Path::new("/proc"), 4_000_000_000));
        assert!(!owned_by(Path::new("/no/such/folder"), 4_000_000_000));
        assert!(trusted(Path::new("/run/msf/msf_agent.sock")));
    }

    #[test]
    fn regress_who_does_not_believe_the_environment_is_not_led_by_it() {
        let usual = Place::Local(candidates(|_| None, own_uid()));
        assert_eq!(Place::local(|_| None), usual);
        assert_eq!(Place::of("::1", "", |_| None), Some(usual));
        let named = |name| (name == "MSF_AGENT_SOCK").then(|| OsString::from("/a/b"));
        assert_eq!(Place::of("::1", "", named), Some(Place::Local(vec!["/a/b".into()])));
    }

    #[test]
    fn loopback_means_the_unix_socket_and_anything_else_tcp() {
        for host in ["127.0.0.1", "127.0.1.1", "[::1]", "::1"] {
            assert!(matches!(Place::of(host, "not looked at", |_| None), Some(Place::Local(_))), "{host}");
        }
        assert_eq!(
            Place::of("10.0.0.7", "9999", |_| None),
            Some(Place::Remote { host: "10.0.0.7".into(), port: 9999 })
        );
        assert_eq!(Place::of("[fe80::1]", "1", |_| None), Some(Place::Remote { host: "fe80::1".into(), port: 1 }));
    }

    #[test]
    fn a_remote_place_needs_a_port() {
        for port in ["", "0", "65536", "http", "-1"] {
            assert_eq!(Place::of("10.0.0.7", port, |_| None), None, "{port}");
        }
    }
}
