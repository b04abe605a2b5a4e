//! Starting one process: what it is given, where it writes to, and how its end is learned.

use super::kin::Kin;
use super::mark::MARK;
use super::ready::{FIRST, Gift, Readying};
use super::surroundings::Unstartable;
use crate::law::life::Event;
use crate::run::driver::{Driver, Key, MODULE, Watched};
use crate::run::service::{End, Running};
use msf_core::event::{Interest, Reactor};
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::Child;
use std::time::Instant;

impl Driver {
    /// Starts a process; what came of it.
    pub(in crate::run) fn spawn(&mut self, reactor: &mut Reactor, key: Key) -> Vec<Event> {
        match self.start_process(reactor, key) {
            Ok(child) => {
                self.watch_end(reactor, key, Kin::Own(child));
                let ready = self.await_readiness(reactor, key);
                if !ready {
                    // Else it is up in a moment, and is written down then.
                    self.remember(key);
                }
                let ready = ready.then(|| Event::Ready(Instant::now()));
                [Event::Spawned].into_iter().chain(ready).collect()
            }
            Err(reason) => {
                let Some(service) = self.roll.get_mut(key) else { return Vec::new() };
                log!(Level::Error, MODULE, "{}: not started: {reason}", service.name());
                service.last = Some((End::Unstartable(reason), Instant::now()));
                vec![Event::Unstartable { chance: self.chance.draw() }]
            }
        }
    }

    fn start_process(&mut self, reactor: &mut Reactor, key: Key) -> Result<Child, Unstartable> {
        let mark = self.chance.mark();
        if let Some(service) = self.roll.get_mut(key) {
            service.mark.clone_from(&mark);
        }
        // Before there is anything to be found.
        self.remember(key);
        let outputs = self.capture(reactor, key);
        // The phase that asked for it belongs to a service that is there.
        self.open_sockets(key)?;
        let free = FIRST + self.count_kept(key);
        let service = self.roll.get_mut(key).ok_or(Unstartable::Gone)?;
        let (readying, mut gift) =
            Readying::prepare(&service.entry.ready, self.notices.as_ref(), free).map_err(Unstartable::Readiness)?;
        gift.outputs = outputs;
        let child = self.launch(key, &mark, gift)?;
        let service = self.roll.get_mut(key).ok_or(Unstartable::Gone)?;
        service.readying = readying;
        service.says = None;
        service.succession.forget_place();
        service.last_pid = Some(child.pid());
        log!(Level::Info, MODULE, "{}: started, pid {}", service.name(), child.pid());
        Ok(child)
    }

    /// Starts the program of a service with a gift, and with what everyone is given.
    pub(in crate::run) fn launch(&mut self, key: Key, mark: &str, mut gift: Gift) -> Result<Child, Unstartable> {
        self.give_kept(key, &mut gift).map_err(Unstartable::Readiness)?;
        let service = self.roll.get(key).ok_or(Unstartable::Gone)?;
        if let Some(board) = &self.notices {
            gift.env.push(("MSF_CRASH_SOCKET".into(), board.path().into()));
            gift.env.push(("MSF_UPGRADE_ASK".into(), board.path().into()));
        }
        gift.hears_heartbeats(service.entry.health.as_deref(), self.notices.as_ref())
            .map_err(Unstartable::Readiness)?;
        gift.env.push((MARK.into(), mark.into()));
        gift.cgroup = self.groups.of(&service.entry.name, &service.entry.launch.cgroup);
        self.surroundings.start(&service.entry.launch, gift)
    }

    /// Through its pidfd where the kernel has one; else SIGCHLD tells.
    pub(in crate::run) fn watch_end(&mut self, reactor: &mut Reactor, key: Key, child: Kin) {
        let mut token = self.watched.insert(Watched::Process(key)).filter(|_| child.pidfd().is_some());
        let Some(service) = self.roll.get_mut(key) else { return };
        if let (Some(watch), Some(pidfd)) = (token, child.pidfd())
            && let Err(e) = reactor.watch(pidfd, watch, Interest::READ)
        {
            log!(Level::Warn, MODULE, "{}: its end will be learned by SIGCHLD only: {e}", service.name());
            self.watched.remove(watch);
            token = None;
        }
        let birth = child.birth();
        let unwatched = token.is_none() && matches!(child, Kin::Foster(_));
        service.running = Some(Running { child, birth, token });
        if unwatched {
            self.look_after(reactor, key);
        }
    }
}
