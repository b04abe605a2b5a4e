//! Descriptors that whoever started us has left us: `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`, systemd's way. They
//! are sockets that it listens on for us, and what a process before us has given it to keep
//! ([`Starter::keep`](super::Starter::keep)).

use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::{AtomicBool, Ordering};

/// One of them.
#[derive(Debug)]
pub struct Bequest {
    /// What it is called; several may be called the same.
    pub name: String,
    /// It; closed on exec.
    pub fd: OwnedFd,
}

impl Bequest {
    /// All that were left to this process, and not to whoever started it. To be called once, before the first descriptor
    /// of ours is opened; a second call finds none.
    ///
    /// # Errors
    /// What makes no sense, naming the variable; then none is taken.
    pub fn claim() -> io::Result<Vec<Bequest>> {
        let left = Left {
            fds: env::var_os("LISTEN_FDS"),
            pid: env::var_os("LISTEN_PID"),
            names: env::var_os("LISTEN_FDNAMES"),
        };
        let names = left.names(std::process::id())?;
        if names.is_empty() || CLAIMED.swap(true, Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        for (name, number) in names.iter().zip(FIRST..) {
            if !is_inherited(number) {
                return Err(wrong("LISTEN_FDS", format!("descriptor {number}, \"{name}\", is not open")));
            }
        }
        Ok(names.into_iter().zip(FIRST..).map(|(name, number)| Bequest { name, fd: take(number) }).collect())
    }
}

/// The variables.
struct Left {
    fds: Option<OsString>,
    pid: Option<OsString>,
    names: Option<OsString>,
}

impl Left {
    /// A name for each descriptor, in the order of their numbers; none if they are another's.
    fn names(self, own: u32) -> io::Result<Vec<String>> {
        let (Some(fds), Some(pid)) = (self.fds, self.pid) else { return Ok(Vec::new()) };
        let number = |text: &OsString| text.to_str().and_then(|text| text.parse::<u32>().ok());
        let pid = number(&pid).ok_or_else(|| wrong("LISTEN_PID", format!("expected a number, found {pid:?}")))?;
        if pid != own {
            return Ok(Vec::new());
        }
        let count = number(&fds).filter(|count| *count <= MOST);
        let count = count.ok_or_else(|| wrong("LISTEN_FDS", format!("expected 0 to {MOST}, found {fds:?}")))? as usize;
        let Some(names) = self.names else { return Ok(vec![UNNAMED.to_owned(); count]) };
        let text = String::from_utf8(names.into_vec()).map_err(|_| wrong("LISTEN_FDNAMES", "is not UTF-8"))?;
        let names: Vec<String> = text.split(':').filter(|_| count > 0).map(str::to_owned).collect();
        if names.len() != count {
            let what = format!("expected {count} names, as there are descriptors, found {}", names.len());
            return Err(wrong("LISTEN_FDNAMES", what));
        }
        Ok(names)
    }
}

fn wrong(variable: &str, what: impl Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{variable}: {what}"))
}

/// Whether the number came with exec. What this process has opened itself is closed on exec, as everything std, nix and
/// we open is.
fn is_inherited(number: RawFd) -> bool {
    // SAFETY: takes a number, gives one; a number that is no descriptor is an error.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC == 0
}

fn take(number: RawFd) -> OwnedFd {
    // SAFETY: two numbers, of a descriptor that is open.
    unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    // SAFETY: it was inherited for us to take, by the environment and by its flag, and it is taken once.
    unsafe { OwnedFd::from_raw_fd(number) }
}

static CLAIMED: AtomicBool = AtomicBool::new(false);
/// The protocol's.
const FIRST: RawFd = 3;
const UNNAMED: &str = "unknown";
/// More than systemd keeps for anybody.
const MOST: u32 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsRawFd, IntoRawFd};

    fn names(fds: &str, pid: &str, names: Option<&str>) -> io::Result<Vec<String>> {
        Left { fds: Some(fds.into()), pid: Some(pid.into()), names: names.map(Into::into) }.names(7)
    }

    #[test]
    fn each_descriptor_has_a_name_and_without_names_all_have_the_same() {
        assert_eq!(names("2", "7", Some("web:db")).unwrap(), ["web", "db"]);
        assert_eq!(names("2", "7", None).unwrap(), ["unknown", "unknown"]);
        assert!(names("0", "7", Some("")).unwrap().is_empty());
    }

    #[test]
    fn what_is_left_to_another_is_not_ours() {
        assert!(names("2", "8", Some("web:db")).unwrap().is_empty());
        assert!(Left { fds: Some("2".into()), pid: None, names: None }.names(7).unwrap().is_empty());
        assert!(Left { fds: None, pid: Some("7".into()), names: None }.names(7).unwrap().is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_the_variables_name() {
        for (fds, pid, given, said) in [
            ("x", "7", None, "LISTEN_FDS: expected 0 to 65536, found \"x\""),
            ("-1", "7", None, "LISTEN_FDS: expected"),
            ("99999999", "7", None, "LISTEN_FDS: expected"),
            ("1", "y", None, "LISTEN_PID: expected a number, found \"y\""),
            ("2", "7", Some("web"), "LISTEN_FDNAMES: expected 2 names, as there are descriptors, found 1"),
        ] {
            let error = names(fds, pid, given).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }

    #[test]
    fn only_what_came_with_exec_is_taken() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(!is_inherited(file.as_raw_fd()), "opened by this process");
        assert!(!is_inherited(-1));
        let inherited = nix::unistd::dup(&file).unwrap();
        assert!(is_inherited(inherited.as_raw_fd()));
        let taken = take(inherited.into_raw_fd());
        assert!(!is_inherited(taken.as_raw_fd()), "taken twice");
    }
}
