//! Who talks to us on the control socket, and what he is answered.

use crate::face::conversation::{Conversation, Next, Reply, Then, Verdict};
use crate::face::request::{Request, Verb};
use crate::face::status::{Row, Status};
use crate::run::driver::{Driver, Key, MODULE, Watched};
use crate::run::service::Service;
use msf_core::event::{Reactor, Token};
use msf_core::log;
use msf_core::log::Level;
use std::time::Instant;

impl Driver {
    /// Somebody knocks.
    pub(in crate::run) fn accept(&mut self, reactor: &mut Reactor) {
        self.unheard = false;
        loop {
            match self.control.accept() {
                Ok(Some(conversation)) => self.admit(reactor, conversation),
                Ok(None) => return,
                Err(_) if self.break_off_the_oldest(reactor, 0) => {}
                Err(e) => {
                    if !self.unheard {
                        log!(Level::Error, MODULE, "cannot accept on the control socket: {e}");
                    }
                    return self.unheard = true;
                }
            }
        }
    }

    fn admit(&mut self, reactor: &mut Reactor, conversation: Conversation) {
        match conversation.stranger() {
            Ok(None) => {}
            Ok(Some(uid)) => return log!(Level::Warn, MODULE, "control: user {uid} is not heard"),
            Err(e) => return log!(Level::Warn, MODULE, "control: cannot learn who asks: {e}"),
        }
        self.break_off_the_oldest(reactor, MOST_CONVERSATIONS);
        let Some(token) = self.watched.insert(Watched::Conversation(Box::new(conversation))) else { return };
        let Some(Watched::Conversation(conversation)) = self.watched.get(token) else { return };
        if let Err(e) = conversation.watch(reactor, token) {
            log!(Level::Warn, MODULE, "control: cannot listen to who asks: {e}");
            self.watched.remove(token);
            return;
        }
        // What he has said already is heard before others crowd him out.
        self.converse(reactor, token);
    }

    /// Who connects and says nothing, or does not read, must not keep others out, nor take the descriptors that
    /// processes need. False when there are no more than `most`, or it is for all of them to wait.
    fn break_off_the_oldest(&mut self, reactor: &mut Reactor, most: usize) -> bool {
        let talking = self.watched.iter().filter_map(|(token, watched)| match watched {
            Watched::Conversation(conversation) => Some((conversation.patience_since()?, token)),
            _ => None,
        });
        let talking: Vec<_> = talking.collect();
        let Some((_, oldest)) = talking.iter().min_by_key(|(since, _)| *since).copied() else { return false };
        if talking.len() <= most {
            return false;
        }
        // He may have said it meanwhile, and it is then for him to wait.
        self.converse(reactor, oldest);
        match self.watched.get(oldest) {
            Some(Watched::Conversation(conversation)) if conversation.patience_since().is_none() => true,
            _ => self.hang_up(reactor, oldest) || self.watched.get(oldest).is_none(),
        }
    }

    /// Somebody has said something, or can hear more.
    pub(in crate::run) fn converse(&mut self, reactor: &mut Reactor, token: Token) {
        let Some(Watched::Conversation(conversation)) = self.watched.get_mut(token) else { return };
        match conversation.go_on() {
            Ok(Next::Answer(line)) => match Request::from_line(&line) {
                Ok(request) => self.serve(reactor, token, &request),
                Err(why) => {
                    let reply = Reply { verdict: Verdict::Wrong, text: format!("{why}\n") };
                    self.reply(reactor, token, &reply, Then::End);
                }
            },
            Ok(Next::Wait) => {}
            Ok(Next::End) => drop(self.hang_up(reactor, token)),
            Err(e) => self.break_off(reactor, token, &e),
        }
    }

    fn serve(&mut self, reactor: &mut Reactor, token: Token, request: &Request) {
        if request.takes_time() && request.verb != Verb::Shutdown && self.audience.len() >= MOST_PATIENT {
            let reply = Reply::failed("too many wait and listen already\n");
            return self.reply(reactor, token, &reply, Then::End);
        }
        let (reply, then) = match request.verb {
            Verb::Status => (self.shown(request), Then::End),
            Verb::Reload => (self.reload(reactor).into(), Then::End),
            Verb::Rotate => (self.rotate().into(), Then::End),
            Verb::Shutdown => {
                self.shut_down("shutdown asked for");
                (Reply::done(""), Then::Linger)
            }
            Verb::Start | Verb::Stop | Verb::Restart | Verb::Upgrade | Verb::Wait => {
                return self.carry_out_by_hand(reactor, token, request);
            }
            Verb::Signal => (self.signal(&request.names, request.signal.unwrap_or_default()), Then::End),
            Verb::Tail => return self.tell_output(reactor, token, request),
            Verb::Events => return self.tell_events(reactor, token, request),
        };
        self.reply(reactor, token, &reply, then);
    }

    /// Answers whoever is behind `token`, if he is still there.
    pub(in crate::run) fn reply(&mut self, reactor: &mut Reactor, token: Token, reply: &Reply, then: Then) {
        let Some(Watched::Conversation(conversation)) = self.watched.get_mut(token) else { return };
        if let Err(e) = conversation.answer(reply, then) {
            self.break_off(reactor, token, &e);
        }
    }

    fn tell_events(&mut self, reactor: &mut Reactor, token: Token, request: &Request) {
        let usual = if request.follow && request.since.is_none() { FEW } else { usize::MAX };
        let last = self.audience.chronicle.last(request.since.unwrap_or(0), request.lines.unwrap_or(usual));
        let reply = Reply::done(last.map(|happening| happening.shown(request.json)).collect::<String>());
        if request.follow {
            self.listen_to_events(token, request.json);
        }
        self.reply(reactor, token, &reply, if request.follow { Then::Stream } else { Then::End });
    }

    /// Of those whose output goes into the log; files are read by the command itself.
    fn tell_output(&mut self, reactor: &mut Reactor, token: Token, request: &Request) {
        let keys = match self.named(&request.names) {
            Ok(keys) => keys,
            Err(reply) => return self.reply(reactor, token, &reply, Then::End),
        };
        let lines = request.lines.unwrap_or(FEW);
        let said = keys.first().and_then(|key| Some((*key, self.captures.last_lines(*key, lines)?)));
        let Some((key, text)) = said else {
            let why = "its output goes neither into the log nor into a file";
            let reply = Reply::failed(format!("{}: {why}\n", request.names.join(", ")));
            return self.reply(reactor, token, &reply, Then::End);
        };
        if request.follow {
            self.listen_to_output(token, key);
        }
        self.reply(reactor, token, &Reply::done(text), if request.follow { Then::Stream } else { Then::End });
    }

    fn shown(&self, request: &Request) -> Reply {
        let mut status = self.status();
        if let Err(reply) = self.named(&request.names) {
            return reply;
        }
        if !request.names.is_empty() {
            status.processes.retain(|row| request.names.contains(&row.name));
            status.processes.iter_mut().for_each(|row| row.crash = self.morgue.newest(&row.name));
        }
        Reply::done(if request.json { status.json() } else { status.table() })
    }

    /// Opens the log anew.
    pub(in crate::run) fn rotate(&self) -> Result<String, String> {
        msf_core::log::reopen().map(|()| "the log is open anew\n".to_owned()).map_err(|e| format!("{e}\n"))
    }

    pub(in crate::run) fn status(&self) -> Status {
        let now = Instant::now();
        Status {
            pid: std::process::id(),
            uptime: now.saturating_duration_since(self.since),
            config: self.config.display().to_string(),
            version: self.version.clone(),
            events: self.outbox.path().display().to_string(),
            processes: self.roll.pairs().map(|(key, service)| self.row(key, service, now)).collect(),
        }
    }

    fn row(&self, key: Key, service: &Service, now: Instant) -> Row {
        let [output, error] = self.outputs.sinks(service.name(), &service.entry.launch);
        let (output, error_output) = (output.shown(), error.shown());
        let left = self.leavers_of(key).map(|(pid, _)| pid).collect();
        Row { output, error_output, left, ..service.row(now) }
    }
}

/// Behind it, whoever has been there longest has to go; not counted are those for whom it is to wait or to listen.
const MOST_CONVERSATIONS: usize = 31;
/// As many may wait and listen.
const MOST_PATIENT: usize = 256;
/// Lines and events that whoever does not say how many is shown.
const FEW: usize = 10;
