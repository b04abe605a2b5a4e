//! The life of one client: init to deinit, and the calls between.

use crate::callbacks;
use crate::errno::Errno;
use crate::events::Subscriptions;
use crate::face;
use crate::handover::Passed;
use crate::io::Io;
use crate::jobs::Jobs;
use crate::link::{Link, Phase};
use crate::params::{Request, Settings};
use crate::signals;
use crate::waiter::Waiter;
use msf_client::Session;
use msf_client::wire::timeout;
use msf_sys::event::Base;
use msf_sys::log;
use msf_sys::log::Level;
use msf_sys::thread::{self, Thread};
use std::ffi::c_int;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// See the module.
pub(crate) struct Client {
    pub(crate) settings: Settings,
    pub(crate) base: Base,
    pub(crate) jobs: Jobs,
    pub(crate) subscriptions: Subscriptions,
    /// With the link's lock: its phase changed, or its outbox got smaller.
    pub(crate) changed: Condvar,
    link: Mutex<Link>,
    io: Mutex<Io>,
    threads: Mutex<Vec<Thread>>,
}

impl Client {
    /// A client that does nothing yet.
    pub(crate) fn new(settings: Settings) -> Result<Arc<Self>, Errno> {
        let session = Session::new(settings.id, &settings.raw_name);
        Ok(Arc::new(Self {
            settings,
            base: Base::new()?,
            jobs: Jobs::default(),
            subscriptions: Subscriptions::default(),
            changed: Condvar::new(),
            link: Mutex::new(Link::new(session)),
            io: Mutex::new(Io::new()),
            threads: Mutex::new(Vec::new()),
        }))
    }

    /// Starts the threads and waits for the agent's yes. After a failure call [`end`](Self::end).
    pub(crate) fn start(self: &Arc<Self>) -> Result<(), Errno> {
        self.io().start(self, Some(Duration::ZERO))?;
        self.start_threads()?;
        self.await_login()
    }

    /// Starts the threads on a connection that is logged in.
    pub(crate) fn resume(self: &Arc<Self>, socket: OwnedFd, passed: &Passed) -> Result<(), Errno> {
        self.io().resume(self, socket, passed)?;
        self.start_threads()
    }

    fn start_threads(self: &Arc<Self>) -> Result<(), Errno> {
        let (io, callbacks) = (Arc::clone(self), Arc::clone(self));
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        signals::shielded(|| {
            threads.push(thread::spawn("ipc_io", move || io.turn())?);
            threads.push(thread::spawn("ipc_callback", move || callbacks::run(&callbacks))?);
            Ok::<_, std::io::Error>(())
        })?;
        Ok(())
    }

    /// One call; the errcode of its answer, or 0 when nobody waits for one.
    pub(crate) fn call(self: &Arc<Self>, request: &Request<'_>) -> Result<c_int, Errno> {
        let call = &request.call;
        if call.timeout == timeout::NO_WAIT {
            return self.lock().post(self, call, request.payload).map(|()| 0);
        }
        let deadline = (call.timeout != timeout::FOREVER)
            .then(|| Instant::now().checked_add(Duration::from_millis(call.timeout.into())))
            .flatten();
        let nested = callbacks::depth(self) > 0;
        if nested && !callbacks::may_wait(self) {
            return Err(Errno::DEADLK);
        }
        let bare = call.datalen == 0 && call.restlen == 0;
        // SAFETY: the program vouches for the buffer until this call returns, and the seat leaves before that.
        let waiter = Arc::new(unsafe { Waiter::new(request.answer, call.restlen as usize, bare, nested) });
        let seat = Seat(&waiter);
        let seq = self.lock().call(self, call, request.payload, Arc::clone(&waiter))?;
        if nested {
            callbacks::wait_serving(self, &waiter, deadline);
        } else {
            waiter.wait(deadline);
        }
        match seat.leave() {
            Some(outcome) => outcome.map(|errcode| c_int::try_from(errcode).unwrap_or(c_int::MAX)),
            None => {
                self.lock().session.give_up(seq);
                // A nested wait also ends when the client does.
                Err(if deadline.is_some_and(|end| end <= Instant::now()) { Errno::TIMEDOUT } else { Errno::CANCELED })
            }
        }
    }

    /// Logs out if it was logged in, ends the threads, and lets go of everything.
    pub(crate) fn end(self: &Arc<Self>) {
        self.log_out();
        self.base.exit();
        self.jobs.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if let Err(error) = thread.join() {
                log!(Level::Error, &self.settings.name, "a thread of libipc cannot be joined: {error}");
            }
        }
        let waiters = self.lock().take_down();
        for waiter in waiters {
            waiter.fail(Errno::CANCELED);
        }
        self.io().stop();
        face::offline();
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The io thread's own.
    pub(crate) fn io(&self) -> MutexGuard<'_, Io> {
        self.io.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until something changed about the link, or for `longest`.
    pub(crate) fn wait<'a>(&'a self, link: MutexGuard<'a, Link>, longest: Option<Duration>) -> MutexGuard<'a, Link> {
        let longest = longest.unwrap_or(A_WHILE);
        self.changed.wait_timeout(link, longest).unwrap_or_else(PoisonError::into_inner).0
    }

    /// The io thread's whole life.
    fn turn(&self) {
        if let Err(error) = self.base.dispatch() {
            log!(Level::Error, &self.settings.name, "the loop of libipc ended: {error}");
        }
    }

    fn await_login(&self) -> Result<(), Errno> {
        let end = Instant::now() + self.settings.patience;
        let mut link = self.lock();
        loop {
            let rest = end.saturating_duration_since(Instant::now());
            match link.phase {
                Phase::Up => return Ok(()),
                // Waiting longer will not make the other one go away.
                Phase::Down if link.failure == Errno::EXIST => return Err(Errno::EXIST),
                Phase::Down if rest.is_zero() && link.attempts > 0 => return Err(link.failure),
                _ => {}
            }
            // The first attempt, and a login under way, end by themselves.
            link = self.wait(link, (!rest.is_zero()).then_some(rest));
        }
    }

    /// Sends what is still to be sent, then the logout, and waits for the agent to close: then the id is free.
    fn log_out(self: &Arc<Self>) {
        let end = Instant::now() + FAREWELL;
        let mut link = self.lock();
        if link.phase == Phase::Up {
            let goodbye = link.session.logout();
            let waiters = link.session.lost();
            for waiter in waiters {
                waiter.fail(Errno::CANCELED);
            }
            link.phase = Phase::Leaving;
            self.jobs.nudge();
            if link.send(self, &goodbye, b"").is_err() {
                link.phase = Phase::Over;
            }
        } else {
            link.phase = Phase::Over;
        }
        while link.phase == Phase::Leaving && Instant::now() < end {
            let rest = end.saturating_duration_since(Instant::now());
            link = self.wait(link, Some(rest));
        }
        link.phase = Phase::Over;
    }
}

/// Somebody sits on a waiter: however he leaves, nobody may write to his buffer afterwards.
struct Seat<'a>(&'a Waiter);

impl Seat<'_> {
    fn leave(&self) -> Option<Result<u32, Errno>> {
        self.0.leave()
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

const FAREWELL: Duration = Duration::from_secs(1);
const A_WHILE: Duration = Duration::from_secs(1);
