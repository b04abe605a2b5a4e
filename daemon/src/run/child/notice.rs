//! The notice board: the socket that `NOTIFY_SOCKET` names, on which processes say how they are (sd_notify).
//!
//! One socket for all; who has sent a datagram is what the kernel says. It belongs to a service when the sender is its
//! process, or one of its process group.

use super::mark::mark_of;
use super::ready::Readying;
use crate::law::alarm::Kind;
use crate::law::life::Phase;
use crate::law::news::{News, news};
use crate::run::driver::{Driver, Due, Key, MODULE, Watched};
use crate::run::remedy::Trouble;
use msf_core::event::{Interest, Reactor, Token};
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::{Notice, Notices};
use nix::unistd::{Pid, getpgid};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The socket; its file goes when it is dropped.
#[derive(Debug)]
pub struct Noticeboard {
    path: PathBuf,
    notices: Notices,
    /// There is more than was read at a time, and a timer runs for it.
    has_more: bool,
    /// The last one who is nobody's of whom the log has heard, and when.
    stranger: (i32, Instant),
}

impl Noticeboard {
    /// In the run directory. Without it only those who need it cannot be started.
    pub fn new(run_dir: &Path) -> Option<Noticeboard> {
        let path = std::path::absolute(run_dir.join(SOCKET)).ok()?;
        match Notices::listen(&path) {
            Ok(notices) => Some(Noticeboard { path, notices, has_more: false, stranger: (0, Instant::now()) }),
            Err(e) => {
                log!(Level::Error, MODULE, "processes cannot tell how they are: {e}");
                None
            }
        }
    }

    /// What `NOTIFY_SOCKET` says.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins to watch it under `token`.
    pub fn watch(&self, reactor: &Reactor, token: Token) -> std::io::Result<()> {
        reactor.watch(&self.notices, token, Interest::READ)
    }
}

impl Driver {
    /// Begins to listen.
    pub(in crate::run) fn open_board(&mut self, reactor: &Reactor) {
        let Some(board) = &self.notices else { return };
        let watched = self.watched.insert(Watched::Notices).map(|token| board.watch(reactor, token));
        if !matches!(watched, Some(Ok(()))) {
            log!(Level::Error, MODULE, "cannot listen to what processes tell");
        }
    }

    /// Datagrams have come. Whoever sends them faster than they are read does not keep others from their turn.
    pub(in crate::run) fn heard(&mut self, reactor: &mut Reactor) {
        for _ in 0..AT_A_TIME {
            let Some(board) = &self.notices else { return };
            let notice = match board.notices.next() {
                Ok(Some(notice)) => notice,
                Ok(None) => return,
                Err(e) => return log!(Level::Error, MODULE, "cannot hear what processes tell: {e}"),
            };
            if self.is_corpse(notice.pid) {
                self.hear_corpse(&notice);
                continue;
            }
            match self.sender(notice.pid) {
                Some((key, Role::Process)) => self.noticed(reactor, key, notice),
                Some((key, Role::Heir)) => self.heir_noticed(reactor, key, &notice),
                // What it has to say is its successor's business.
                None if self.is_leaver(notice.pid) => {}
                None => self.heard_stranger(notice.pid),
            }
        }
        // The kernel has told of these, and tells again only of what comes anew.
        if self.notices.as_ref().is_some_and(|board| !board.has_more) {
            let timer = self.arm(reactor, Duration::ZERO, Due::Notices);
            self.notices.iter_mut().for_each(|board| board.has_more = timer.is_some());
        }
    }

    /// What was left is heard.
    pub(in crate::run) fn hear_more(&mut self, reactor: &mut Reactor) {
        self.notices.iter_mut().for_each(|board| board.has_more = false);
        self.heard(reactor);
    }

    /// Once for each, and not too often: everybody reaches the socket, and the log is not for everybody.
    fn heard_stranger(&mut self, pid: i32) {
        let Some(board) = &mut self.notices else { return };
        let (last, at) = board.stranger;
        if last == 0 || last != pid && at.elapsed() > BETWEEN_STRANGERS {
            board.stranger = (pid, Instant::now());
            log!(Level::Warn, MODULE, "pid {pid} is no process of ours; what it tells is not heard");
        }
    }

    fn sender(&self, pid: i32) -> Option<(Key, Role)> {
        let of = |pid: i32| {
            let key = self.roll.find(|service| service.pid() == Some(pid) || service.heir_pid() == Some(pid))?;
            let is_heir = self.roll.get(key)?.heir_pid() == Some(pid);
            Some((key, if is_heir { Role::Heir } else { Role::Process }))
        };
        // Services lead process groups of their own.
        let by_group = || of(getpgid(Some(Pid::from_raw(pid))).ok()?.as_raw());
        // One that has put itself into the background is in a group of its own.
        let by_mark = || {
            let mark = mark_of(pid)?;
            Some((self.roll.find(|service| service.mark == mark && service.running.is_some())?, Role::Process))
        };
        of(pid).or_else(by_group).or_else(by_mark)
    }

    /// What a process says of what it is made of.
    fn troubled(&mut self, reactor: &mut Reactor, key: Key, text: String) {
        let kind = Kind::Inside;
        match text.is_empty() {
            false => self.warn(reactor, key, &Trouble { kind, text }),
            true if self.alarms.has(key, kind) => {
                self.recovered(reactor, key, Trouble { kind, text: "all in it is well again".to_owned() });
            }
            true => {}
        }
    }

    /// What a process tells that is to take the place of another.
    fn heir_noticed(&mut self, reactor: &mut Reactor, key: Key, notice: &Notice) {
        let Some(pid) = self.roll.get(key).and_then(crate::run::service::Service::heir_pid) else { return };
        for news in news(&notice.text) {
            match news {
                News::Ready => self.is_ready(reactor, key),
                News::UpgradeFrom(path) => self.can_hand_over(key, pid, &path),
                News::Status(text) => {
                    let heir = self.roll.get_mut(key).and_then(|service| service.heir.as_mut());
                    heir.into_iter().for_each(|heir| heir.says = Some(text.clone()));
                }
                News::Ill => return self.heir_fails(reactor, key, "the new process says that it is ill"),
                // It is nobody yet.
                _ => {}
            }
        }
    }

    /// What a process tells that counts as dead already.
    fn hear_corpse(&mut self, notice: &Notice) {
        for news in news(&notice.text) {
            if let News::CrashTrace(trace) = news {
                self.crash_traced(notice.pid, &trace);
            }
        }
    }

    fn noticed(&mut self, reactor: &mut Reactor, key: Key, mut notice: Notice) {
        let all = news(&notice.text);
        if let Some(signal) =
            all.iter().find_map(|news| if let News::Crash(signal) = news { Some(*signal) } else { None })
        {
            let address =
                all.into_iter().find_map(|news| if let News::CrashAddress(text) = news { Some(text) } else { None });
            return self.crash_begun(reactor, key, notice.pid, Some(signal), address.unwrap_or_default());
        }
        let name = all.iter().find_map(|news| if let News::FdName(name) = news { Some(name.clone()) } else { None });
        for news in all {
            let Some(service) = self.roll.get_mut(key) else { return };
            let phase = service.life.phase;
            match news {
                // Who has a pipe may say it here as well; of who is probed it is the probe that counts.
                News::Ready if matches!(service.readying, Some(Readying::Notice | Readying::Pipe { .. })) => {
                    self.is_ready(reactor, key);
                }
                News::Store => {
                    let name = name.clone();
                    self.store(key, name.as_deref(), std::mem::take(&mut notice.fds));
                }
                News::Unstore => name.iter().for_each(|name| self.unstore(key, name)),
                News::MainPid(pid) => self.follow_main(reactor, key, pid),
                News::UpgradeFrom(path) => self.can_hand_over(key, notice.pid, &path),
                News::Upgrade { drain } => self.asks_for_upgrade(reactor, key, drain, notice.fds.pop()),
                News::Status(text) => service.says = Some(text).filter(|text| !text.is_empty()),
                News::Alive => self.beaten(key),
                News::AliveEvery(every) => self.beats_every(reactor, key, every),
                News::Trouble(text) => self.troubled(reactor, key, text),
                News::Ill => self.called_in_sick(reactor, key),
                News::Extend(longer) if matches!(phase, Phase::Starting | Phase::Stopping(_)) => {
                    self.arm_phase(reactor, key, longer);
                }
                // Told, and nothing hangs on it here.
                _ => {}
            }
        }
    }
}

/// What a process is to its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Its process.
    Process,
    /// Who is to take its place.
    Heir,
}

const SOCKET: &str = "msf_daemon.notify";
/// More than the kernel lets wait (`net.unix.max_dgram_qlen`, 512 or less): what the dead have said is heard in one go.
const AT_A_TIME: usize = 1024;
const BETWEEN_STRANGERS: Duration = Duration::from_secs(1);
