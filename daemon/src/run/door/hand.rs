//! What somebody asks for by hand of single processes: to start, stop, start anew, or hear a signal.
//!
//! Who was stopped by hand stays so, also over a reload, until somebody starts him by hand.

use crate::face::conversation::{Reply, Then, Verdict};
use crate::face::json::json;
use crate::face::request::{Request, Verb};
use crate::law::life::Event;
use crate::run::driver::{Driver, Key, MODULE};
use crate::run::tell::audience::Goal;
use msf_conf::daemon::Way;
use msf_core::event::{Reactor, Token};
use msf_core::log;
use msf_core::log::Level;

impl Driver {
    /// Those of these names, each once; or who is not there.
    pub(in crate::run) fn named(&self, names: &[String]) -> Result<Vec<Key>, Reply> {
        let mut keys = Vec::with_capacity(names.len());
        let mut strangers = String::new();
        for name in names {
            match self.roll.named(name) {
                Some(key) if keys.contains(&key) => {}
                Some(key) => keys.push(key),
                None => strangers += &format!("no process is called \"{name}\"\n"),
            }
        }
        if strangers.is_empty() { Ok(keys) } else { Err(Reply { verdict: Verdict::Unknown, text: strangers }) }
    }

    /// Does it, and answers when it is done.
    pub(in crate::run) fn carry_out_by_hand(&mut self, reactor: &mut Reactor, token: Token, request: &Request) {
        let keys = match self.named(&request.names) {
            Ok(keys) => keys,
            Err(reply) => return self.reply(reactor, token, &reply, Then::End),
        };
        let goal = match request.verb {
            Verb::Wait if request.down => Goal::Down,
            Verb::Wait => Goal::Ready,
            Verb::Stop => Goal::Stopped,
            Verb::Upgrade => Goal::Upgraded { json: request.json },
            _ => Goal::Started,
        };
        if request.verb != Verb::Wait {
            let anew: Vec<Key> =
                keys.iter().copied().filter(|key| self.is_upgraded_by_restart(*key, request)).collect();
            let objection = self.objection(request.verb, &keys);
            if let Some(reply) = objection.or_else(|| self.objection_to_upgrade(request, &keys, &anew)) {
                return self.reply(reactor, token, &reply, Then::End);
            }
            let (anew, others): (Vec<Key>, Vec<Key>) = keys.iter().partition(|key| anew.contains(*key));
            for key in &anew {
                if let Some(service) = self.roll.get_mut(*key) {
                    service.succession.outcome = None;
                }
            }
            self.set_going(reactor, Verb::Restart, &anew);
            match request.verb {
                Verb::Upgrade => others.iter().for_each(|key| self.upgrade(reactor, *key, request.drain, None)),
                verb => self.set_going(reactor, verb, &others),
            }
        }
        if request.no_wait {
            return self.reply(reactor, token, &Reply::done(""), Then::End);
        }
        self.wait_until(reactor, token, goal, keys, request.timeout);
    }

    fn objection(&self, verb: Verb, keys: &[Key]) -> Option<Reply> {
        if self.stopping {
            return Some(Reply::failed("everything is being stopped\n"));
        }
        let mut services = keys.iter().filter_map(|key| self.roll.get(*key));
        let gone = services.find(|service| service.dismissed && verb != Verb::Stop)?;
        Some(Reply::failed(format!("{}: no longer in the configuration\n", gone.name())))
    }

    /// Whether somebody who is to be upgraded is stopped and started instead.
    fn is_upgraded_by_restart(&self, key: Key, request: &Request) -> bool {
        let Some(service) = self.roll.get(key).filter(|_| request.verb == Verb::Upgrade) else { return false };
        let way = service.entry.upgrade.way;
        way == Way::Restart || request.restart && (way == Way::None || service.succession.from.is_none())
    }

    /// Of several all must be able to, or nothing is done.
    fn objection_to_upgrade(&self, request: &Request, keys: &[Key], anew: &[Key]) -> Option<Reply> {
        if request.verb != Verb::Upgrade {
            return None;
        }
        let others = keys.iter().filter(|key| !anew.contains(key)).filter_map(|key| self.roll.get(*key));
        let text: String = others
            .filter_map(|service| Some((service.name(), service.objection_to_upgrade()?)))
            .map(|(name, why)| match request.json {
                true => format!("{}\n", json!({"name": name, "upgraded": false, "error": why})),
                false => format!("{name}: {why}\n"),
            })
            .collect();
        (!text.is_empty()).then(|| Reply::failed(text))
    }

    fn set_going(&mut self, reactor: &mut Reactor, verb: Verb, keys: &[Key]) {
        for key in keys {
            let Some(service) = self.roll.get(*key) else { continue };
            let word = match verb {
                Verb::Stop => "stop",
                Verb::Restart => "restart",
                _ => "start",
            };
            log!(Level::Info, MODULE, "{}: {word} asked for by hand", service.name());
        }
        match verb {
            Verb::Stop => {
                self.stopped_by_hand(keys, true);
                self.want_down(reactor, keys);
            }
            Verb::Restart => {
                self.stopped_by_hand(keys, false);
                for key in keys {
                    self.feed(reactor, *key, Event::Restart);
                }
            }
            _ => {
                let required: Vec<Key> = keys.iter().flat_map(|key| self.roll.graph.required_by(*key)).collect();
                self.stopped_by_hand(&required, false);
                self.stopped_by_hand(keys, false);
                self.want_up(reactor, keys);
            }
        }
    }

    fn stopped_by_hand(&mut self, keys: &[Key], stopped: bool) {
        for key in keys {
            if let Some(service) = self.roll.get_mut(*key) {
                service.stopped_by_hand = stopped;
                service.leaving = stopped;
                service.touched = true;
            }
            // A daemon after this one has to know.
            self.remember(*key);
        }
    }

    /// Sends a signal to the processes themselves, not to what they have started.
    pub(in crate::run) fn signal(&mut self, names: &[String], number: i32) -> Reply {
        let keys = match self.named(names) {
            Ok(keys) => keys,
            Err(reply) => return reply,
        };
        let (mut verdict, mut text) = (Verdict::Done, String::new());
        for service in keys.iter().filter_map(|key| self.roll.get(*key)) {
            let name = service.name();
            let sent = match &service.running {
                Some(running) => running.child.signal(number).map(|()| running.child.pid()).map_err(|e| e.to_string()),
                None => Err(format!("does not run; it is {}", service.life.phase.word())),
            };
            match sent {
                Ok(pid) => {
                    log!(Level::Info, MODULE, "{name}: signal {number} sent to pid {pid}, asked for by hand");
                    text += &format!("{name}: sent to pid {pid}\n");
                }
                Err(why) => {
                    verdict = Verdict::Failed;
                    text += &format!("{name}: {why}\n");
                }
            }
        }
        Reply { verdict, text }
    }
}
