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
    /// Whether this kind of call is wanted; the answer never changes.
    fn wants(&self, call: Call) -> bool;
    /// Called on the thread that turns the loop, with no lock held.
    fn call(self, call: Call);
}

/// What the kernel says of one descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// Data, or its end.
    pub read: bool,
    /// Room.
    pub write: bool,
    /// The peer will send no more, but may still read.
    pub half_closed: bool,
    /// The peer is gone, or the descriptor has failed.
    pub broken: bool,
}

/// The one or two calls that `report` leads to. `unread` tells whether there is data to read; it is asked only when
/// the connection is ending, because it costs a system call.
pub(super) fn calls(
    handler: &impl Handler,
    report: Report,
    unread: impl FnOnce() -> bool,
) -> (Option<Call>, Option<Call>) {
    let wanted = |is: bool, call: Call| (is && handler.wants(call)).then_some(call);
    let (read, write) = (wanted(report.read, Call::Read), wanted(report.write, Call::Write));
    let ending = report.broken || report.half_closed;
    if !ending || !handler.wants(Call::Error) {
        return match (read, write) {
            (None, None) => (last_resort(handler), None),
            (None, write) => (write, None),
            both => both,
        };
    }
    let read = read.filter(|_| unread());
    match (read, report.broken) {
        (Some(read), true) => (Some(read), None),
        (Some(read), false) => (Some(read), write),
        (None, true) => (Some(Call::Error), None),
        (None, false) if write.is_some() => (write, Some(Call::Error)),
        (None, false) => (Some(Call::Error), None),
    }
}

/// Whom to tell when the report fits no wanted call.
fn last_resort(handler: &impl Handler) -> Option<Call> {
    [Call::Read, Call::Write, Call::Error].into_iter().find(|&call| handler.wants(call))
}

#[cfg(test)]
mod tests {
    use super::Call::{Error, Read, Write};
    use super::*;

    #[derive(Clone, Copy)]
    struct Wants(&'static [Call]);

    impl Handler for Wants {
        fn wants(&self, call: Call) -> bool {
            self.0.contains(&call)
        }
        fn call(self, _: Call) {}
    }

    const IN: Report = Report { read: true, write: false, half_closed: false, broken: false };
    const OUT: Report = Report { read: false, write: true, half_closed: false, broken: false };
    const BOTH: Report = Report { write: true, ..IN };
    const HUP: Report = Report { read: false, write: false, half_closed: false, broken: true };
    const HUP_IN: Report = Report { read: true, ..HUP };
    const HUP_ALL: Report = Report { write: true, ..HUP_IN };
    const HALF: Report = Report { read: true, write: true, half_closed: true, broken: false };

    fn told(wants: &'static [Call], report: Report, unread: bool) -> (Option<Call>, Option<Call>) {
        calls(&Wants(wants), report, || unread)
    }

    #[test]
    fn plain_readiness_reads_before_it_writes() {
        assert_eq!(told(&[Read, Write, Error], BOTH, true), (Some(Read), Some(Write)));
        assert_eq!(told(&[Write], OUT, true), (Some(Write), None));
        assert_eq!(told(&[Read, Write], IN, true), (Some(Read), None));
    }

    #[test]
    fn unread_data_is_delivered_before_the_hang_up() {
        assert_eq!(told(&[Read, Write, Error], HUP_ALL, true), (Some(Read), None));
        assert_eq!(told(&[Read, Write, Error], HUP_ALL, false), (Some(Error), None));
        assert_eq!(told(&[Read, Error], HUP, true), (Some(Error), None));
    }

    #[test]
    fn half_closed_peer_may_still_be_written_to() {
        assert_eq!(told(&[Read, Write, Error], HALF, true), (Some(Read), Some(Write)));
        assert_eq!(told(&[Read, Write, Error], HALF, false), (Some(Write), Some(Error)));
        assert_eq!(told(&[Read, Error], HALF, false), (Some(Error), None));
        assert_eq!(told(&[Error], Report { half_closed: true, ..Report::default() }, false), (Some(Error), None));
    }

    #[test]
    fn without_an_error_callback_the_reader_and_then_the_writer_learns_of_the_end() {
        assert_eq!(told(&[Read], HUP, false), (Some(Read), None));
        assert_eq!(told(&[Read, Write], HUP_IN, false), (Some(Read), None));
        assert_eq!(told(&[Write], HUP, false), (Some(Write), None));
        assert_eq!(told(&[Write], HUP_IN, true), (Some(Write), None));
    }

    #[test]
    fn every_report_calls_somebody() {
        let all: [&'static [Call]; 7] =
            [&[Read], &[Write], &[Error], &[Read, Write], &[Read, Error], &[Write, Error], &[Read, Write, Error]];
        for (wants, bits, unread) in all.iter().flat_map(|w| (0..16).flat_map(move |b| [(w, b, true), (w, b, false)])) {
            let has = |bit: u8| bits & bit != 0;
            let report = Report { read: has(1), write: has(2), half_closed: has(4), broken: has(8) };
            assert!(told(wants, report, unread).0.is_some(), "{wants:?} {report:?}");
        }
    }
}
