//! An agent whose place is taken by one it cannot hand its connections to: each of them ends as soon as nothing is under
//! way on it. Callers and services first; workers stay until nobody's call waits any longer.

use super::broker::Broker;
use super::session::{Ending, Protocol, Session};
use crate::core::order::Report;
use msf_core::event::Token;

impl Broker {
    /// Ends the sessions on which nothing is under way.
    pub(super) fn retire_idle(&mut self) {
        let idle = self.sessions.iter().filter(|(token, session)| self.is_idle(*token, session));
        let idle: Vec<Token> = idle.map(|(token, _)| token).collect();
        for token in idle {
            self.doom(token, Ending::Shutdown);
        }
    }

    /// Reports when none is left.
    pub(super) fn notice_the_retirement(&mut self) {
        if self.retiring && self.sessions.is_empty() {
            self.retiring = false;
            self.report(Report::Retired);
        }
    }

    fn is_idle(&self, token: Token, session: &Session) -> bool {
        if session.doomed
            || session.skip > 0
            || !session.inbox.is_empty()
            || !session.outbox.is_empty()
            || session.waits(self.now)
        {
            return false;
        }
        match &session.protocol {
            Protocol::Librpc(_) => {
                !self.dispatch.is_awaited_of(token.bits(), self.now) && !self.desk.is_asked(token.bits())
            }
            Protocol::Nmid(peer) if peer.is_worker() => self.desk.len() == 0,
            Protocol::Nmid(_) => true,
            Protocol::Http(visitor) => visitor.is_between(),
        }
    }
}
