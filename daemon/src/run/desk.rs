//! Who talks to us on the control socket, and what he is answered.

use super::driver::{Driver, MODULE, Watched};
use super::service::Service;
use crate::face::control::{Answer, Conversation, Next, Request};
use crate::face::status::{Row, Status};
use msf_core::event::{Reactor, Token};
use msf_core::log;
use msf_core::log::Level;
use std::time::Instant;

impl Driver {
    /// Somebody knocks.
    pub(super) fn accept(&mut self, reactor: &Reactor) {
        loop {
            match self.control.accept() {
                Ok(Some(conversation)) => self.admit(reactor, conversation),
                Ok(None) => return self.unheard = false,
                Err(_) if self.break_off_the_oldest(0) => {}
                Err(e) => {
                    if !self.unheard {
                        log!(Level::Error, MODULE, "cannot accept on the control socket: {e}");
                    }
                    return self.unheard = true;
                }
            }
        }
    }

    fn admit(&mut self, reactor: &Reactor, conversation: Conversation) {
        match conversation.stranger() {
            Ok(None) => {}
            Ok(Some(uid)) => return log!(Level::Warn, MODULE, "control: user {uid} is not heard"),
            Err(e) => return log!(Level::Warn, MODULE, "control: cannot learn who asks: {e}"),
        }
        self.break_off_the_oldest(MOST_CONVERSATIONS);
        let Some(token) = self.watched.insert(Watched::Conversation(conversation)) else { return };
        if let Some(Watched::Conversation(conversation)) = self.watched.get(token)
            && let Err(e) = conversation.watch(reactor, token)
        {
            log!(Level::Warn, MODULE, "control: cannot listen to who asks: {e}");
            self.watched.remove(token);
        }
    }

    /// Who connects and says nothing, or does not read, must not keep others out, nor take the descriptors that
    /// processes need. False when there are no more than `most`, or all of them wait for our end.
    fn break_off_the_oldest(&mut self, most: usize) -> bool {
        let talking = self.watched.iter().filter_map(|(token, watched)| match watched {
            Watched::Conversation(conversation) => Some((conversation.patience_since()?, token)),
            _ => None,
        });
        let talking: Vec<_> = talking.collect();
        match talking.iter().min_by_key(|(since, _)| *since) {
            Some((_, oldest)) if talking.len() > most => self.watched.remove(*oldest).is_some(),
            _ => false,
        }
    }

    /// Somebody has said something, or can hear more.
    pub(super) fn converse(&mut self, reactor: &mut Reactor, token: Token) {
        let Some(Watched::Conversation(conversation)) = self.watched.get_mut(token) else { return };
        let went = match conversation.go_on() {
            Ok(Next::Answer(line)) => {
                let request = Request::from_line(&line);
                let answer = match request {
                    Some(request) => self.answer(reactor, request),
                    None => Err(format!("not understood: \"{line}\"\n")),
                };
                let Some(Watched::Conversation(conversation)) = self.watched.get_mut(token) else { return };
                conversation.answer(&answer, request == Some(Request::Shutdown))
            }
            Ok(Next::Wait) => Ok(()),
            Ok(Next::End) => return drop(self.watched.remove(token)),
            Err(e) => Err(e),
        };
        if let Err(e) = went {
            log!(Level::Warn, MODULE, "control: conversation broken off: {e}");
            self.watched.remove(token);
        }
    }

    fn answer(&mut self, reactor: &mut Reactor, request: Request) -> Answer {
        match request {
            Request::Status { json: false } => Ok(self.status().table()),
            Request::Status { json: true } => Ok(self.status().json()),
            Request::Reload => self.reload(reactor),
            Request::Rotate => self.rotate(),
            Request::Shutdown => {
                self.shut_down("shutdown asked for");
                Ok(String::new())
            }
        }
    }

    /// Opens the log anew.
    pub(super) fn rotate(&self) -> Answer {
        msf_core::log::reopen().map(|()| "the log is open anew\n".to_owned()).map_err(|e| format!("{e}\n"))
    }

    fn status(&self) -> Status {
        let now = Instant::now();
        Status {
            pid: std::process::id(),
            uptime: now.saturating_duration_since(self.since),
            config: self.config.display().to_string(),
            version: self.version.clone(),
            processes: self.roll.iter().map(|service| self.row(service, now)).collect(),
        }
    }

    fn row(&self, service: &Service, now: Instant) -> Row {
        let output = self.outputs.file(service.name()).map(|file| file.display().to_string());
        Row { output, ..service.row(now) }
    }
}

/// Behind it, whoever has been there longest has to go.
const MOST_CONVERSATIONS: usize = 31;
