//! The answers of one connection in the order of its requests, whenever their calls end.

use super::compat;
use super::manner::Manner;
use super::modern::Telling;
use super::verdict::Verdict;
use msf_wire::http::Persistence;
use msf_wire::state;
use std::collections::VecDeque;

/// Requests that have not been answered, and answers that wait for earlier ones.
#[derive(Debug, Default)]
pub struct Line {
    places: VecDeque<Place>,
    /// The ticket of the first place. Tickets are counted on; they may wrap.
    first: u32,
}

state! { struct Line { places, first } }

/// A request whose call is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// How its answer must look.
    pub manner: Manner,
    /// Which face it has seen.
    pub face: Face,
    /// When it came, in microseconds.
    pub since: u64,
}

state! { struct Pending { manner, face, since } }

/// The face a request has seen, and what its answer must repeat of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Face {
    /// nmid's, with the name in the request's header.
    Compat(Box<[u8]>),
    /// Ours.
    Modern(Telling),
}

state! { enum Face { 0 Compat(named: Box<[u8]>), 1 Modern(telling: Telling) } }

/// How a call was answered, for the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// With this status.
    pub status: u16,
    /// To a request that came then.
    pub since: u64,
}

#[derive(Debug)]
enum Place {
    Pending(Pending),
    /// The answer, and what becomes of the connection after it.
    Ready(Vec<u8>, Persistence),
}

state! { enum Place { 0 Pending(pending: Pending), 1 Ready(answer: Vec<u8>, after: Persistence) } }

impl Line {
    /// How many requests are not answered.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether all are.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes of answers that wait.
    pub fn buffered(&self) -> usize {
        let bytes = |place: &Place| if let Place::Ready(bytes, _) = place { bytes.len() } else { 0 };
        self.places.iter().map(bytes).sum()
    }

    /// A call has begun: the ticket its end must come to.
    pub fn wait(&mut self, pending: Pending) -> u32 {
        self.places.push_back(Place::Pending(pending));
        self.first.wrapping_add(self.places.len() as u32 - 1)
    }

    /// A request was answered without a call. What can go out now is left in `answer`.
    pub fn answered(&mut self, answer: &mut Vec<u8>, persistence: Persistence) -> Option<Persistence> {
        if self.places.is_empty() {
            self.first = self.first.wrapping_add(1);
            return Some(persistence);
        }
        self.places.push_back(Place::Ready(std::mem::take(answer), persistence));
        None
    }

    /// A call has ended. What can go out now is appended to `out`; `None` when nobody waits at this ticket.
    pub fn conclude(&mut self, ticket: u32, verdict: &Verdict<'_>, out: &mut Vec<u8>) -> Option<Told> {
        let index = ticket.wrapping_sub(self.first) as usize;
        let place = self.places.get_mut(index)?;
        let Place::Pending(Pending { manner, face, since }) = place else { return None };
        let (manner, since) = (*manner, *since);
        let mut answer = Vec::new();
        let target = if index == 0 { &mut *out } else { &mut answer };
        let status = match face {
            Face::Compat(named) => compat::conclude(verdict, named, manner, target),
            Face::Modern(telling) => telling.conclude(verdict, manner, target),
        };
        // An empty answer at the front has gone out already.
        *place = Place::Ready(answer, manner.persistence);
        Some(Told { status, since })
    }

    /// Appends what can go out; what becomes of the connection after the last of it, if anything goes out.
    pub fn advance(&mut self, out: &mut Vec<u8>) -> Option<Persistence> {
        let mut after = None;
        while let Some(Place::Ready(bytes, persistence)) = self.places.front() {
            out.extend_from_slice(bytes);
            after = Some(*persistence);
            self.places.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::message::Outcome;
    use Persistence::{Ends, Stays};

    fn pending(name: &str, persistence: Persistence) -> Pending {
        let manner = Manner { persistence, bodiless: false };
        Pending { manner, face: Face::Compat(name.as_bytes().into()), since: 7 }
    }

    fn conclude(line: &mut Line, ticket: u32, data: u8) -> (String, Option<Persistence>) {
        let mut out = Vec::new();
        let ret = [0x93, 0, 0xa0, 0xa1, data];
        let told = line.conclude(ticket, &Verdict::of(&Outcome::Ret(&ret)), &mut out);
        assert_eq!(told, Some(Told { status: 200, since: 7 }));
        let after = line.advance(&mut out);
        let text = String::from_utf8(out).unwrap();
        let bodies = text.split("\r\n\r\n").skip(1).filter_map(|rest| rest.get(..1));
        (bodies.collect(), after)
    }

    #[test]
    fn answers_go_out_in_the_order_of_the_requests() {
        let mut line = Line { first: u32::MAX - 1, ..Line::default() };
        let tickets: Vec<u32> = (0..3).map(|_| line.wait(pending("F", Stays))).collect();
        assert_eq!(tickets, [u32::MAX - 1, u32::MAX, 0]);
        assert_eq!(conclude(&mut line, tickets[1], b'b'), (String::new(), None));
        assert!(line.buffered() > 0 && line.len() == 3);
        assert_eq!(conclude(&mut line, tickets[0], b'a'), ("ab".into(), Some(Stays)));
        assert_eq!(conclude(&mut line, tickets[2], b'c'), ("c".into(), Some(Stays)));
        assert!(line.is_empty() && line.buffered() == 0);
    }

    #[test]
    fn what_is_answered_at_once_waits_for_what_was_asked_before() {
        let mut line = Line::default();
        let mut page = b"\r\n\r\n1".to_vec();
        assert_eq!(line.answered(&mut page, Stays), Some(Stays));
        assert_eq!(page, b"\r\n\r\n1", "nothing before it");
        let ticket = line.wait(pending("F", Stays));
        assert_eq!(line.answered(&mut page, Ends), None);
        assert!(page.is_empty());
        assert_eq!(conclude(&mut line, ticket, b'0'), ("01".into(), Some(Ends)));
    }

    #[test]
    fn an_end_that_nobody_waits_for_says_nothing() {
        let mut line = Line::default();
        let ticket = line.wait(pending("F", Stays));
        let verdict = Verdict::Empty;
        for stranger in [ticket.wrapping_add(1), ticket.wrapping_sub(1)] {
            assert_eq!(line.conclude(stranger, &verdict, &mut Vec::new()), None);
        }
        conclude(&mut line, ticket, b'a');
        assert_eq!(line.conclude(ticket, &verdict, &mut Vec::new()), None);
    }
}
