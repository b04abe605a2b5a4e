//! The way down, in phases: answers are awaited, who still waits is told, the reactors end. A signal begins it, or the
//! place that another process has taken.

use super::{Control, Errands, LOG, Timer};
use crate::core::order::Order;
use msf_core::event::Reactor;
use msf_core::log::Level;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// Another process takes new connections; those that are here end when they are idle.
    Retiring,
    /// Answers are still awaited.
    Draining,
    /// Those who still wait are being told.
    Failing,
    /// The reactors end.
    Stopping,
    /// All have.
    Over,
    /// Another process serves.
    HandedOver,
}

impl<E: Errands> Control<E> {
    pub(super) fn ended(&mut self, reactor: &mut Reactor, as_told: bool) {
        if !as_told {
            // A broker without one of its reactors would leave its callers without an answer: better end, and be
            // started again.
            msf_core::log!(Level::Fatal, LOG, "a reactor has failed; the agent ends");
            self.healthy = false;
            self.phase = Phase::Over;
            return;
        }
        if self.phase == Phase::Stopping {
            self.one_less(reactor);
        }
    }

    /// One reactor more has done what this phase waits for.
    pub(super) fn one_less(&mut self, reactor: &mut Reactor) {
        self.awaited = self.awaited.saturating_sub(1);
        if self.awaited == 0 {
            self.next_phase(reactor);
        }
    }

    /// One step nearer the end.
    pub(super) fn next_phase(&mut self, reactor: &mut Reactor) {
        self.awaited = self.lines.len();
        match self.phase {
            // Nothing is left that would have to be drained.
            Phase::Retiring if self.acceptor.open() == 0 => {
                self.order_all(|| Order::Stop);
                self.phase = Phase::Stopping;
                reactor.arm(LAST_WORDS, Timer::Stop as u64);
            }
            Phase::Serving | Phase::Retiring => {
                msf_core::log!(
                    Level::Info,
                    LOG,
                    "ending: {} services, {} connections, at most {:?} for unanswered requests",
                    self.publisher.services(),
                    self.acceptor.open(),
                    self.drain
                );
                if self.phase == Phase::Serving {
                    self.errands.ending(self.drain);
                }
                self.acceptor.close();
                self.order_all(|| Order::Drain);
                self.phase = Phase::Draining;
                reactor.arm(self.drain, Timer::Drain as u64);
            }
            Phase::Draining => {
                self.order_all(|| Order::Fail);
                self.phase = Phase::Failing;
                reactor.arm(LAST_WORDS, Timer::LastWords as u64);
            }
            Phase::Failing => {
                self.order_all(|| Order::Stop);
                self.phase = Phase::Stopping;
                reactor.arm(LAST_WORDS, Timer::Stop as u64);
            }
            Phase::Stopping | Phase::Over => self.phase = Phase::Over,
            Phase::HandedOver => {}
        }
    }
}

/// How long peers that do not read may hold up the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::super::super::acceptor::Access;
    use super::super::{Coming, Reloaded, Wiring};
    use super::*;
    use crate::core::order::Report;
    use crate::observe::counter::Counters;
    use msf_conf::agent::Lists;
    use msf_core::event::{Signals, mailbox};
    use nix::sys::signal::Signal;
    use std::os::fd::OwnedFd;
    use std::sync::Arc;

    struct NoErrands;

    impl Errands for NoErrands {
        fn reload(&mut self) -> Option<Reloaded> {
            None
        }
        fn rotate(&mut self) {}
        fn call_successor(&mut self, _drain: bool) -> Result<Coming, String> {
            Err("nobody can".to_owned())
        }
        fn lock(&mut self) -> &mut Option<OwnedFd> {
            unreachable!("nobody asks")
        }
        fn succeeded(&mut self, _pid: i32) {}
    }

    #[test]
    fn regress_a_report_of_one_phase_does_not_count_for_the_next() {
        let mut reactor = Reactor::new().unwrap();
        let (orders, _lines): (Vec<_>, Vec<_>) = (0..2).map(|_| mailbox::bounded(8, reactor.waker())).unzip();
        let (_reports, reports) = mailbox::bounded(8, reactor.waker());
        let wiring = Wiring {
            seed: 1,
            orders: orders.into_iter().map(|orders| orders.living_on(reactor.waker())).collect(),
            reports,
            counters: Arc::new([Counters::default(), Counters::default()]),
            started: 0,
            signals: Signals::new(&[]).unwrap(),
            access: Access::FileMode,
            max_conns: 1,
            drain: Duration::from_secs(60),
            retirement: Duration::from_secs(60),
            rulebook: Arc::default(),
            lists: Lists::default(),
        };
        let mut control = Control::new(&reactor, wiring, NoErrands).unwrap();
        let sigterm = Signal::SIGTERM as i32;
        control.signal(&mut reactor, sigterm);
        control.hear(&mut reactor, Report::Drained);
        control.signal(&mut reactor, sigterm);
        // Both reactors had drained when the second signal came; the reports are heard after it.
        for _ in 0..2 {
            control.hear(&mut reactor, Report::Drained);
        }
        assert_eq!((control.phase, control.awaited), (Phase::Failing, 2));
        control.hear(&mut reactor, Report::Failed);
        control.next_phase(&mut reactor);
        control.hear(&mut reactor, Report::Failed);
        assert_eq!((control.phase, control.awaited), (Phase::Stopping, 2));
        control.hear(&mut reactor, Report::Ended(true));
        control.hear(&mut reactor, Report::Ended(true));
        assert_eq!(control.phase, Phase::Over);
    }
}
