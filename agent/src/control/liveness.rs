//! Does a process still live? Not by its number alone: numbers are used again, and a dead child that nobody has reaped
//! still has one.

use crate::core::message::Peer;
use msf_wire::state;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::fs;
use std::io;

/// A process as it was when it logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// On another machine, or hidden from us: nothing can be said about it.
    Unknown,
    /// Its number and, where /proc tells, when it was born (clock ticks since boot).
    Local(i32, Option<u64>),
}

state! { enum Process { 0 Unknown, 1 Local(pid: i32, birth: Option<u64>) } }

impl Process {
    /// The process behind a connection.
    pub fn of(peer: &Peer) -> Process {
        match peer {
            Peer::Local { pid, .. } if *pid > 0 => Process::Local(*pid, born(*pid).ok().flatten()),
            _ => Process::Unknown,
        }
    }

    /// Whether it still lives; what is unknown does.
    pub fn lives(&self) -> bool {
        match self {
            Process::Unknown => true,
            // Not being able to look (no descriptor left, no memory) is no proof of death.
            Process::Local(pid, Some(birth)) => born(*pid).map_or_else(|_| has_number(*pid), |now| now == Some(*birth)),
            Process::Local(pid, None) => has_number(*pid),
        }
    }
}

/// Whether anybody has this process id, were it a zombie.
fn has_number(pid: i32) -> bool {
    !matches!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH))
}

/// When process `pid` was born; `None` when it is dead, a zombie, or not to be seen.
fn born(pid: i32) -> io::Result<Option<u64>> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => Ok(parse_birth(&stat)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // It died between the opening and the reading.
        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Field 22 of a stat line, unless field 3 says that the process is dead. Field 2, the name, may hold anything.
fn parse_birth(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if matches!(fields.next()?, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let line = |state| format!("7 (a) R (b) {state} 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 1");
        assert_eq!(parse_birth(&line("S")), Some(98765));
        assert_eq!(parse_birth(&line("Z")), None);
        assert_eq!(parse_birth("garbage"), None);
    }

    #[test]
    fn an_unreaped_child_is_dead() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let process = Process::of(&Peer::Local { pid: child.id() as i32, uid: 0 });
        assert!(process.lives());
        child.kill().unwrap();
        while process.lives() {
            std::thread::yield_now();
        }
        assert!(kill(Pid::from_raw(child.id() as i32), None).is_ok(), "its number is still there");
        child.wait().unwrap();
        assert!(!process.lives());
    }
}
