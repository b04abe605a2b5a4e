//! What a shell and the process of an isolated service say to each other: questions one way, outcomes the other way, each
//! with the number of the question. Bytes in, frames out; no socket is seen here.
//!
//! Both ends are one program, so numbers are the machine's own, and what does not fit is a mistake of the other end, after
//! which nothing it says is believed.

use crate::place::work::{Outcome, Work};
use msf_sys::service::{Answer, Slot};
use std::io;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Of the question.
    pub id: u64,
    /// What it is.
    pub kind: Kind,
    /// A code, a version, or nothing.
    pub number: i32,
    /// An errno, a version, or nothing.
    pub other: i32,
    /// A command, a sentence.
    pub text: String,
    /// Whatever goes with it.
    pub bytes: Vec<u8>,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Load this service: `text` is the configuration, `bytes` the rest as JSON.
    Open,
    /// [`Work`] of that name.
    Init,
    /// The same.
    Start,
    /// The same.
    Stop,
    /// The same.
    Deinit,
    /// The same.
    Call,
    /// The same.
    Export,
    /// The same.
    Import,
    /// The same.
    Health,
    /// What the service uses, as JSON.
    Usage,
    /// Open the log anew.
    Rotate,
    /// Take the service out and end.
    Leave,
    /// An answer: the service has nothing of the kind.
    Absent,
    /// An answer: `number` is what it returned.
    Done,
    /// An answer: `number` is what it returned, `other` its errno.
    Failed,
    /// An answer: `text` says why it was not even asked.
    Refused,
}

/// The other end does not say what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonsense;

impl Frame {
    /// One that says nothing but what it is.
    pub fn bare(id: u64, kind: Kind) -> Frame {
        Frame { id, kind, number: 0, other: 0, text: String::new(), bytes: Vec::new() }
    }

    /// A question to the service.
    pub fn of_work(id: u64, work: Work) -> Frame {
        let kind = match &work {
            Work::Run(Slot::Init) => Kind::Init,
            Work::Run(Slot::Start) => Kind::Start,
            Work::Run(Slot::Stop) => Kind::Stop,
            Work::Run(Slot::Deinit) => Kind::Deinit,
            Work::Call { .. } => Kind::Call,
            Work::Export => Kind::Export,
            Work::Import { .. } => Kind::Import,
            Work::Health => Kind::Health,
        };
        let bare = Frame::bare(id, kind);
        match work {
            Work::Call { command, params } => Frame { text: command, bytes: params, ..bare },
            Work::Import { version, state } => Frame { number: version.cast_signed(), bytes: state, ..bare },
            Work::Run(_) | Work::Export | Work::Health => bare,
        }
    }

    /// The question to the service that it is; the frame back if it is something else.
    pub fn into_work(self) -> Result<Work, Frame> {
        Ok(match self.kind {
            Kind::Init => Work::Run(Slot::Init),
            Kind::Start => Work::Run(Slot::Start),
            Kind::Stop => Work::Run(Slot::Stop),
            Kind::Deinit => Work::Run(Slot::Deinit),
            Kind::Call => Work::Call { command: self.text, params: self.bytes },
            Kind::Export => Work::Export,
            Kind::Import => Work::Import { version: self.number.cast_unsigned(), state: self.bytes },
            Kind::Health => Work::Health,
            _ => return Err(self),
        })
    }

    /// An outcome, for the question `id`.
    pub fn of_outcome(id: u64, outcome: Outcome) -> Frame {
        let Outcome { answer, bytes, version } = outcome;
        let (kind, number, other, text) = match answer {
            Answer::Absent => (Kind::Absent, 0, 0, String::new()),
            Answer::Done(code) => (Kind::Done, code, version.cast_signed(), String::new()),
            Answer::Failed(code, error) => match error.raw_os_error() {
                Some(errno) => (Kind::Failed, code, errno, String::new()),
                None => (Kind::Refused, code, 0, error.to_string()),
            },
        };
        Frame { id, kind, number, other, text, bytes }
    }

    /// A refusal of the question `id`, in a sentence.
    pub fn refusal(id: u64, why: String) -> Frame {
        Frame { text: why, number: -1, ..Frame::bare(id, Kind::Refused) }
    }

    /// The outcome that it is.
    pub fn into_outcome(self) -> Result<Outcome, Nonsense> {
        let bytes = self.bytes;
        Ok(match self.kind {
            Kind::Absent => Outcome { answer: Answer::Absent, bytes, version: 0 },
            Kind::Done => Outcome { answer: Answer::Done(self.number), bytes, version: self.other.cast_unsigned() },
            Kind::Failed => {
                let errno = io::Error::from_raw_os_error(self.other);
                Outcome { answer: Answer::Failed(self.number, errno), bytes, version: 0 }
            }
            Kind::Refused => {
                Outcome { answer: Answer::Failed(self.number, io::Error::other(self.text)), bytes, version: 0 }
            }
            _ => return Err(Nonsense),
        })
    }

    /// Appends it to what is to be sent.
    pub fn put(&self, to: &mut Vec<u8>) {
        let (text, bytes) = (self.text.as_bytes(), self.bytes.as_slice());
        to.extend(self.id.to_ne_bytes());
        to.extend([self.kind as u8, 0, 0, 0]);
        to.extend(self.number.to_ne_bytes());
        to.extend(self.other.to_ne_bytes());
        // Both are far below what the numbers hold: a service puts at most 256 MiB, an operator sends 16.
        to.extend((text.len() as u32).to_ne_bytes());
        to.extend((bytes.len() as u32).to_ne_bytes());
        to.extend(text);
        to.extend(bytes);
    }

    /// How long the frame is that begins here; `None` as long as that cannot be told.
    pub fn length(from: &[u8]) -> Result<Option<usize>, Nonsense> {
        let Some(head) = from.first_chunk::<HEAD>() else { return Ok(None) };
        let part = |at: usize| u32_at(head, at) as usize;
        let (text, bytes) = (part(20), part(24));
        if text > LONGEST || bytes > LONGEST { Err(Nonsense) } else { Ok(Some(HEAD + text + bytes)) }
    }

    /// The frame in `from`, which is as long as [`Frame::length`] says.
    pub fn take(from: &[u8]) -> Result<Frame, Nonsense> {
        let (head, rest) = from.split_first_chunk::<HEAD>().ok_or(Nonsense)?;
        let (text, bytes) = rest.split_at_checked(u32_at(head, 20) as usize).ok_or(Nonsense)?;
        let (low, high) = (u64::from(u32_at(head, 0)), u64::from(u32_at(head, 4)));
        let id = if cfg!(target_endian = "little") { high << 32 | low } else { low << 32 | high };
        Ok(Frame {
            id,
            kind: KINDS.iter().copied().find(|kind| *kind as u8 == head[8]).ok_or(Nonsense)?,
            number: u32_at(head, 12).cast_signed(),
            other: u32_at(head, 16).cast_signed(),
            text: str::from_utf8(text).map_err(|_| Nonsense)?.to_owned(),
            bytes: bytes.to_vec(),
        })
    }
}

fn u32_at(head: &[u8; HEAD], at: usize) -> u32 {
    let word = head.get(at..at + 4).and_then(|word| word.try_into().ok());
    u32::from_ne_bytes(word.unwrap_or_default())
}

/// Bytes before text and bytes.
pub const HEAD: usize = 28;
/// More than any service may put into an answer.
const LONGEST: usize = 512 << 20;
const KINDS: &[Kind] = &[
    Kind::Open,
    Kind::Init,
    Kind::Start,
    Kind::Stop,
    Kind::Deinit,
    Kind::Call,
    Kind::Export,
    Kind::Import,
    Kind::Health,
    Kind::Usage,
    Kind::Rotate,
    Kind::Leave,
    Kind::Absent,
    Kind::Done,
    Kind::Failed,
    Kind::Refused,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn over(frame: &Frame) -> Frame {
        let mut sent = Vec::new();
        frame.put(&mut sent);
        for cut in 0..HEAD {
            assert_eq!(Frame::length(&sent[..cut]), Ok(None));
        }
        assert_eq!(Frame::length(&sent), Ok(Some(sent.len())));
        Frame::take(&sent).unwrap()
    }

    #[test]
    fn every_question_and_every_outcome_comes_over_as_it_was() {
        let works = [
            Work::Run(Slot::Init),
            Work::Run(Slot::Start),
            Work::Run(Slot::Stop),
            Work::Run(Slot::Deinit),
            Work::Call { command: "add".to_owned(), params: vec![0, 255] },
            Work::Export,
            Work::Import { version: u32::MAX, state: b"state".to_vec() },
            Work::Health,
        ];
        for work in works {
            let came = over(&Frame::of_work(1 << 40 | 7, work.clone()));
            assert_eq!(came.id, 1 << 40 | 7);
            assert_eq!(format!("{:?}", came.into_work().unwrap()), format!("{work:?}"));
        }
        let outcomes = [
            Answer::Absent,
            Answer::Done(i32::MAX),
            Answer::Failed(-5, io::Error::from_raw_os_error(71)),
            Answer::Failed(-1, io::Error::other("why not")),
        ];
        for answer in outcomes {
            let said = format!("{answer:?}");
            let version = if matches!(answer, Answer::Done(_)) { 9 } else { 0 };
            let came = over(&Frame::of_outcome(3, Outcome { answer, bytes: b"put".to_vec(), version }));
            let came = came.into_outcome().unwrap();
            assert_eq!((format!("{:?}", came.answer), &came.bytes[..], came.version), (said, &b"put"[..], version));
        }
        for kind in KINDS {
            assert_eq!(over(&Frame::bare(1, *kind)).kind, *kind);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let mut sent = Vec::new();
        Frame::bare(1, Kind::Done).put(&mut sent);
        sent[8] = 200;
        assert_eq!(Frame::take(&sent), Err(Nonsense));
        sent[8] = Kind::Done as u8;
        sent[23] = 255;
        sent[20] = 255;
        assert_eq!(Frame::length(&sent), Err(Nonsense));
        assert_eq!(Frame::take(&sent), Err(Nonsense));
        assert!(Frame::bare(1, Kind::Leave).into_work().is_err());
        assert_eq!(Frame::bare(1, Kind::Leave).into_outcome().unwrap_err(), Nonsense);
    }
}
