//! Connections that the control thread serves itself: a scraper of the metrics, an operator at the admin socket.
//!
//! They are few, and nobody's calls depend on them, so they get what they need in small turns and no more: so many at a
//! time, so many reads per turn, nothing read while an answer waits to be taken, and a limit in time for everything.
//! Whoever comes when all places are taken gets the place of who has done nothing longest.

use super::listener::Listener;
use crate::core::message::Peer;
use crate::upgrade::table;
use msf_core::event::{Interest, Reactor, Slots, Token};
use msf_wire::snapshot::{Reader, State, Writer};
use nix::errno::Errno;
use nix::unistd::{read, write};
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// One kind of guest, behind one listener.
pub struct Guests<T> {
    listener: Listener,
    rules: Rules,
    slots: Slots<Guest<T>>,
    /// The timer that looks for those whose time is over is armed.
    sweeping: bool,
    /// Somebody waits at the door for whom there was no descriptor or no memory.
    short: bool,
}

impl<T: State> Guests<T> {
    /// Appends the listener and everybody who is here.
    pub fn save(&self, out: &mut Writer) {
        self.listener.save(out);
        table::save(&self.slots, out, |guest, out| {
            guest.socket.save(out);
            guest.talk.save(out);
            guest.inbox.save(out);
            guest.out.get(guest.sent..).unwrap_or_default().to_vec().save(out);
            (guest.ends, guest.awaits, guest.streams).save(out);
        });
    }

    /// Goes on with those of another process, whose time begins anew.
    pub fn resumed(reactor: &mut Reactor, rules: Rules, from: &mut Reader<'_>) -> io::Result<Guests<T>> {
        let now = reactor.now();
        let listener = Listener::load(from).map_err(io::Error::other)?;
        let slots = table::load(from, |from| {
            let (socket, talk, (inbox, out)) = State::load(from)?;
            let (ends, awaits, streams) = State::load(from)?;
            let doing = Doing::Nothing;
            Ok(Guest { socket, talk, inbox, out, sent: 0, ends, awaits, streams, doing, since: now })
        });
        let slots: Slots<Guest<T>> = slots.map_err(io::Error::other)?;
        for (token, guest) in slots.iter() {
            reactor.watch(&guest.socket, Token::from_bits(token.bits() + rules.base), Interest::BOTH)?;
        }
        reactor.watch(&listener, Token::from_bits(rules.base + DOOR), Interest::READ)?;
        let mut guests = Guests { listener, rules, slots, sweeping: false, short: false };
        guests.sweep_soon(reactor);
        Ok(guests)
    }

    /// Appends how it is laid out.
    #[cfg(test)]
    pub fn shape(out: &mut String) {
        Listener::shape(out);
        Vec::<u16>::shape(out);
        Vec::<(u32, (OwnedFd, T, (Vec<u8>, Vec<u8>)))>::shape(out);
        <(bool, bool, bool)>::shape(out);
    }
}

/// What holds for a kind of guest.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Added to their tokens, so that they are told from everybody else's; also their timer's key.
    pub base: u32,
    /// How many at a time; less than [`DOOR`].
    pub most: usize,
    /// Bytes one may have sent that are no whole request yet.
    pub inbox: usize,
    /// How long one may say nothing.
    pub idle: Duration,
    /// How long a request may take to come, and an answer to be taken.
    pub slow: Duration,
    /// Who may come.
    pub admits: fn(&Peer) -> bool,
}

/// One connection.
pub struct Guest<T> {
    socket: OwnedFd,
    /// What is said over it.
    pub talk: T,
    /// What has come and was not understood yet.
    pub inbox: Vec<u8>,
    /// What is to be sent.
    out: Vec<u8>,
    sent: usize,
    /// To be closed when everything is sent.
    pub ends: bool,
    /// An answer is under way, and nothing is read until it is given.
    pub awaits: bool,
    /// It listens to what comes: it may be silent for as long as it likes.
    pub streams: bool,
    doing: Doing,
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Nothing,
    Asking,
    Taking,
}

impl<T> Guest<T> {
    /// Where answers are put.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Bytes it has not taken yet.
    pub fn owed(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Sends what it takes; false when it is gone.
    fn flush(&mut self) -> bool {
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match write(&self.socket, rest) {
                Ok(count) => self.sent += count,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return true,
                Err(_) => return false,
            }
        }
        self.sent = 0;
        self.out.clear();
        self.out.shrink_to(KEEP);
        true
    }

    /// One read; what it showed.
    fn hear(&mut self, scratch: &mut [u8]) -> Heard {
        match read(&self.socket, scratch) {
            Ok(0) => Heard::Gone,
            Ok(count) => {
                self.inbox.extend_from_slice(scratch.get(..count).unwrap_or_default());
                Heard::Something
            }
            Err(Errno::EINTR) => Heard::Something,
            Err(Errno::EAGAIN) => Heard::Nothing,
            Err(_) => Heard::Gone,
        }
    }

    /// Notes what it does now; how long it may is counted from when it began.
    fn note(&mut self, now: Instant, answered: bool) {
        let doing = match () {
            () if self.owed() > 0 => Doing::Taking,
            () if !self.inbox.is_empty() => Doing::Asking,
            () => Doing::Nothing,
        };
        if doing != self.doing || answered {
            (self.doing, self.since) = (doing, now);
        }
    }

    fn overstays(&self, rules: &Rules, now: Instant) -> bool {
        let stays = now.saturating_duration_since(self.since);
        match self.doing {
            Doing::Nothing => !self.awaits && !self.streams && stays > rules.idle,
            Doing::Asking | Doing::Taking => stays > rules.slow,
        }
    }
}

enum Heard {
    Something,
    Nothing,
    Gone,
}

impl<T> Guests<T> {
    /// Where they come in.
    pub fn place(&self) -> String {
        self.listener.to_string()
    }

    /// Appends the listener.
    pub fn save_listener(&self, out: &mut Writer) {
        self.listener.save(out);
    }

    /// Ends: the listener is another process's.
    pub fn let_go(self, reactor: &Reactor) {
        self.listener.let_go(reactor);
    }

    /// The listener's file is ours from here on.
    pub fn keep(&mut self) {
        self.listener.keep();
    }

    /// Lets a guest go, with its connection open; `None` when it is not here.
    pub fn release(&mut self, reactor: &Reactor, token: Token) -> Option<OwnedFd> {
        let guest = self.slots.remove(token)?;
        // Nobody is told anything about it from here on; if that failed, about nobody.
        let _ = reactor.unwatch(&guest.socket);
        Some(guest.socket)
    }

    fn sweep_soon(&mut self, reactor: &mut Reactor) {
        if !self.sweeping {
            self.sweeping = true;
            reactor.arm(SWEEP, u64::from(self.rules.base));
        }
    }
}

impl<T: Default> Guests<T> {
    /// Opens the door.
    pub fn new(reactor: &Reactor, listener: Listener, rules: Rules) -> io::Result<Guests<T>> {
        reactor.watch(&listener, Token::from_bits(rules.base + DOOR), Interest::READ)?;
        Ok(Guests { listener, rules, slots: Slots::default(), sweeping: false, short: false })
    }

    /// Whether an event under this token is theirs.
    pub fn own(&self, token: Token) -> bool {
        (self.rules.base as usize..=(self.rules.base + DOOR) as usize).contains(&token.slot())
    }

    /// Whether this timer is theirs.
    pub fn own_timer(&self, key: u64) -> bool {
        key == u64::from(self.rules.base)
    }

    /// Something has happened at `token`. `hear` is shown what a guest has sent, takes requests out of its inbox and
    /// puts answers out; it is asked again until it puts out nothing.
    pub fn ready(&mut self, reactor: &mut Reactor, token: Token, hear: impl FnMut(Token, &mut Guest<T>)) {
        if token.slot() == (self.rules.base + DOOR) as usize {
            return self.welcome(reactor);
        }
        self.serve(reactor, Token::from_bits(token.bits().wrapping_sub(self.rules.base)), hear);
    }

    /// One guest's turn.
    pub fn serve(&mut self, reactor: &mut Reactor, token: Token, mut hear: impl FnMut(Token, &mut Guest<T>)) {
        let Some(guest) = self.slots.get_mut(token) else { return };
        let mut scratch = [0; SCRATCH];
        let mut answered = false;
        let mut rounds = 0..ROUNDS;
        let stays = loop {
            if !guest.flush() {
                break false;
            }
            if guest.owed() > 0 {
                break true;
            }
            if guest.ends || guest.inbox.len() > self.rules.inbox {
                break false;
            }
            if rounds.next().is_none() {
                // The others first; changing what is watched shows again what is left.
                let again = Token::from_bits(token.bits() + self.rules.base);
                break reactor.rewatch(&guest.socket, again, Interest::BOTH).is_ok();
            }
            hear(token, guest);
            answered |= guest.owed() > 0;
            if guest.owed() > 0 || guest.ends {
                continue;
            }
            if guest.awaits {
                break true;
            }
            match guest.hear(&mut scratch) {
                Heard::Something => {}
                Heard::Nothing => break true,
                Heard::Gone => break false,
            }
        };
        guest.note(reactor.now(), answered);
        if !stays {
            self.slots.remove(token);
        }
    }

    /// A guest by its token.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut Guest<T>> {
        self.slots.get_mut(token)
    }

    /// The timer has fired: who has had his time goes.
    pub fn sweep(&mut self, reactor: &mut Reactor) {
        let (rules, now) = (self.rules, reactor.now());
        let over = self.slots.iter().filter(|(_, guest)| guest.overstays(&rules, now));
        let over: Vec<Token> = over.map(|(token, _)| token).collect();
        over.into_iter().for_each(|token| drop(self.slots.remove(token)));
        self.sweeping = false;
        if std::mem::take(&mut self.short) {
            self.knock_again(reactor);
        }
        if !self.slots.is_empty() {
            self.sweep_soon(reactor);
        }
    }

    fn welcome(&mut self, reactor: &mut Reactor) {
        for _ in 0..MOST_PER_TURN {
            match self.listener.accept() {
                Ok((socket, peer)) if (self.rules.admits)(&peer) => self.seat(reactor, socket),
                Ok(_) => {}
                Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                    Some(Errno::EAGAIN) => return,
                    Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS) => {
                        self.short = true;
                        return self.sweep_soon(reactor);
                    }
                    // That one has given up.
                    _ => {}
                },
            }
        }
        self.knock_again(reactor);
    }

    /// Whoever still waits at the door is announced anew.
    fn knock_again(&mut self, reactor: &Reactor) {
        let door = Token::from_bits(self.rules.base + DOOR);
        // It cannot fail for a listener that is watched; if it did, the next one to come would announce all of them.
        let _ = reactor.rewatch(&self.listener, door, Interest::READ);
    }

    fn seat(&mut self, reactor: &mut Reactor, socket: OwnedFd) {
        if self.slots.len() >= self.rules.most {
            let longest = self.slots.iter().min_by_key(|(_, guest)| (guest.awaits, guest.since));
            let longest = longest.map(|(token, _)| token);
            longest.map(|token| self.slots.remove(token));
        }
        let guest = Guest {
            socket,
            talk: T::default(),
            inbox: Vec::new(),
            out: Vec::new(),
            sent: 0,
            ends: false,
            awaits: false,
            streams: false,
            doing: Doing::Nothing,
            since: reactor.now(),
        };
        let Some(token) = self.slots.insert(guest) else { return };
        let outer = Token::from_bits(token.bits() + self.rules.base);
        let watched = self.slots.get(token).map(|guest| reactor.watch(&guest.socket, outer, Interest::BOTH));
        if !matches!(watched, Some(Ok(()))) {
            self.slots.remove(token);
        }
        self.sweep_soon(reactor);
    }
}

/// The listener's place behind the guests'.
pub const DOOR: u32 = 0xfff;
/// One read.
const SCRATCH: usize = 8 * 1024;
/// Reads and answers for one guest in one turn.
const ROUNDS: usize = 4;
/// Guests let in at once.
const MOST_PER_TURN: usize = 16;
/// What an idle guest keeps for its next answer.
const KEEP: usize = 4 * 1024;
const SWEEP: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::super::listener::Rights;
    use super::*;
    use msf_core::event::{Ready, Turn};
    use std::io::{ErrorKind, Read, Write};
    use std::os::unix::net::UnixStream;
    use std::path::PathBuf;

    const RULES: Rules = Rules {
        base: 0x1_0000,
        most: 2,
        inbox: 100,
        idle: Duration::from_millis(50),
        slow: Duration::from_millis(50),
        admits: |_| true,
    };

    /// Guests who get a line back for each line, and the loop they live on.
    struct House {
        guests: Guests<()>,
        path: PathBuf,
    }

    impl Turn for House {
        fn ready(&mut self, reactor: &mut Reactor, token: Token, _ready: Ready) {
            assert!(self.guests.own(token));
            self.guests.ready(reactor, token, |_, guest| {
                let Some(end) = guest.inbox.iter().position(|byte| *byte == b'\n') else { return };
                let line: Vec<u8> = guest.inbox.drain(..=end).collect();
                guest.out().extend_from_slice(&line.repeat(if line == b"much\n" { 1 << 20 } else { 1 }));
            });
        }

        fn expired(&mut self, reactor: &mut Reactor, key: u64) {
            assert!(self.guests.own_timer(key));
            self.guests.sweep(reactor);
        }

        fn woken(&mut self, _reactor: &mut Reactor) {}
    }

    impl Drop for House {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(self.path.parent().unwrap());
        }
    }

    fn house(name: &str, rules: Rules) -> (Reactor, House) {
        let folder = std::env::temp_dir().join(format!("msf-guests-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("sock");
        let reactor = Reactor::new().unwrap();
        let listener = Listener::unix(&path, Rights { mode: 0o600, group: None }, 8).unwrap();
        let guests = Guests::new(&reactor, listener, rules).unwrap();
        (reactor, House { guests, path })
    }

    /// Turns the loop until the guests are so many.
    fn turn_until(reactor: &mut Reactor, house: &mut House, count: usize) {
        while house.guests.slots.len() != count {
            reactor.turn(house, Some(Duration::from_secs(5))).unwrap();
        }
    }
    fn guest(house: &House) -> UnixStream {
        let stream = UnixStream::connect(&house.path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    #[test]
    fn a_guest_that_says_nothing_or_half_a_request_has_its_time() {
        let (mut reactor, mut house) = house("time", RULES);
        let (mut silent, mut half) = (guest(&house), guest(&house));
        half.write_all(b"hal").unwrap();
        turn_until(&mut reactor, &mut house, 2);
        turn_until(&mut reactor, &mut house, 0);
        assert_eq!((silent.read(&mut [0]).unwrap(), half.read(&mut [0]).unwrap()), (0, 0));
    }

    #[test]
    fn a_guest_that_does_not_take_its_answer_has_its_time_and_is_read_no_further() {
        let (mut reactor, mut house) = house("taking", RULES);
        let mut stream = guest(&house);
        stream.write_all(b"much\nmore\n").unwrap();
        turn_until(&mut reactor, &mut house, 1);
        reactor.turn(&mut house, Some(Duration::from_millis(10))).unwrap();
        turn_until(&mut reactor, &mut house, 0);
        let mut got = Vec::new();
        let ended = stream.read_to_end(&mut got);
        assert!(ended.is_ok() || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
        assert!(got.len() < 5 << 20 && !got.ends_with(b"more\n"), "{}", got.len());
    }

    #[test]
    fn who_comes_when_every_place_is_taken_gets_that_of_who_has_done_nothing_longest() {
        let (mut reactor, mut house) = house("places", Rules { idle: Duration::from_secs(60), ..RULES });
        let mut first = guest(&house);
        turn_until(&mut reactor, &mut house, 1);
        let mut second = guest(&house);
        turn_until(&mut reactor, &mut house, 2);
        let mut third = guest(&house);
        third.write_all(b"hello\n").unwrap();
        let mut answer = [0; 6];
        third.set_nonblocking(true).unwrap();
        while third.read(&mut answer).is_err() {
            reactor.turn(&mut house, Some(Duration::from_millis(10))).unwrap();
        }
        assert_eq!(&answer, b"hello\n");
        assert_eq!(first.read(&mut [0]).unwrap(), 0);
        second.set_nonblocking(true).unwrap();
        assert_eq!(second.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    #[test]
    fn a_line_too_long_ends_the_visit() {
        let (mut reactor, mut house) = house("long", RULES);
        let mut stream = guest(&house);
        stream.write_all(&[b'x'; 101]).unwrap();
        turn_until(&mut reactor, &mut house, 1);
        turn_until(&mut reactor, &mut house, 0);
        assert!(!matches!(stream.read(&mut [0]), Ok(1..)));
    }
}
