//! A caller as nmid's Go client is: it gives up after a while and asks the next thing on the same connection.
//!
//! An answer that was on its way when it gave up arrives before that of its next request; nobody can prevent that, and
//! whoever checks what an answer belongs to can tell. So such an answer is counted as crossed. Anything else that
//! belongs to an older request is wrong. A failure says nothing about which request it belongs to: when it may be that
//! of an older one, the caller gives up the connection too.

use super::caller::{Caller, Source, count_unasked, described, request};
use super::connection::Connection;
use super::tally::{Asked, Tally, Told};
use msf_wire::nmid::{Dialect, ToClient};
use std::io;
use std::time::{Duration, Instant};

/// How long it waits.
const PATIENCE: Duration = Duration::from_millis(40);

/// One connection, one request that counts, and those it has given up.
pub struct Impatient {
    source: Source,
    connection: Connection,
    given_up: Vec<Asked>,
}

impl Impatient {
    /// Connects.
    pub fn connect(source: Source) -> io::Result<Impatient> {
        let connection = Connection::open(source.plan().nmid)?;
        Ok(Impatient { source, connection, given_up: Vec::new() })
    }

    /// Until the answer to `asked` comes, or `end`.
    fn answer(&mut self, asked: &Asked, end: Instant, tally: &mut Tally) -> io::Result<Option<Told>> {
        while let Some(received) = self.connection.receive(end)? {
            let parsed = ToClient::parse(&received.frame());
            let is_of = |older: &Asked| matches!(parsed, Ok(ToClient::Answer(answer)) if answer.params == older.params);
            let Some(place) = self.given_up.iter().position(is_of) else {
                return Ok(Some(Told::of_frame(parsed, asked)));
            };
            // Given up and answered: the same answer a second time is an answer to nothing.
            let older = self.given_up.swap_remove(place);
            tally.crossed += 1;
            tally.count(&older, Told::of_frame(parsed, &older), self.source.deadline());
        }
        Ok(None)
    }

    /// Whether this may have ended any of several requests.
    fn is_of_nobody(&self, told: &Told) -> bool {
        !self.given_up.is_empty() && told.is_nameless()
    }

    /// Which of all its requests was ended, and what became of the others, is for nobody to say.
    fn lose_track(&mut self, tally: &mut Tally) -> io::Result<()> {
        let older = self.given_up.drain(..).count() as u64;
        tally.given_up -= older;
        tally.left += 1 + older;
        self.connection = Connection::open(self.source.plan().nmid)?;
        Ok(())
    }
}

impl Caller for Impatient {
    fn round(&mut self, tally: &mut Tally) -> io::Result<()> {
        if self.given_up.is_empty() {
            count_unasked(&mut self.connection, tally)?;
        }
        let mut frames = Vec::new();
        let asked = request(&mut self.source, Dialect::G2, &mut frames);
        self.connection.send(&frames)?;
        tally.sent += 1;
        match self.answer(&asked, Instant::now() + PATIENCE, tally)? {
            Some(told) if self.is_of_nobody(&told) => self.lose_track(tally)?,
            Some(told) => {
                tally.count(&asked, told, self.source.deadline());
                // Answers come in order: what is older and has not come never will.
                self.given_up.clear();
            }
            None => {
                tally.given_up += 1;
                self.given_up.push(asked);
            }
        }
        Ok(())
    }

    fn listen(&mut self, end: Instant, tally: &mut Tally) -> io::Result<()> {
        // The last request may be one it has given up: nothing has replaced that, so its answer is due.
        if let Some(last) = self.given_up.pop() {
            tally.given_up -= 1;
            let due = self.source.end();
            match self.answer(&last, due, tally)? {
                Some(told) if self.is_of_nobody(&told) => self.lose_track(tally)?,
                Some(told) => tally.count(&last, told, self.source.deadline()),
                None => tally.count_silence(&last),
            }
        }
        while let Some(received) = self.connection.receive(end)? {
            tally.count_unasked(described(&received));
        }
        Ok(())
    }
}
