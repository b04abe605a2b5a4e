//! The admin socket for the process that goes on with it: who is there, and whose calls and taps are under way.
//! Questions are not among that: reactors that stand still have answered theirs.

use super::super::guests::Guests;
use super::{Admin, Call, Desk, RULES, Talk, Tap, Watch};
use msf_core::event::{Reactor, Token};
use msf_wire::snapshot::{Reader, State, Writer};
use msf_wire::state;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

state! { struct Talk { searched } }

/// A call: by its number, who has made it and which reactor was asked.
type KeptCall = (u32, u32, usize);
/// A tap: by its number, who looks, and at what; who does not look yet, and what was not shown.
type KeptTap = ((u32, u32, String), (usize, u64));
/// A look at events: by its number, who looks, for which name, and what he was not shown.
type KeptWatch = (u32, u32, (String, u64));

impl Admin {
    /// Appends who is here and what is under way.
    pub fn save(&self, out: &mut Writer) {
        self.guests.save(out);
        let calls = self.desk.calls.iter().map(|(number, call)| (*number, call.guest.bits(), call.reactor));
        calls.collect::<Vec<KeptCall>>().save(out);
        let tap = |(number, tap): (&u32, &Tap)| {
            ((*number, tap.guest.bits(), tap.function.clone()), (tap.awaited, tap.missed))
        };
        self.desk.taps.iter().map(tap).collect::<Vec<KeptTap>>().save(out);
        let watch = |(number, watch): (&u32, &Watch)| (*number, watch.guest.bits(), (watch.name.clone(), watch.lost));
        self.desk.watches.iter().map(watch).collect::<Vec<KeptWatch>>().save(out);
        self.desk.latest.save(out);
    }

    /// Goes on with the guests of another process.
    ///
    /// # Errors
    /// What was saved is not that, or the guests cannot be watched.
    pub fn resumed(reactor: &mut Reactor, from: &mut Reader<'_>) -> io::Result<Admin> {
        let guests = Guests::resumed(reactor, RULES, from)?;
        let kept = <(Vec<KeptCall>, Vec<KeptTap>, (Vec<KeptWatch>, u32))>::load(from);
        let (calls, taps, (watches, latest)) = kept.map_err(io::Error::other)?;
        let call = |(number, guest, reactor)| (number, Call { guest: Token::from_bits(guest), reactor });
        let tap = |((number, guest, function), (awaited, missed))| {
            (number, Tap { guest: Token::from_bits(guest), function, awaited, missed })
        };
        let watch = |(number, guest, (name, lost))| (number, Watch { guest: Token::from_bits(guest), name, lost });
        let watches = watches.into_iter().map(watch).collect();
        let calls = calls.into_iter().map(call).collect();
        let taps = taps.into_iter().map(tap).collect();
        let desk = Desk { questions: BTreeMap::new(), calls, taps, watches, latest, wishes: Vec::new() };
        Ok(Admin { guests, desk })
    }

    /// Appends how it is laid out.
    #[cfg(test)]
    pub fn shape(out: &mut String) {
        Guests::<Talk>::shape(out);
        <(Vec<KeptCall>, Vec<KeptTap>, (Vec<KeptWatch>, u32))>::shape(out);
    }

    /// Appends the listener.
    pub fn save_listener(&self, out: &mut Writer) {
        self.guests.save_listener(out);
    }

    /// Ends: the listener is another process's.
    pub fn let_go(self, reactor: &Reactor) {
        self.guests.let_go(reactor);
    }

    /// The socket's file is ours from here on.
    pub fn keep(&mut self) {
        self.guests.keep();
    }

    /// Whether a guest is here.
    pub fn has(&mut self, token: Token) -> bool {
        self.guests.get_mut(token).is_some()
    }

    /// Lets a guest go with its connection open; `None` when it is not here.
    pub fn release(&mut self, reactor: &Reactor, token: Token) -> Option<OwnedFd> {
        self.guests.release(reactor, token)
    }
}
