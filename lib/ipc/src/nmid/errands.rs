//! Calls nobody waits for: a queue, a thread that makes them one after the other, and their callbacks.
//!
//! Every callback that was accepted runs exactly once. Whoever runs it takes it out of the state first, under the lock:
//! the thread, the program's loop, or the end of the client, which tells all the others that they were cancelled.
//! The thread is started by the first errand.

use super::answer::{Answer, errno};
use super::caller::Complaint;
use crate::errno::Errno;
use crate::{signals, socket};
use msf_client::nmid::wire::{Params, handle_type};
use msf_client::nmid::{Canceller, Client};
use msf_sys::ffi::ipc::nmid_ret;
use msf_sys::thread;
use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the program gave to be called.
pub(super) struct Callback {
    pub(super) run: unsafe extern "C" fn(error: c_int, ret: *const nmid_ret, arg: *mut c_void),
    pub(super) arg: *mut c_void,
}

// SAFETY: the header says on which threads it runs; what `arg` points at is the program's business.
unsafe impl Send for Callback {}

/// One call to be made.
pub(super) struct Errand {
    pub(super) function: Vec<u8>,
    pub(super) params: Vec<u8>,
    pub(super) params_type: u32,
    pub(super) patience: Option<Duration>,
    pub(super) callback: Callback,
}

/// See the module.
pub(super) struct Errands {
    state: Mutex<State>,
    changed: Condvar,
    canceller: Canceller,
}

struct State {
    /// Until the thread takes it.
    client: Option<Client>,
    waiting: VecDeque<Errand>,
    /// Of the call under way.
    current: Option<Callback>,
    /// For the program's loop.
    ended: VecDeque<(Callback, Result<Box<Answer>, Errno>)>,
    /// Readable while `ended` holds something; once it is there, callbacks run in the program's loop.
    bell: Option<OwnedFd>,
    /// Who is inside a callback.
    inside: Option<libc::pthread_t>,
    over: bool,
}

// SAFETY: the pointers inside an Answer point at memory that the Answer itself owns.
unsafe impl Send for Answer {}

impl Callback {
    /// Hands the outcome over; an answer lives until the program's function returns.
    fn end(self, outcome: Result<Box<Answer>, Errno>) {
        let (error, ret) = match &outcome {
            Ok(answer) => (0, answer.face()),
            Err(errno) => (errno.0, ptr::null()),
        };
        // SAFETY: the program's own function with its own argument; `ret` is null or valid until after the call.
        unsafe { (self.run)(error, ret, self.arg) };
    }
}

impl Errands {
    pub(super) fn new(client: Client) -> Errands {
        let canceller = client.canceller();
        let state = State {
            client: Some(client),
            waiting: VecDeque::new(),
            current: None,
            ended: VecDeque::new(),
            bell: None,
            inside: None,
            over: false,
        };
        Errands { state: Mutex::new(state), changed: Condvar::new(), canceller }
    }

    pub(super) fn add(self: &Arc<Self>, errand: Errand) -> Result<(), Errno> {
        let mut state = self.state();
        if state.waiting.len() >= MOST_WAITING {
            return Err(Errno(libc::ENOBUFS));
        }
        if let Some(client) = state.client.take() {
            let errands = Arc::clone(self);
            signals::shielded(|| thread::spawn("nmid-errands", move || errands.run(client)))?;
        }
        state.waiting.push_back(errand);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// From now on callbacks run in [`process`](Self::process).
    pub(super) fn descriptor(&self) -> Result<c_int, Errno> {
        let mut state = self.state();
        if let Some(bell) = &state.bell {
            return Ok(bell.as_raw_fd());
        }
        Ok(state.bell.insert(socket::eventfd()?).as_raw_fd())
    }

    /// Runs the callbacks of the calls that have ended. One may free the client: then there are none left.
    pub(super) fn process(&self) -> c_int {
        if let Some(bell) = &self.state().bell {
            socket::clear_count(bell);
        }
        let mut count = 0;
        loop {
            let next = self.state().ended.pop_front();
            let Some((callback, outcome)) = next else { return count };
            callback.end(outcome);
            count += 1;
        }
    }

    /// The end of the client; see the header of nmid_client_free for who may be where.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.over = true;
        let callbacks: Vec<Callback> = (state.current.take().into_iter())
            .chain(std::mem::take(&mut state.ended).into_iter().map(|(callback, _)| callback))
            .chain(std::mem::take(&mut state.waiting).into_iter().map(|errand| errand.callback))
            .collect();
        self.changed.notify_all();
        self.canceller.cancel();
        let elsewhere = |state: &mut State| state.inside.is_some_and(|thread| thread != this_thread());
        drop(self.changed.wait_while(state, elsewhere).unwrap_or_else(PoisonError::into_inner));
        for callback in callbacks {
            callback.end(Err(Errno::CANCELED));
        }
    }

    /// The thread's whole life.
    fn run(&self, mut client: Client) {
        let complaint = Complaint::default();
        while let Some(errand) = self.next() {
            let params =
                Params { kind: errand.params_type, handle: handle_type::ENCODE, bytes: errand.params.as_slice() };
            let outcome = client.call(&errand.function, params, errand.patience);
            complaint.about(&outcome);
            self.ended(outcome.map(Answer::new).map_err(|error| errno(&error)));
        }
    }

    /// The next errand without its callback, which waits in the state; `None` when the client is over.
    fn next(&self) -> Option<Running> {
        let idle = |state: &mut State| state.waiting.is_empty() && !state.over;
        let mut state = self.changed.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
        let Errand { function, params, params_type, patience, callback } = state.waiting.pop_front()?;
        state.current = Some(callback);
        Some(Running { function, params, params_type, patience })
    }

    fn ended(&self, outcome: Result<Box<Answer>, Errno>) {
        let mut state = self.state();
        // Taken by the end of the client.
        let Some(callback) = state.current.take() else { return };
        if state.bell.is_some() {
            state.ended.push_back((callback, outcome));
            if let Some(bell) = &state.bell {
                socket::count_up(bell);
            }
            return;
        }
        state.inside = Some(this_thread());
        drop(state);
        callback.end(outcome);
        self.state().inside = None;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn this_thread() -> libc::pthread_t {
    // SAFETY: the function takes nothing.
    unsafe { libc::pthread_self() }
}

/// A call under way.
struct Running {
    function: Vec<u8>,
    params: Vec<u8>,
    params_type: u32,
    patience: Option<Duration>,
}

const MOST_WAITING: usize = 1024;
