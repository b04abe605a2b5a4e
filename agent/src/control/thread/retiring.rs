//! The old one, where the new one does not understand its snapshot: the listening sockets and the lock pass, the
//! connections stay here until they are idle, and end then.

use super::super::acceptor::Acceptor;
use super::handover::Failed;
use super::{Control, Door, Errands, LOG, Listener, Phase, Timer};
use crate::core::order::Order;
use crate::upgrade::SOCKETS;
use crate::upgrade::passage::{self, Word};
use msf_core::event::{Reactor, Token};
use msf_core::log::Level;
use msf_wire::snapshot::{State, Writer};
use msf_wire::state;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// What passes between any two versions.
#[derive(Debug)]
pub struct Sockets {
    /// The old process.
    pub pid: i32,
    /// The lock that says that nobody else is the agent.
    pub lock: Option<OwnedFd>,
    /// Where peers come in.
    pub listeners: Vec<(Listener, Door)>,
    /// Where scrapers do.
    pub metrics: Option<Listener>,
    /// Where operators do.
    pub admin: Option<Listener>,
}

state! { struct Sockets { pid, lock, listeners, metrics, admin } }

impl<E: Errands> Control<E> {
    /// Hands the sockets over and waits until the other one has them.
    pub(super) fn hand_over_sockets(&mut self, stream: &mut UnixStream) -> Result<(), Failed> {
        let mut out = Writer::default();
        (std::process::id() as i32).save(&mut out);
        self.errands.lock().save(&mut out);
        self.acceptor.save_listeners(&mut out);
        self.metrics.is_some().save(&mut out);
        self.metrics.iter().for_each(|metrics| metrics.save_listener(&mut out));
        self.admin.is_some().save(&mut out);
        self.admin.iter().for_each(|admin| admin.save_listener(&mut out));
        let (bytes, descriptors) = out.into_parts();
        passage::send(stream, SOCKETS, &vec![(bytes, descriptors.len() as u32)], &descriptors)?;
        self.await_ready(stream)?;
        Ok(passage::say(stream, &Word::Go)?)
    }

    /// The other one takes new connections; ours end when they are idle, and we with the last of them.
    pub(super) fn retire(&mut self, reactor: &mut Reactor) {
        msf_core::log!(Level::Info, LOG, "replaced: {} connections end when they are idle", self.acceptor.open());
        self.acceptor.let_go(reactor);
        if let Some(metrics) = self.metrics.take() {
            metrics.let_go(reactor);
        }
        if let Some(admin) = self.admin.take() {
            admin.let_go(reactor);
        }
        self.replaced = true;
        self.phase = Phase::Retiring;
        self.awaited = self.lines.len();
        self.order_all(|| Order::Retire);
        reactor.arm(self.retirement, Timer::Retirement as u64);
    }

    /// What is not idle by now is ended as in any shutdown: answers are waited for once more, and who gets none is told.
    pub(super) fn retire_at_once(&mut self, reactor: &mut Reactor) {
        msf_core::log!(
            Level::Warn,
            LOG,
            "replaced: {} connections are not idle after {:?}",
            self.acceptor.open(),
            self.retirement
        );
        self.next_phase(reactor);
    }
}

impl Acceptor {
    /// Listens no longer: the sockets are another process's.
    fn let_go(&mut self, reactor: &Reactor) {
        let tokens: Vec<Token> = self.tokens();
        for token in tokens {
            if let Some((listener, _)) = self.take(token) {
                listener.let_go(reactor);
            }
        }
    }
}
