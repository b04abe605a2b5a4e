//! How the interfaces change: added, up, down, removed, with which addresses.
//!
//! The kernel tells changes over a netlink socket and drops them when the reader is slow. Therefore the state is kept
//! here: after a loss it is asked for anew and compared, so that what was missed is told late, but is told.

use super::interface::{Interface, InterfaceAddress};
use super::netlink::{List, Told, What, messages, request};
use crate::error::Error;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, send, socket,
};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// An interface has come; it may be up already.
    Added(Interface),
    /// Packets can pass now: it is switched on and its carrier is there.
    Up(Interface),
    /// Packets cannot pass any more.
    Down(Interface),
    /// Its name, hardware address or flags are others, and it is as up or down as before.
    Changed(Interface),
    /// It is gone, and with it its addresses.
    Removed(Interface),
    /// It has one more address.
    AddressAdded(InterfaceAddress),
    /// It has one less.
    AddressRemoved(InterfaceAddress),
    /// The kernel has dropped changes because nobody read them in time. What they came to is told by the events that
    /// follow; what was undone meanwhile is not told.
    Lost,
}

/// The interfaces, and a descriptor that is readable when they have changed.
///
/// ```
/// use msf_core::net::Links;
/// let mut links = Links::new()?;
/// assert!(links.interfaces().any(|one| one.name == "lo"));
/// while let Some(event) = links.next()? {
///     println!("{event:?}");
/// }
/// # Ok::<(), msf_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Links {
    socket: OwnedFd,
    state: State,
    events: VecDeque<LinkEvent>,
    buffer: Vec<u8>,
    /// The list that is being told, and the number of the request.
    asked: Option<List>,
    sequence: u32,
    /// The lists are to be asked for (again), as soon as nothing is left to read. Not sooner: after a loss the kernel
    /// goes on dropping, without another word, until its queue is empty; and it tells one list at a time.
    is_stale: bool,
}

impl Links {
    /// Asks for all interfaces and addresses, and for every change from here on.
    pub fn new() -> Result<Links, Error> {
        let mut links = Links::open().map_err(Error::system("listen to the changes of interfaces"))?;
        links.complete().map_err(Error::system("list the interfaces"))?;
        links.events.clear();
        Ok(links)
    }

    fn open() -> Result<Links, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        let groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups as u32))?;
        let (state, buffer) = (State::default(), vec![0; PACKET]);
        let events = VecDeque::new();
        Ok(Links { socket, state, events, buffer, asked: None, sequence: 0, is_stale: true })
    }

    /// Until both lists are there.
    fn complete(&mut self) -> Result<(), Errno> {
        while self.is_stale || self.asked.is_some() {
            match self.read() {
                Err(Errno::EAGAIN) => {
                    let mut waits = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
                    match poll(&mut waits, PollTimeout::from(PATIENCE)) {
                        Ok(0) => return Err(Errno::ETIMEDOUT),
                        Ok(_) | Err(Errno::EINTR) => {}
                        Err(error) => return Err(error),
                    }
                }
                done => done?,
            }
        }
        Ok(())
    }

    /// The interfaces as of the events given out so far, less those that wait.
    pub fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.state.links.iter().map(|(link, _)| link)
    }

    /// The next change; `None` when there is none yet. Call it until then: the descriptor tells only of what was not read.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot end and go on")]
    pub fn next(&mut self) -> Result<Option<LinkEvent>, Error> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            match self.read() {
                Err(Errno::EAGAIN) => return Ok(None),
                done => done.map_err(Error::system("read the changes of interfaces"))?,
            }
        }
    }

    /// Takes one packet. EAGAIN: there is none.
    fn read(&mut self) -> Result<(), Errno> {
        match recvfrom::<NetlinkAddr>(self.socket.as_raw_fd(), &mut self.buffer) {
            // Whoever else may send to us is not the kernel.
            Ok((_, Some(from))) if from.pid() != 0 => Ok(()),
            Ok((length, _)) => {
                for told in messages(self.buffer.get(..length).unwrap_or_default()) {
                    self.take(told)?;
                }
                Ok(())
            }
            Err(Errno::ENOBUFS) => {
                self.events.push_back(LinkEvent::Lost);
                self.is_stale = true;
                Ok(())
            }
            Err(Errno::EAGAIN) if self.is_stale && self.asked.is_none() => {
                self.is_stale = false;
                self.ask(List::Links)
            }
            Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn take(&mut self, told: Told) -> Result<(), Errno> {
        let ours = self.asked.filter(|_| told.sequence == self.sequence);
        self.is_stale |= ours.is_some() && told.is_torn;
        match (ours, told.what) {
            // It is asked for anew; what it did not name may be there all the same.
            (Some(_), What::Done) if self.is_stale => self.asked = None,
            (Some(list), What::Done) => {
                self.state.sweep(list, &mut self.events);
                self.asked = None;
                if list == List::Links {
                    self.ask(List::Addresses)?;
                }
            }
            (Some(_), What::Failed(number)) => {
                self.asked = None;
                return Err(Errno::from_raw(number));
            }
            (_, what) => self.state.apply(what, &mut self.events),
        }
        Ok(())
    }

    fn ask(&mut self, list: List) -> Result<(), Errno> {
        // What the list does not name by its end is gone.
        self.state.doubt(list);
        self.sequence = self.sequence.wrapping_add(1).max(1);
        self.asked = Some(list);
        send(self.socket.as_raw_fd(), &request(list, self.sequence), MsgFlags::empty()).map(drop)
    }
}

impl AsFd for Links {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What is known, and of each thing whether it still stands while a list is being told. Lists, since trees of two types
/// would be the larger part of this file's code, and a machine has few interfaces.
#[derive(Debug, Default)]
struct State {
    links: Vec<(Interface, Standing)>,
    addresses: Vec<(Key, Standing)>,
}

/// The number of the interface, the address, the length of its prefix.
type Key = (u32, IpAddr, u8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Sure,
    Doubted,
}

impl State {
    fn apply(&mut self, what: What, events: &mut VecDeque<LinkEvent>) {
        match what {
            What::Link { index, flags, name, mac } => {
                let link = Interface { index, name, flags, mac };
                let known = self.links.iter_mut().find(|(known, _)| known.index == index);
                let before = match known {
                    Some(known) => Some(std::mem::replace(known, (link.clone(), Standing::Sure)).0),
                    None => {
                        self.links.push((link.clone(), Standing::Sure));
                        None
                    }
                };
                events.extend(changes(before, link));
            }
            What::LinkGone { index } => self.remove_links(events, |link, _| link.index == index),
            What::Address { index, address, prefix } => {
                let key = (index, address, prefix);
                match self.addresses.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, standing)) => *standing = Standing::Sure,
                    None => {
                        self.addresses.push((key, Standing::Sure));
                        events.push_back(LinkEvent::AddressAdded(self.address(key)));
                    }
                }
            }
            What::AddressGone { index, address, prefix } => {
                self.remove_addresses(events, |key, _| *key == (index, address, prefix));
            }
            What::Done | What::Failed(_) => {}
        }
    }

    fn remove_links(&mut self, events: &mut VecDeque<LinkEvent>, is_gone: impl Fn(&Interface, Standing) -> bool) {
        while let Some(at) = self.links.iter().position(|(link, standing)| is_gone(link, *standing)) {
            let index = self.links[at].0.index;
            self.remove_addresses(events, |(owner, ..), _| *owner == index);
            events.push_back(LinkEvent::Removed(self.links.remove(at).0));
        }
    }

    fn remove_addresses(&mut self, events: &mut VecDeque<LinkEvent>, is_gone: impl Fn(&Key, Standing) -> bool) {
        while let Some(at) = self.addresses.iter().position(|(key, standing)| is_gone(key, *standing)) {
            let (key, _) = self.addresses.remove(at);
            events.push_back(LinkEvent::AddressRemoved(self.address(key)));
        }
    }

    fn address(&self, (index, address, prefix): Key) -> InterfaceAddress {
        let owner = self.links.iter().find(|(link, _)| link.index == index);
        let name = owner.map(|(link, _)| link.name.clone()).unwrap_or_default();
        InterfaceAddress { index, name, address, prefix }
    }

    fn doubt(&mut self, list: List) {
        match list {
            List::Links => self.links.iter_mut().for_each(|(_, standing)| *standing = Standing::Doubted),
            List::Addresses => self.addresses.iter_mut().for_each(|(_, standing)| *standing = Standing::Doubted),
        }
    }

    fn sweep(&mut self, list: List, events: &mut VecDeque<LinkEvent>) {
        match list {
            List::Links => self.remove_links(events, |_, standing| standing == Standing::Doubted),
            List::Addresses => self.remove_addresses(events, |_, standing| standing == Standing::Doubted),
        }
    }
}

/// What has happened to an interface that was `before` and is `now`.
fn changes(before: Option<Interface>, now: Interface) -> Vec<LinkEvent> {
    match before {
        None if now.is_up() => vec![LinkEvent::Added(now.clone()), LinkEvent::Up(now)],
        None => vec![LinkEvent::Added(now)],
        Some(before) if before == now => vec![],
        Some(before) => match (before.is_up(), now.is_up()) {
            (false, true) => vec![LinkEvent::Up(now)],
            (true, false) => vec![LinkEvent::Down(now)],
            _ => vec![LinkEvent::Changed(now)],
        },
    }
}

/// As much as the kernel puts into one packet.
const PACKET: usize = 32 << 10;
/// Milliseconds the kernel may take to say what it knows; it takes one.
const PATIENCE: u16 = 5000;

#[cfg(test)]
mod tests {
    use super::*;

    const UP: u32 = (libc::IFF_UP | libc::IFF_RUNNING) as u32;

    fn link(index: u32, flags: u32) -> What {
        What::Link { index, flags, name: format!("eth{index}"), mac: None }
    }

    fn told(state: &mut State, what: What) -> Vec<LinkEvent> {
        let mut events = VecDeque::new();
        state.apply(what, &mut events);
        events.into()
    }

    #[test]
    fn an_interface_comes_goes_up_and_down_and_away() {
        let mut state = State::default();
        assert!(matches!(told(&mut state, link(2, 0))[..], [LinkEvent::Added(_)]));
        assert!(matches!(told(&mut state, link(2, 0))[..], []));
        // Switched on without a carrier.
        assert!(matches!(told(&mut state, link(2, libc::IFF_UP as u32))[..], [LinkEvent::Changed(_)]));
        assert!(matches!(told(&mut state, link(2, UP))[..], [LinkEvent::Up(_)]));
        assert!(matches!(told(&mut state, link(2, 0))[..], [LinkEvent::Down(_)]));
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let added = told(&mut state, What::Address { index: 2, address, prefix: 24 });
        assert!(matches!(&added[..], [LinkEvent::AddressAdded(one)] if one.name == "eth2" && one.prefix == 24));
        let gone = told(&mut state, What::LinkGone { index: 2 });
        assert!(matches!(gone[..], [LinkEvent::AddressRemoved(_), LinkEvent::Removed(_)]));
        assert!(told(&mut state, What::LinkGone { index: 2 }).is_empty());
    }

    #[test]
    fn what_a_new_list_does_not_name_is_gone_and_what_it_names_anew_is_told() {
        let mut state = State::default();
        let mut events = VecDeque::new();
        state.apply(link(1, UP), &mut events);
        state.apply(link(2, 0), &mut events);
        events.clear();
        state.doubt(List::Links);
        state.apply(link(2, UP), &mut events);
        state.apply(link(3, 0), &mut events);
        state.sweep(List::Links, &mut events);
        let index = |event: &LinkEvent| match event {
            LinkEvent::Up(link) => (link.index, "up"),
            LinkEvent::Added(link) => (link.index, "added"),
            LinkEvent::Removed(link) => (link.index, "removed"),
            _ => (0, "other"),
        };
        let told: Vec<_> = events.iter().map(index).collect();
        assert_eq!(told, [(2, "up"), (3, "added"), (1, "removed")]);
    }

    #[test]
    fn the_kernel_lists_what_is_there() {
        let links = Links::new().unwrap();
        let mut ours: Vec<_> = links.interfaces().map(|one| one.name.clone()).collect();
        let mut theirs: Vec<_> = super::super::interfaces().unwrap().into_iter().map(|one| one.name).collect();
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs);
    }
}
