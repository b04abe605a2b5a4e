//! What an operator asks of a reactor: who its sessions are.

use super::broker::Broker;
use super::session::{self, Session};
use crate::core::order::{Described, MOST_SHOWN, Report, Shown};
use crate::observe::traffic::Protocol;
use msf_core::event::Token;

impl Broker {
    /// Reports the sessions, those with an id first.
    pub(super) fn describe(&mut self, question: u32) {
        let ranked = |(token, session): (Token, &Session)| (session.caller().is_none(), token);
        let mut tokens: Vec<(bool, Token)> = self.sessions.iter().map(ranked).collect();
        tokens.sort();
        tokens.truncate(MOST_SHOWN);
        let shown = tokens.into_iter().filter_map(|(_, token)| self.shown(token)).collect();
        self.report(Report::Described(Described { question, sessions: self.sessions.len(), shown }));
    }

    fn shown(&self, token: Token) -> Option<Shown> {
        let session = self.sessions.get(token)?;
        let (protocol, standing, name) = match &session.protocol {
            session::Protocol::Librpc(member) => (Protocol::Librpc, member.standing.in_a_word(), member.name.clone()),
            session::Protocol::Nmid(peer) => (Protocol::Nmid, peer.in_a_word(), peer.name()),
            session::Protocol::Http(_) => (Protocol::Http, "visitor", String::new()),
        };
        Some(Shown {
            address: self.address(token),
            protocol,
            peer: session.peer,
            name,
            id: session.caller(),
            standing: if session.leaving.is_some() { "leaving" } else { standing },
            age: self.now.0.saturating_sub(session.since.0),
            waiting: session.outbox.len(),
        })
    }
}
