//! A service says that another process is its main one from now on (`MAINPID=`): one that puts itself into the background, or
//! that has started its own successor.
//!
//! It must be the service's own: of the process group of the one before, one of its descendants, or, when whoever was in between
//! has ended, marked as started by us for this service. Anything else is refused: a service could have a stranger killed.

use super::kin::Kin;
use super::mark::mark_of;
use crate::run::driver::{Driver, Key, MODULE, Watched};
use crate::run::service::Service;
use msf_core::event::Reactor;
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::{Birth, Foster};
use nix::unistd::{Pid, getpgid};
use std::fs;

impl Driver {
    /// The process says that `pid` is the one.
    pub(in crate::run) fn follow_main(&mut self, reactor: &mut Reactor, key: Key, pid: i32) {
        let Some(service) = self.roll.get(key) else { return };
        let Some(before) = service.pid() else { return };
        // An heir takes its place when it is ready, whatever the old one says of it.
        if pid == before || service.heir_pid() == Some(pid) {
            return;
        }
        let name = service.name().to_owned();
        if let Some(why) = service.objection_to(pid, before) {
            return log!(Level::Warn, MODULE, "{name}: MAINPID={pid} is refused: {why}");
        }
        let foster = match Birth::of(pid).and_then(Foster::adopt) {
            Ok(Some(foster)) => foster,
            Ok(None) => return log!(Level::Warn, MODULE, "{name}: MAINPID={pid} is refused: it has ended"),
            Err(e) => return log!(Level::Warn, MODULE, "{name}: MAINPID={pid} is refused: {e}"),
        };
        log!(Level::Info, MODULE, "{name}: its main process is pid {pid} from now on, no longer pid {before}");
        let running = self.watch_kin(reactor, Kin::Foster(foster), Watched::Process(key));
        let is_unwatched = running.token.is_none();
        let Some(service) = self.roll.get_mut(key) else { return };
        service.last_pid = Some(pid);
        if let Some(before) = service.running.replace(running) {
            self.see_off(reactor, key, before, false);
        }
        self.remember(key);
        if is_unwatched {
            self.look_after(reactor, key);
        }
    }
}

impl Service {
    fn objection_to(&self, pid: i32, before: i32) -> Option<String> {
        let group = getpgid(Some(Pid::from_raw(pid)));
        let Ok(group) = group else { return Some("there is no such process".to_owned()) };
        let is_ours = group.as_raw() == before
            || is_descendant(pid, before)
            || mark_of(pid).is_some_and(|mark| mark == self.mark);
        (!is_ours).then(|| format!("it is neither a descendant of pid {before} nor of its process group"))
    }
}

fn is_descendant(pid: i32, of: i32) -> bool {
    let mut pid = pid;
    for _ in 0..MOST_GENERATIONS {
        match parent(pid) {
            Some(parent) if parent == of => return true,
            Some(parent) if parent > 1 => pid = parent,
            _ => return false,
        }
    }
    false
}

fn parent(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

const MOST_GENERATIONS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_descends_from_whom_is_what_the_kernel_says() {
        let own = std::process::id() as i32;
        let parent = parent(own).unwrap();
        assert!(is_descendant(own, parent));
        assert!(!is_descendant(parent, own) && !is_descendant(i32::MAX, own));
    }
}
