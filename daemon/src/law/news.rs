//! What a process says about itself: the lines of sd_notify's datagrams. Pure.

use std::path::PathBuf;
use std::time::Duration;

/// One line that means something to us; lines that do not are passed over, as systemd does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// `READY=1`.
    Ready,
    /// `RELOADING=1`.
    Reloading,
    /// `STOPPING=1`.
    Stopping,
    /// `STATUS=…`: one line for people.
    Status(String),
    /// `ERRNO=…`.
    Errno(i32),
    /// `MAINPID=…`.
    MainPid(i32),
    /// `WATCHDOG=1`: it is alive.
    Alive,
    /// `WATCHDOG=trigger`: it says itself that it is ill.
    Ill,
    /// `WATCHDOG_USEC=…`: how often it will say so from now on.
    AliveEvery(Duration),
    /// `EXTEND_TIMEOUT_USEC=…`: it needs that much longer from now.
    Extend(Duration),
    /// `FDSTORE=1`: keep the descriptors that came with it.
    Store,
    /// `FDSTOREREMOVE=1`: forget those of this name.
    Unstore,
    /// `FDNAME=…`.
    FdName(String),
    /// `FDPOLL=0`: keep them even when their other end is gone.
    NoPoll,
    /// `MSF_CRASH=…`: it is crashing, by this signal.
    Crash(i32),
    /// `MSF_CRASH_ADDRESS=…`: there.
    CrashAddress(String),
    /// `MSF_CRASH_TRACE=…`: called from there.
    CrashTrace(String),
    /// `MSF_TROUBLE=…`: what is wrong inside of it; nothing, if that is empty.
    Trouble(String),
    /// `MSF_UPGRADE=1`, `MSF_UPGRADE=drain`: it wants to be upgraded, and in the second case may keep its connections if
    /// they cannot pass.
    Upgrade {
        /// The second case.
        drain: bool,
    },
    /// `MSF_UPGRADE_FROM=…`: there a successor finds it.
    UpgradeFrom(PathBuf),
    /// `BARRIER=1`: close the descriptor that came with it.
    Barrier,
}

/// Everything a datagram says, in its order.
pub fn news(datagram: &[u8]) -> Vec<News> {
    let text = String::from_utf8_lossy(datagram);
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<News> {
    let (key, value) = line.split_once('=')?;
    let micros = || value.parse().ok().map(Duration::from_micros);
    Some(match (key, value) {
        ("READY", "1") => News::Ready,
        ("RELOADING", "1") => News::Reloading,
        ("STOPPING", "1") => News::Stopping,
        ("STATUS", text) => News::Status(text.chars().map(visible).take(LONGEST_STATUS).collect()),
        ("ERRNO", number) => News::Errno(number.parse().ok()?),
        ("MAINPID", number) => News::MainPid(number.parse().ok().filter(|pid| *pid > 1)?),
        ("WATCHDOG", "1") => News::Alive,
        ("WATCHDOG", "trigger") => News::Ill,
        ("WATCHDOG_USEC", _) => News::AliveEvery(micros().filter(|every| !every.is_zero())?),
        ("EXTEND_TIMEOUT_USEC", _) => News::Extend(micros()?.min(LONGEST_EXTENSION)),
        ("FDSTORE", "1") => News::Store,
        ("FDSTOREREMOVE", "1") => News::Unstore,
        ("FDNAME", name) if is_fd_name(name) => News::FdName(name.to_owned()),
        ("FDPOLL", "0") => News::NoPoll,
        ("MSF_CRASH", signal) => News::Crash(signal.parse().ok().filter(|signal| (1..=64).contains(signal))?),
        ("MSF_CRASH_ADDRESS", text) => News::CrashAddress(text.chars().map(visible).take(LONGEST_STATUS).collect()),
        ("MSF_CRASH_TRACE", text) => News::CrashTrace(text.chars().map(visible).collect()),
        ("MSF_TROUBLE", text) => News::Trouble(text.chars().map(visible).take(LONGEST_TROUBLE).collect()),
        ("MSF_UPGRADE", "1") => News::Upgrade { drain: false },
        ("MSF_UPGRADE", "drain") => News::Upgrade { drain: true },
        ("MSF_UPGRADE_FROM", path) if is_place(path) => News::UpgradeFrom(PathBuf::from(path)),
        ("BARRIER", "1") => News::Barrier,
        _ => return None,
    })
}

/// It is shown in a table and in a log.
fn visible(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// As systemd has it: up to 255 visible ASCII characters without a colon, which separates names in `LISTEN_FDNAMES`.
fn is_fd_name(name: &str) -> bool {
    (1..=255).contains(&name.len()) && name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b':')
}

/// It is handed on in an environment, and written into a line of the state file.
fn is_place(path: &str) -> bool {
    path.starts_with('/') && path.len() <= LONGEST_PLACE && !path.chars().any(char::is_control)
}

/// More than a socket's path can have.
const LONGEST_PLACE: usize = 255;
const LONGEST_STATUS: usize = 256;
const LONGEST_TROUBLE: usize = 1000;
const LONGEST_EXTENSION: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_read_and_the_rest_is_passed_over() {
        let all = news(
            b"READY=1\nSTATUS=half a\tway\nX_OURS=1\nnonsense\n=\nMAINPID=77\nWATCHDOG=1\nFDSTORE=1\nFDNAME=a b\n",
        );
        let status = News::Status("half a way".to_owned());
        let name = News::FdName("a b".to_owned());
        assert_eq!(all, [News::Ready, status, News::MainPid(77), News::Alive, News::Store, name]);
        assert_eq!(news(b"MSF_UPGRADE=drain"), [News::Upgrade { drain: true }]);
        assert_eq!(news(b"MSF_UPGRADE_FROM=/a b"), [News::UpgradeFrom(PathBuf::from("/a b"))]);
        assert_eq!(news(b"EXTEND_TIMEOUT_USEC=1500000"), [News::Extend(Duration::from_millis(1500))]);
    }

    #[test]
    fn what_makes_no_sense_is_nothing() {
        let bad: &[&[u8]] = &[
            b"READY=0",
            b"MAINPID=0",
            b"MAINPID=-1",
            b"MAINPID=99999999999",
            b"WATCHDOG_USEC=0",
            b"FDNAME=",
            b"FDNAME=a:b",
            b"",
            b"\xff\xfe",
            b"EXTEND_TIMEOUT_USEC=x",
            b"MSF_UPGRADE=2",
            b"MSF_UPGRADE_FROM=",
            b"MSF_UPGRADE_FROM=a.sock",
            b"MSF_UPGRADE_FROM=/a\x01",
        ];
        for datagram in bad {
            assert_eq!(news(datagram), [], "{datagram:?}");
        }
        assert_eq!(news(b"EXTEND_TIMEOUT_USEC=18446744073709551615"), [News::Extend(LONGEST_EXTENSION)]);
    }
}
