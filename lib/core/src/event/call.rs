//! Which callback a report of the kernel leads to. Pure: no descriptor is touched here.
//!
//! The rules, in the order in which a C caller relies on them:
//! - Unread data is delivered before a hang-up: while there is data the read callback is called, pass after pass, and
//!   the error callback only when nothing is left.
//! - Who has no error callback learns of the end by its read callback (`read` returns 0), else by its write callback
//!   (`write` fails). So every report calls somebody: a level-triggered report that called nobody would come back at
//!   once, for ever.

/// One of the three callbacks of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// There is something to read, or the end of it.
    Read,
    /// There is room to write.
    Write,
    /// The peer has hung up or the descriptor has failed, and nothing is left to read.
    Error,
}

/// What a loop calls when a descriptor is ready. A copy is called, so the original may be freed meanwhile.
pub trait Handler: Copy + Send + 'static {
    /// What timers of the same base call; [`NoTimers`] where there are none.
    type Timer: Expire;
    /// What may be posted to the loop; [`Task`](super::Task) where nothing special is needed.
    type Job: super::Job;
    /// Whether this kind of call is wanted; the answer never changes.
    fn wants(&self, call: Call) -> bool;
    /// Called on the thread that turns the loop, with no lock held.
    fn call(self, call: Call);
}

/// What a timer of an event base calls. A copy is called, so the original may be freed meanwhile. Two words or less
/// keep a million of them cheap.
pub trait Expire: Copy + Send + 'static {
    /// Called on the thread that turns the loop, with no lock held.
    fn expired(self);
}

/// The handler of timers that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTimers {}

impl Expire for NoTimers {
    fn expired(self) {
        match self {}
    }
}

/// What the kernel says of one descriptor: any of the bits below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Report(pub u8);

impl Report {
    /// Data, or its end.
    pub const READ: u8 = 1;
    /// Room.
    pub const WRITE: u8 = 2;
    /// The peer will send no more, but may still read.
    pub const HALF_CLOSED: u8 = 4;
    /// The peer is gone, or the descriptor has failed.
    pub const BROKEN: u8 = 8;

    #[inline]
    fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
}

/// The one or two calls that `report` leads to. `unread` tells whether there is data to read; it is asked only when
/// the connection is ending, because it costs a system call.
#[inline]
pub(super) fn calls(handler: &impl Handler, report: Report, unread: impl FnOnce() -> bool) -> (Call, Option<Call>) {
    let read = report.has(Report::READ) && handler.wants(Call::Read);
    if read && report.0 == Report::READ {
        return (Call::Read, None);
    }
    let write = (report.has(Report::WRITE) && handler.wants(Call::Write)).then_some(Call::Write);
    if report.has(Report::HALF_CLOSED | Report::BROKEN) && handler.wants(Call::Error) {
        return at_the_end(report, read && unread(), write);
    }
    match (read, write) {
        (true, write) => (Call::Read, write),
        (false, Some(write)) => (write, None),
        (false, None) => (last_resort(handler), None),
    }
}

/// The connection is ending, and there is an error callback to tell so.
#[cold]
fn at_the_end(report: Report, read: bool, write: Option<Call>) -> (Call, Option<Call>) {
    match (read, report.has(Report::BROKEN), write) {
        (true, true, _) => (Call::Read, None),
        (true, false, write) => (Call::Read, write),
        (false, false, Some(write)) => (write, Some(Call::Error)),
        (false, _, _) => (Call::Error, None),
    }
}

/// Whom to tell when the report fits no wanted call.
#[cold]
fn last_resort(handler: &impl Handler) -> Call {
    [Call::Read, Call::Write].into_iter().find(|&call| handler.wants(call)).unwrap_or(Call::Error)
}

#[cfg(test)]
mod tests {
    use super::Call::{Error, Read, Write};
    use super::*;

    #[derive(Clone, Copy)]
    struct Wants(&'static [Call]);

    impl Handler for Wants {
        type Job = super::super::Task;
        type Timer = NoTimers;

        fn wants(&self, call: Call) -> bool {
            self.0.contains(&call)
        }
        fn call(self, _: Call) {}
    }

    const IN: u8 = Report::READ;
    const OUT: u8 = Report::WRITE;
    const BOTH: u8 = IN | OUT;
    const HUP: u8 = Report::BROKEN;
    const HUP_IN: u8 = HUP | IN;
    const HUP_ALL: u8 = HUP | BOTH;
    const HALF: u8 = Report::HALF_CLOSED | BOTH;

    fn told(wants: &'static [Call], report: u8, unread: bool) -> (Call, Option<Call>) {
        calls(&Wants(wants), Report(report), || unread)
    }

    #[test]
    fn plain_readiness_reads_before_it_writes() {
        assert_eq!(told(&[Read, Write, Error], BOTH, true), (Read, Some(Write)));
        assert_eq!(told(&[Write], OUT, true), (Write, None));
        assert_eq!(told(&[Read, Write], IN, true), (Read, None));
    }

    #[test]
    fn unread_data_is_delivered_before_the_hang_up() {
        assert_eq!(told(&[Read, Write, Error], HUP_ALL, true), (Read, None));
        assert_eq!(told(&[Read, Write, Error], HUP_ALL, false), (Error, None));
        assert_eq!(told(&[Read, Error], HUP, true), (Error, None));
    }

    #[test]
    fn half_closed_peer_may_still_be_written_to() {
        assert_eq!(told(&[Read, Write, Error], HALF, true), (Read, Some(Write)));
        assert_eq!(told(&[Read, Write, Error], HALF, false), (Write, Some(Error)));
        assert_eq!(told(&[Read, Error], HALF, false), (Error, None));
        assert_eq!(told(&[Error], Report::HALF_CLOSED, false), (Error, None));
    }

    #[test]
    fn without_an_error_callback_the_reader_and_then_the_writer_learns_of_the_end() {
        assert_eq!(told(&[Read], HUP, false), (Read, None));
        assert_eq!(told(&[Read, Write], HUP_IN, false), (Read, None));
        assert_eq!(told(&[Write], HUP, false), (Write, None));
        assert_eq!(told(&[Write], HUP_IN, true), (Write, None));
    }

    #[test]
    fn only_wanted_callbacks_are_called_and_always_one() {
        let all: [&'static [Call]; 7] =
            [&[Read], &[Write], &[Error], &[Read, Write], &[Read, Error], &[Write, Error], &[Read, Write, Error]];
        for (wants, bits, unread) in all.iter().flat_map(|w| (0..16).flat_map(move |b| [(w, b, true), (w, b, false)])) {
            let (first, second) = told(wants, bits, unread);
            assert!(wants.contains(&first), "{wants:?} {bits:b}");
            assert!(second.is_none_or(|second| wants.contains(&second) && second != first), "{wants:?} {bits:b}");
        }
    }
}
