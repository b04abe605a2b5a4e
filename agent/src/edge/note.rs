//! What reactors write to each other about calls of functions, as records of a parcel. Both ends are of one build, so
//! there is no version and no byte order.

use crate::core::desk::Identity;
use crate::core::job::{JobId, Past};
use crate::core::message::{Call, Failure, Outcome, Params};
use std::net::IpAddr;

/// A call on its way to another reactor's desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submit<'a> {
    /// The caller's number for it.
    pub ticket: u32,
    /// What it has been through.
    pub past: Past,
    /// The worker it must go to.
    pub choice: Option<u32>,
    /// The call.
    pub call: Call<'a>,
}

impl<'a> Submit<'a> {
    /// Appends the note.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let Call { function, params, patience } = self.call;
        let none = u32::MAX;
        let words = [
            self.ticket,
            u32::from(self.past.hops),
            self.past.attempts,
            self.choice.unwrap_or(none),
            patience.unwrap_or(none),
            params.kind,
            params.handle,
            function.len() as u32,
        ];
        append(out, words);
        out.extend_from_slice(function);
        out.extend_from_slice(params.bytes);
    }

    /// Reads it back.
    pub fn parse(note: &'a [u8]) -> Option<Submit<'a>> {
        let ([ticket, hops, attempts, choice, patience, kind, handle, length], rest) = words::<8>(note)?;
        let (function, bytes) = rest.split_at_checked(length as usize)?;
        let some = |word: u32| (word != u32::MAX).then_some(word);
        let call = Call { function, params: Params { kind, handle, bytes }, patience: some(patience) };
        let past = Past { hops: hops as u8, attempts };
        Some(Submit { ticket, past, choice: some(choice), call })
    }
}

/// Appends how the call with this ticket ended.
pub fn append_outcome(out: &mut Vec<u8>, ticket: u32, outcome: &Outcome<'_>) {
    let (tag, number, bytes): (u32, u32, &[u8]) = match outcome {
        Outcome::Ret(bytes) => (0, 0, bytes),
        Outcome::Service { errcode, body } => (1, *errcode, body),
        Outcome::Failed(why) => (2, FAILURES.iter().position(|known| known == why).unwrap_or(0) as u32, b""),
    };
    append(out, [ticket, tag, number]);
    out.extend_from_slice(bytes);
}

/// Reads it back.
pub fn parse_outcome(note: &[u8]) -> Option<(u32, Outcome<'_>)> {
    let ([ticket, tag, number], bytes) = words::<3>(note)?;
    let outcome = match tag {
        0 => Outcome::Ret(bytes),
        1 => Outcome::Service { errcode: number, body: bytes },
        _ => Outcome::Failed(*FAILURES.get(number as usize)?),
    };
    Some((ticket, outcome))
}

/// Appends a result, and who has brought it.
pub fn append_return(out: &mut Vec<u8>, id: JobId, from: &Identity, ret: &[u8]) {
    out.extend_from_slice(&id.encode());
    let host = from.host.map_or_else(String::new, |host| host.to_string());
    append(out, [from.name.len() as u32, host.len() as u32]);
    out.extend_from_slice(&from.name);
    out.extend_from_slice(host.as_bytes());
    out.extend_from_slice(ret);
}

/// Reads it back.
pub fn parse_return(note: &[u8]) -> Option<(JobId, Identity, &[u8])> {
    let (id, rest) = note.split_first_chunk::<16>()?;
    let ([name, host], rest) = words::<2>(rest)?;
    let (name, rest) = rest.split_at_checked(name as usize)?;
    let (host, ret) = rest.split_at_checked(host as usize)?;
    let host: Option<IpAddr> = str::from_utf8(host).ok()?.parse().ok();
    Some((JobId::decode(id)?, Identity { name: name.to_vec(), host }, ret))
}

fn append<const N: usize>(out: &mut Vec<u8>, words: [u32; N]) {
    out.extend(words.into_iter().flat_map(u32::to_ne_bytes));
}

fn words<const N: usize>(mut bytes: &[u8]) -> Option<([u32; N], &[u8])> {
    let mut words = [0; N];
    for place in &mut words {
        let (word, rest) = bytes.split_first_chunk::<4>()?;
        *place = u32::from_ne_bytes(*word);
        bytes = rest;
    }
    Some((words, bytes))
}

const FAILURES: [Failure; 6] =
    [Failure::NoWorker, Failure::Busy, Failure::Deadline, Failure::Lost, Failure::Unfit, Failure::Error];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_arrives_as_it_was_sent() {
        let params = Params { kind: 6, handle: 11, bytes: b"{}" };
        for (choice, patience) in [(None, None), (Some(0), Some(0)), (Some(77), Some(30_000))] {
            let call = Call { function: b"ToUpper", params, patience };
            let submit = Submit { ticket: 9, past: Past { hops: 2, attempts: 3 }, choice, call };
            let mut note = Vec::new();
            submit.append_to(&mut note);
            assert_eq!(Submit::parse(&note), Some(submit));
        }
    }

    #[test]
    fn an_end_arrives_as_it_was_sent() {
        let failures = FAILURES.map(Outcome::Failed);
        for outcome in [Outcome::Ret(b"xyz"), Outcome::Ret(b""), Outcome::Service { errcode: 4, body: b"b" }]
            .into_iter()
            .chain(failures)
        {
            let mut note = Vec::new();
            append_outcome(&mut note, 5, &outcome);
            assert_eq!(parse_outcome(&note), Some((5, outcome)));
        }
    }

    #[test]
    fn a_result_arrives_with_who_brought_it() {
        let id = JobId::decode(b"0100000200000003").unwrap();
        for host in [None, Some("127.0.0.1".parse().unwrap()), Some("::1".parse().unwrap())] {
            let from = Identity { name: b"W\xff".to_vec(), host };
            let mut note = Vec::new();
            append_return(&mut note, id, &from, b"ret");
            assert_eq!(parse_return(&note), Some((id, from, b"ret".as_slice())));
        }
    }

    /// Notes that are under way at an upgrade are part of the snapshot: another form of them is another
    /// `upgrade::VERSION`.
    #[test]
    fn golden_the_bytes_of_a_note() {
        let params = Params { kind: 4, handle: 5, bytes: b"xy" };
        let call = Call { function: b"F", params, patience: Some(3) };
        let past = Past { attempts: 2, hops: 1 };
        let mut out = Vec::new();
        Submit { ticket: 9, past, choice: None, call }.append_to(&mut out);
        let words = [9, 1, 2, u32::MAX, 3, 4, 5, 1].map(u32::to_ne_bytes).concat();
        assert_eq!(out, [words.as_slice(), b"Fxy"].concat());
        out.clear();
        append_outcome(&mut out, 7, &Outcome::Service { errcode: 6, body: b"r" });
        assert_eq!(out, [[7, 1, 6].map(u32::to_ne_bytes).concat().as_slice(), b"r"].concat());
        out.clear();
        append_outcome(&mut out, 7, &Outcome::Failed(Failure::Deadline));
        assert_eq!(out, [7, 2, 2].map(u32::to_ne_bytes).concat());
        out.clear();
        let id = JobId::decode(b"0100000200000003").unwrap();
        append_return(&mut out, id, &Identity { name: b"W".to_vec(), host: None }, b"r");
        let head = [b"0100000200000003".as_slice(), &[1, 0].map(u32::to_ne_bytes).concat()].concat();
        assert_eq!(out, [head.as_slice(), b"Wr"].concat());
    }
}
