//! Where a caller waits for the answer to one call.
//!
//! The answer is copied straight from the receive buffer to where the program wants it. The copy happens under the
//! waiter's own lock, and a caller leaves only after [`Waiter::leave`] has taken the place away under the same lock:
//! a late answer finds no place to write to.

use crate::errno::Errno;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// See the module.
pub(crate) struct Waiter {
    state: Mutex<State>,
    changed: Condvar,
    /// The call had no payload and wanted none back: as in 2019, its answer goes to the answer callback too.
    pub(crate) bare: bool,
    /// The caller is a callback: it sleeps on the queue, not here, and has to be nudged there.
    pub(crate) nested: bool,
}

enum State {
    Waiting(Place),
    Answered(u32),
    Failed(Errno),
    Left,
}

/// The program's buffer; null when it wants no bytes.
struct Place {
    start: *mut u8,
    len: usize,
}

// SAFETY: the buffer belongs to the caller that waits; whoever holds the waiter's lock while the state is `Waiting`
// is the only one to touch it.
unsafe impl Send for Place {}

impl Waiter {
    /// # Safety
    /// `start` is null or good for `len` bytes until [`leave`](Self::leave) has returned.
    pub(crate) unsafe fn new(start: *mut u8, len: usize, bare: bool, nested: bool) -> Self {
        Self { state: Mutex::new(State::Waiting(Place { start, len })), changed: Condvar::new(), bare, nested }
    }

    /// The answer has come: on success its bytes are copied, and what they lack is zeroed.
    pub(crate) fn answer(&self, errcode: u32, body: &[u8]) {
        let mut state = self.lock();
        if let State::Waiting(place) = &*state {
            if errcode == 0 {
                place.fill(body);
            }
            *state = State::Answered(errcode);
            self.changed.notify_one();
        }
    }

    /// There will be no answer.
    pub(crate) fn fail(&self, errno: Errno) {
        let mut state = self.lock();
        if matches!(*state, State::Waiting(_)) {
            *state = State::Failed(errno);
            self.changed.notify_one();
        }
    }

    /// What came so far.
    pub(crate) fn outcome(&self) -> Option<Result<u32, Errno>> {
        outcome(&self.lock())
    }

    /// Waits until something came, or until `deadline`.
    pub(crate) fn wait(&self, deadline: Option<Instant>) {
        let mut state = self.lock();
        while outcome(&state).is_none() {
            let Some(deadline) = deadline else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The caller goes: what came, perhaps at the last moment. From here on nobody writes to his buffer.
    pub(crate) fn leave(&self) -> Option<Result<u32, Errno>> {
        let mut state = self.lock();
        let outcome = outcome(&state);
        *state = State::Left;
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn outcome(state: &State) -> Option<Result<u32, Errno>> {
    match *state {
        State::Answered(errcode) => Some(Ok(errcode)),
        State::Failed(errno) => Some(Err(errno)),
        State::Waiting(_) | State::Left => None,
    }
}

impl Place {
    fn fill(&self, body: &[u8]) {
        if self.start.is_null() {
            return;
        }
        let count = body.len().min(self.len);
        // SAFETY: `start` is good for `len` bytes (see `Waiter::new`) and `count` is at most that; the receive buffer
        // and the program's do not overlap.
        unsafe { self.start.copy_from_nonoverlapping(body.as_ptr(), count) };
        // SAFETY: `count` is at most `len`, so this stays inside or one past the end.
        let rest = unsafe { self.start.add(count) };
        // SAFETY: the bytes from there to the end of the same buffer.
        unsafe { rest.write_bytes(0, self.len - count) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Duration;

    fn waiter(buffer: &mut [u8]) -> Waiter {
        // SAFETY: every test lets its waiter go, or has it left, before the buffer.
        unsafe { Waiter::new(buffer.as_mut_ptr(), buffer.len(), false, false) }
    }

    #[test]
    fn an_answer_shorter_than_wanted_is_filled_up_with_zeroes() {
        let mut buffer = [0xee; 8];
        waiter(&mut buffer[..6]).answer(0, b"abc");
        assert_eq!(buffer, *b"abc\0\0\0\xee\xee");
    }

    #[test]
    fn an_answer_longer_than_wanted_is_cut() {
        let mut buffer = [0xee; 4];
        waiter(&mut buffer[..2]).answer(0, b"abcdef");
        assert_eq!(buffer, *b"ab\xee\xee");
    }

    #[test]
    fn a_failed_call_leaves_the_buffer_as_it_was() {
        let mut buffer = [0xee; 4];
        let waiter = waiter(&mut buffer);
        waiter.answer(2, b"abcd");
        assert_eq!(waiter.leave(), Some(Ok(2)));
        assert_eq!(buffer, [0xee; 4]);
    }

    #[test]
    fn who_wants_no_bytes_gives_no_buffer() {
        // SAFETY: null is allowed.
        let waiter = unsafe { Waiter::new(std::ptr::null_mut(), 36, false, false) };
        waiter.answer(0, b"abcd");
        assert_eq!(waiter.leave(), Some(Ok(0)));
    }

    #[test]
    fn a_late_answer_finds_no_buffer() {
        let mut buffer = [0xee; 4];
        let waiter = waiter(&mut buffer);
        assert_eq!(waiter.leave(), None);
        waiter.answer(0, b"abcd");
        waiter.fail(Errno::CONNRESET);
        assert_eq!(waiter.outcome(), None);
        assert_eq!(buffer, [0xee; 4]);
    }

    #[test]
    fn the_first_outcome_stays() {
        let mut buffer = [0; 4];
        let waiter = waiter(&mut buffer);
        waiter.fail(Errno::CONNRESET);
        waiter.answer(0, b"abcd");
        assert_eq!(waiter.leave(), Some(Err(Errno::CONNRESET)));
    }

    #[test]
    fn a_wait_ends_with_the_answer_or_at_its_deadline() {
        let mut buffer = [0; 4];
        let waiter = waiter(&mut buffer);
        let start = Instant::now();
        waiter.wait(Some(start + Duration::from_millis(30)));
        assert!(start.elapsed() >= Duration::from_millis(30));
        thread::scope(|scope| {
            scope.spawn(|| waiter.answer(0, b"late"));
            waiter.wait(None);
        });
        assert_eq!(waiter.leave(), Some(Ok(0)));
        assert_eq!(buffer, *b"late");
    }
}
