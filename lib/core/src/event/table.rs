//! Who is armed on one event base, and whose callbacks run. Pure bookkeeping: no system call, no lock.
//!
//! Two things protect a callback from a report that is not meant for it. A [`Token`] carries a generation, so a report
//! for a removed entry finds nobody. And every entry carries a stamp of the base's clock, which ticks for every poll
//! and every arming: a report is stale when its poll began before the entry was armed, or before a later (nested) poll
//! has delivered to it.

use super::slots::{Slots, Token};
use std::collections::HashMap;
use std::os::fd::RawFd;
use std::thread::ThreadId;

/// How deep a callback may turn its own loop again.
const DEEPEST: usize = 8;

/// One armed event.
#[derive(Debug)]
pub(super) struct Entry<H> {
    /// The event's own number, unique in the process and never zero.
    pub event: u64,
    /// A number only: the C caller owns the descriptor, and may have closed it.
    pub fd: RawFd,
    pub handler: H,
    stamp: u64,
}

/// Why a thread may not turn the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Another thread turns it.
    Busy,
    /// This thread turns it already, as deep as allowed.
    TooDeep,
}

/// The armed events of one base.
#[derive(Debug)]
pub(super) struct Table<H> {
    entries: Slots<Entry<H>>,
    /// Whose registration the kernel keeps under a descriptor's number. It is another's than the entry's own after
    /// the caller has closed a descriptor and armed a new event under the same number.
    owners: HashMap<RawFd, Token>,
    /// Ticks at every arming and every poll.
    clock: u64,
    /// The event whose callback runs; zero when none does.
    running: u64,
    /// The same for every turn inside whose callback the loop is being turned again.
    outer: Vec<u64>,
    turner: Option<ThreadId>,
    /// Threads that wait for a callback to end.
    pub waiting: usize,
    /// When a registration was last left behind in the kernel, perhaps.
    orphaned: Option<u64>,
}

impl<H: Copy> Table<H> {
    pub fn new() -> Table<H> {
        Table {
            entries: Slots::default(),
            owners: HashMap::new(),
            clock: 0,
            running: 0,
            outer: Vec::new(),
            turner: None,
            waiting: 0,
            orphaned: None,
        }
    }

    /// The next tick; a poll takes its number before it asks the kernel.
    pub fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Arms; `None` when the table is full.
    pub fn insert(&mut self, event: u64, fd: RawFd, handler: H) -> Option<Token> {
        let stamp = self.tick();
        self.entries.insert(Entry { event, fd, handler, stamp })
    }

    /// Whether `event` is armed as `token`.
    pub fn holds(&self, token: Token, event: u64) -> bool {
        self.entries.get(token).is_some_and(|entry| entry.event == event)
    }

    /// Disarms. True when the kernel keeps a registration that the caller has to remove.
    pub fn remove(&mut self, token: Token, event: u64) -> Option<(RawFd, bool)> {
        if !self.holds(token, event) {
            return None;
        }
        let fd = self.entries.remove(token)?.fd;
        let owner = self.owns(token, fd);
        if owner {
            self.owners.remove(&fd);
        } else {
            self.orphan();
        }
        Some((fd, owner))
    }

    /// Takes back an insertion that the kernel refused.
    pub fn discard(&mut self, token: Token) {
        self.entries.remove(token);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.entries.iter().count()
    }

    /// Forgets everybody.
    pub fn clear(&mut self) {
        self.entries = Slots::default();
        self.owners.clear();
    }

    /// The kernel reports `fd` as `token` from now on.
    pub fn own(&mut self, token: Token, fd: RawFd) {
        self.owners.insert(fd, token);
    }

    /// The kernel no longer knows `fd`.
    pub fn disown(&mut self, fd: RawFd) {
        self.owners.remove(&fd);
    }

    /// Whether the kernel's registration of `fd` is that of `token`.
    pub fn owns(&self, token: Token, fd: RawFd) -> bool {
        self.owners.get(&fd) == Some(&token)
    }

    /// All registrations that the kernel should have.
    pub fn owned(&self) -> Vec<(Token, RawFd, H)> {
        let owned = self.entries.iter().filter(|(token, entry)| self.owns(*token, entry.fd));
        owned.map(|(token, entry)| (token, entry.fd, entry.handler)).collect()
    }

    /// A registration may have stayed behind in the kernel: its descriptor was closed before the event was removed,
    /// while a duplicate (in a forked child, say) keeps the open file alive.
    pub fn orphan(&mut self) {
        self.orphaned = Some(self.tick());
    }

    /// Whether a report of poll number `poll` that found nobody comes from such a registration.
    pub fn is_orphan(&self, poll: u64) -> bool {
        self.orphaned.is_some_and(|when| when < poll)
    }

    /// The kernel's set is new; nothing stayed behind.
    pub fn adopt_new_set(&mut self) {
        self.orphaned = None;
    }

    /// The entry that a report of poll number `poll` is meant for, and marks it delivered.
    #[inline]
    pub fn deliver(&mut self, token: Token, poll: u64) -> Option<&Entry<H>> {
        let entry = self.entries.get_mut(token)?;
        if entry.stamp >= poll {
            return None;
        }
        entry.stamp = poll;
        Some(entry)
    }

    /// The entry to which poll number `poll` was the last to deliver.
    pub fn delivered(&self, token: Token, poll: u64) -> Option<&Entry<H>> {
        self.entries.get(token).filter(|entry| entry.stamp == poll)
    }

    /// Whether `token` finds anybody.
    pub fn knows(&self, token: Token) -> bool {
        self.entries.get(token).is_some()
    }

    /// A callback of `event` is about to run, or (zero) the one that ran has returned.
    #[inline]
    pub fn run(&mut self, event: u64) {
        self.running = event;
    }

    /// Whether a callback of `event` runs.
    pub fn runs(&self, event: u64) -> bool {
        self.running == event || self.outer.contains(&event)
    }

    /// Who turns the loop.
    pub fn turner(&self) -> Option<ThreadId> {
        self.turner
    }

    /// `thread` begins to turn the loop, perhaps once more from inside a callback.
    pub fn enter(&mut self, thread: ThreadId) -> Result<(), Refused> {
        match self.turner {
            Some(turner) if turner != thread => return Err(Refused::Busy),
            Some(_) if self.outer.len() == DEEPEST => return Err(Refused::TooDeep),
            _ => {}
        }
        self.turner = Some(thread);
        self.outer.push(std::mem::take(&mut self.running));
        Ok(())
    }

    /// The thread that entered last leaves.
    pub fn leave(&mut self) {
        self.running = self.outer.pop().unwrap_or(0);
        if self.outer.is_empty() {
            self.turner = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn table() -> Table<char> {
        Table::new()
    }

    #[test]
    fn report_older_than_the_arming_is_stale() {
        let mut table = table();
        let poll = table.tick();
        let token = table.insert(1, 5, 'a').unwrap();
        assert!(table.deliver(token, poll).is_none());
        let poll = table.tick();
        assert_eq!(table.deliver(token, poll).unwrap().handler, 'a');
    }

    #[test]
    fn report_that_a_nested_poll_has_overtaken_is_stale() {
        let mut table = table();
        let token = table.insert(1, 5, 'a').unwrap();
        let outer = table.tick();
        let inner = table.tick();
        assert!(table.deliver(token, inner).is_some());
        assert!(table.deliver(token, outer).is_none());
        assert!(table.delivered(token, outer).is_none());
        assert!(table.delivered(token, inner).is_some());
    }

    #[test]
    fn descriptor_reused_by_a_new_event_is_not_the_old_events_to_remove() {
        let mut table = table();
        let old = table.insert(1, 5, 'a').unwrap();
        table.own(old, 5);
        let new = table.insert(2, 5, 'b').unwrap();
        table.own(new, 5);
        assert_eq!(table.remove(old, 1), Some((5, false)));
        let poll = table.tick();
        assert!(table.is_orphan(poll));
        assert_eq!(table.owned(), [(new, 5, 'b')]);
        assert_eq!(table.remove(new, 2), Some((5, true)));
        assert_eq!(table.remove(new, 2), None);
    }

    #[test]
    fn loop_is_turned_by_one_thread_and_nested_only_so_deep() {
        let mut table = table();
        let me = thread::current().id();
        let other = thread::spawn(|| thread::current().id()).join().unwrap();
        (0..DEEPEST).for_each(|_| table.enter(me).unwrap());
        assert_eq!(table.enter(me), Err(Refused::TooDeep));
        assert_eq!(table.enter(other), Err(Refused::Busy));
        (0..DEEPEST).for_each(|_| table.leave());
        assert_eq!((table.turner(), table.enter(other)), (None, Ok(())));
    }
}
