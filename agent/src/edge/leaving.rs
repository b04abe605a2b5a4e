//! Peers that have closed their sending side and still read: a half-closed connection.
//!
//! For everybody else such a peer has gone: it serves nobody, its id is free. Only what it has asked for before is
//! still given to it, for a while. A peer that was killed leaves a unix socket closed in both directions and ends at
//! once; of a TCP connection only the next write shows whether anybody is there.

use super::broker::{Broker, LOG};
use super::session::{Ending, Session};
use crate::core::awaiting::LINGER;
use crate::core::message::Moment;
use crate::core::order::Report;
use msf_core::event::Token;
use msf_core::log::Level;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::slice;

impl Broker {
    /// The peer has sent its last byte; may be said more than once.
    pub(super) fn no_more_from(&mut self, token: Token) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(token).filter(|session| !session.doomed) else { return };
        if !session.is_owed(now) || is_closed(&session.socket) {
            return self.doom(token, Ending::Closed);
        }
        if session.leaving.is_some() {
            return;
        }
        session.leaving = Some(Moment(now.0 + LINGER));
        if session.is_known() {
            let who = session.who();
            let told = self.fail_callers(token);
            msf_core::log!(Level::Info, LOG, "{who} sends no more, and waits for answers; {told} callers told");
        }
        self.report(Report::Withdrawn(self.address(token)));
    }
}

impl Session {
    /// Whether it has got everything it will, or has lingered long enough.
    pub(super) fn has_left(&self, now: Moment) -> bool {
        self.leaving.is_some_and(|until| now >= until || !self.is_owed(now))
    }
}

/// Whether the connection is closed in both directions, or has failed. Where the kernel cannot say, a write will.
fn is_closed(socket: &impl AsFd) -> bool {
    let mut look = PollFd::new(socket.as_fd(), PollFlags::empty());
    let looked = poll(slice::from_mut(&mut look), PollTimeout::ZERO).is_ok();
    let closed = PollFlags::POLLHUP | PollFlags::POLLERR;
    looked && look.revents().is_some_and(|seen| seen.intersects(closed))
}
