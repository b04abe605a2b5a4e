//! The way from one reactor to a sibling: the frames and notes of one turn in one parcel, through a bounded mailbox.
//!
//! A parcel's buffer is reused by whoever received it, so traffic in both directions allocates nothing once it flows.
//! A full mailbox makes the lane *stuck*: what was written stays in the lane, nothing is lost, and the sessions that
//! use it are parked by their broker until the mailbox has room (the reactor is woken then).

use msf_core::event::mailbox::{Full, Sender};

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// A librpc frame.
    Frame = 1,
    /// A call of a function.
    Submit,
    /// How one ended.
    Outcome,
    /// A result that came to another reactor than the one that has the job.
    Return,
    /// A caller no longer wants an answer.
    Cancel,
    /// The sender has a worker free.
    Need,
    /// Something was published, by the service in the receiver's place.
    Event,
}

const KINDS: [Kind; 7] =
    [Kind::Frame, Kind::Submit, Kind::Outcome, Kind::Return, Kind::Cancel, Kind::Need, Kind::Event];

/// What there is for one reactor.
#[derive(Debug)]
pub struct Parcel {
    /// The reactor that sent it.
    pub from: u16,
    /// Records: kind, receiving session, sending session, length, and so many bytes.
    pub records: Vec<u8>,
}

/// One direction between two reactors.
#[derive(Debug)]
pub struct Lane {
    me: u16,
    mailbox: Sender<Parcel>,
    records: Vec<u8>,
    stuck: bool,
}

impl Lane {
    /// The lane of reactor `me` into `mailbox`.
    pub fn new(me: u16, mailbox: Sender<Parcel>) -> Lane {
        Lane { me, mailbox, records: Vec::new(), stuck: false }
    }

    /// Adds a record from session `sender` for session `receiver`.
    pub fn push(&mut self, kind: Kind, receiver: u32, sender: u32, body: &[u8], spares: &mut Spares) {
        let head = [kind as u32, receiver, sender, body.len() as u32];
        self.records.extend(head.into_iter().flat_map(u32::to_ne_bytes));
        self.records.extend_from_slice(body);
        if self.records.len() >= FULL_PARCEL {
            self.flush(spares);
        }
    }

    /// Whether the mailbox was full when last tried.
    pub fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// What waits to be posted.
    pub fn waiting(&self) -> &[u8] {
        &self.records
    }

    /// Goes on with what waited in another process; false when these are no records.
    pub fn resume(&mut self, records: Vec<u8>) -> bool {
        self.records = records;
        are_records(&self.records)
    }

    /// Whether nothing waits to be posted.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Posts what there is.
    pub fn flush(&mut self, spares: &mut Spares) {
        if self.records.is_empty() {
            return;
        }
        let parcel = Parcel { from: self.me, records: std::mem::take(&mut self.records) };
        match self.mailbox.try_send(parcel) {
            Ok(()) => {
                self.records = spares.take();
                self.stuck = false;
            }
            Err(Full(parcel)) => {
                self.records = parcel.records;
                self.stuck = true;
            }
        }
    }
}

/// Empty buffers of parcels past.
#[derive(Debug, Default)]
pub struct Spares(Vec<Vec<u8>>);

impl Spares {
    fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    /// Keeps a buffer whose records have been delivered.
    pub fn keep(&mut self, mut buffer: Vec<u8>) {
        if self.0.len() < SPARES && buffer.capacity() <= 2 * FULL_PARCEL {
            buffer.clear();
            self.0.push(buffer);
        }
    }

    /// Gives the memory back.
    pub fn trim(&mut self) {
        self.0.clear();
    }
}

/// The first record and what follows it; `None` at the end.
pub fn split_record(records: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (words, rest) = records.split_first_chunk::<16>()?;
    let [kind, receiver, sender, length] = *words.as_chunks::<4>().0 else { return None };
    let [kind, receiver, sender, length] = [kind, receiver, sender, length].map(u32::from_ne_bytes);
    let kind = *KINDS.iter().find(|known| **known as u32 == kind)?;
    let (body, rest) = rest.split_at_checked(length as usize)?;
    Some((Record { kind, receiver, sender, body }, rest))
}

/// Whether these are whole records and nothing else.
pub fn are_records(mut records: &[u8]) -> bool {
    while let Some((_, rest)) = split_record(records) {
        records = rest;
    }
    records.is_empty()
}

/// Something on its way.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What it is.
    pub kind: Kind,
    /// The session it is for.
    pub receiver: u32,
    /// The session it came from, on the sending reactor.
    pub sender: u32,
    /// The frame or note.
    pub body: &'a [u8],
}

/// A parcel this large is posted before the turn ends.
const FULL_PARCEL: usize = 256 * 1024;
/// How many buffers are kept for reuse.
const SPARES: usize = 8;
/// How many parcels a mailbox between reactors holds.
pub const MAILBOX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use msf_core::event::{Reactor, mailbox};

    #[test]
    fn records_come_out_as_they_went_in_and_a_full_mailbox_loses_none() {
        let reactor = Reactor::new().unwrap();
        let (sender, receiver) = mailbox::bounded(1, reactor.waker());
        let mut spares = Spares::default();
        let mut lane = Lane::new(3, sender.living_on(reactor.waker()));
        lane.push(Kind::Frame, 7, 8, b"hello", &mut spares);
        lane.flush(&mut spares);
        lane.push(Kind::Outcome, 9, 8, b"", &mut spares);
        lane.flush(&mut spares);
        assert!(lane.is_stuck());
        lane.push(Kind::Need, 9, 8, b"x", &mut spares);
        let first = receiver.drain(1).next().unwrap();
        let (record, rest) = split_record(&first.records).unwrap();
        assert_eq!(
            (record.kind, record.receiver, record.sender, record.body),
            (Kind::Frame, 7, 8, b"hello".as_slice())
        );
        assert!(split_record(rest).is_none());
        lane.flush(&mut spares);
        assert!(!lane.is_stuck() && lane.is_empty());
        let second = receiver.drain(1).next().unwrap();
        let (record, rest) = split_record(&second.records).unwrap();
        let (last, rest) = split_record(rest).unwrap();
        assert_eq!((record.kind, last.kind, last.body, rest.len()), (Kind::Outcome, Kind::Need, b"x".as_slice(), 0));
    }

    /// What lies in a lane at an upgrade is part of the snapshot: see `golden_the_bytes_of_a_note`.
    #[test]
    fn golden_the_bytes_of_a_record() {
        let waker = msf_core::event::Reactor::new().unwrap().waker();
        let mut lane = Lane::new(0, msf_core::event::mailbox::bounded(1, waker).0);
        lane.push(Kind::Need, 7, 8, b"xyz", &mut Spares::default());
        assert_eq!(lane.waiting(), [[6, 7, 8, 3].map(u32::to_ne_bytes).concat().as_slice(), b"xyz"].concat());
        assert_eq!(KINDS.map(|kind| kind as u32), [1, 2, 3, 4, 5, 6, 7]);
        assert!(are_records(lane.waiting()) && !are_records(&lane.waiting()[1..]) && !are_records(b"x"));
    }
}
