//! Who is who: which session has which id, and what happens when two want the same.
//!
//! The older session keeps its id as long as it lives; whether it does is asked of its process first (`liveness`), and
//! then of its reactor. Pure: what has to be done is returned as [`Effect`]s, in order.

use super::liveness::Process;
use crate::core::component::{Component, Reason};
use crate::core::message::{Address, Peer};
use crate::core::order::Login;
use msf_wire::librpc::{COMPONENT_ONLINE, EVERY_EVENT};
use msf_wire::state;
use std::collections::HashMap;
use std::sync::Arc;

/// The members, and the logins that wait for a verdict about an older one.
#[derive(Debug, Default)]
pub struct Registry {
    members: HashMap<u32, Member>,
    ids: HashMap<Address, u32>,
    /// By id: who wants it while its holder is being probed.
    contests: HashMap<u32, (Login, Process)>,
    changed: bool,
}

state! { struct Registry { members, ids, contests; changed: true } }

#[derive(Debug)]
struct Member {
    address: Address,
    process: Process,
    name: String,
    peer: Peer,
    /// It has been told OK, so all may know.
    online: bool,
}

state! { struct Member { address, process, name, peer, online } }

impl Member {
    fn component(&self, id: u32) -> Component {
        Component { id, name: self.name.clone(), peer: self.peer }
    }
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// This session is who it says, once every reactor knows.
    Grant(Address),
    /// This session's login fails.
    Refuse(Address),
    /// Find out whether this session lives.
    Probe(Address),
    /// Close this session: it is dead and its id has a new holder.
    Evict(Address),
    /// Tell everybody that this service has gone, and why.
    Offline(Component, Reason),
}

impl Registry {
    /// A session asks for an id. `lives` says whether a process does.
    pub fn login(&mut self, login: Login, process: Process, lives: impl Fn(&Process) -> bool) -> Vec<Effect> {
        let newer = login.address;
        let Some(older) = self.members.get(&login.id) else {
            return self.grant(&login, process);
        };
        if self.contests.contains_key(&login.id) {
            return vec![Effect::Refuse(newer)];
        }
        if !lives(&older.process) {
            return self.take_over(&login, process);
        }
        let older = older.address;
        self.contests.insert(login.id, (login, process));
        vec![Effect::Probe(older)]
    }

    /// A reactor has found out whether the session at `address` lives.
    pub fn probed(&mut self, address: Address, lives: bool) -> Vec<Effect> {
        let Some(id) = self.ids.get(&address).copied() else { return Vec::new() };
        let Some((login, process)) = self.contests.remove(&id) else { return Vec::new() };
        if lives { vec![Effect::Refuse(login.address)] } else { self.take_over(&login, process) }
    }

    /// A session has ended, or serves nobody any longer; may be said twice.
    pub fn left(&mut self, address: Address, reason: Reason) -> Vec<Effect> {
        self.contests.retain(|_, (login, _)| login.address != address);
        let Some(id) = self.ids.remove(&address) else { return Vec::new() };
        let mut effects = self.remove(id, reason);
        self.changed = true;
        if let Some((login, process)) = self.contests.remove(&id) {
            effects.extend(self.grant(&login, process));
        }
        effects
    }

    /// A session has been told OK: who has come, if it is still here.
    pub fn online(&mut self, address: Address) -> Option<Component> {
        let id = *self.ids.get(&address)?;
        let member = self.members.get_mut(&id)?;
        member.online = true;
        Some(member.component(id))
    }

    /// The connection of a session has passed to another process, which is the service now.
    pub fn passed(&mut self, address: Address, peer: Peer, process: Process) {
        let member = self.ids.get(&address).and_then(|id| self.members.get_mut(id));
        if let Some(member) = member {
            (member.peer, member.process) = (peer, process);
        }
    }

    /// Everybody who has been told OK.
    pub fn present(&self) -> impl Iterator<Item = Component> {
        self.members.iter().filter(|(_, member)| member.online).map(|(id, member)| member.component(*id))
    }

    /// What somebody who wants events of this name is told first: who is present, if that is what it is about.
    pub fn present_to(&self, name: &[u8]) -> Vec<Arc<[u8]>> {
        let concerns = name == COMPONENT_ONLINE || name == EVERY_EVENT;
        let present = self.present().filter(|_| concerns);
        present.map(|component| component.event(Reason::Present).into()).collect()
    }

    fn remove(&mut self, id: u32, reason: Reason) -> Vec<Effect> {
        let gone = self.members.remove(&id).filter(|member| member.online);
        gone.map(|member| Effect::Offline(member.component(id), reason)).into_iter().collect()
    }

    /// Sessions of which it is being found out whether they live.
    pub fn probed_now(&self) -> Vec<Address> {
        self.contests.keys().filter_map(|id| self.members.get(id)).map(|member| member.address).collect()
    }

    /// Whether the members are others than when this was last asked.
    pub fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Everybody, for the routes.
    pub fn services(&self) -> impl Iterator<Item = (u32, Address, &str)> {
        self.members.iter().map(|(id, member)| (*id, member.address, member.name.as_str()))
    }

    fn grant(&mut self, login: &Login, process: Process) -> Vec<Effect> {
        let Login { address, id, name, peer } = login.clone();
        self.members.insert(id, Member { address, process, name, peer, online: false });
        self.ids.insert(login.address, login.id);
        self.changed = true;
        vec![Effect::Grant(login.address)]
    }

    fn take_over(&mut self, login: &Login, process: Process) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(older) = self.members.get(&login.id).map(|member| member.address) {
            self.ids.remove(&older);
            effects.push(Effect::Evict(older));
            effects.extend(self.remove(login.id, Reason::Replaced));
        }
        effects.extend(self.grant(login, process));
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::message::Peer;

    const OLD: Address = Address { reactor: 0, session: 1 };
    const NEW: Address = Address { reactor: 1, session: 1 };
    const THIRD: Address = Address { reactor: 1, session: 2 };

    #[test]
    fn a_connection_that_has_passed_is_its_heirs_in_life_and_death() {
        let mut registry = Registry::default();
        registry.login(login(OLD), Process::Local(5, None), |_| true);
        let peer = Peer::Local { pid: 6, uid: 0 };
        registry.passed(OLD, peer, Process::Local(6, None));
        registry.passed(NEW, peer, Process::Local(7, None));
        assert_eq!(registry.online(OLD).unwrap().peer, peer);
        // Whether its process lives is asked of the heir.
        let effects = registry.login(login(NEW), Process::Unknown, |process| *process != Process::Local(6, None));
        assert!(effects.contains(&Effect::Evict(OLD)), "{effects:?}");
    }

    fn login(address: Address) -> Login {
        Login { address, id: 0x12, name: "UPNP".to_owned(), peer: Peer::Local { pid: 5, uid: 0 } }
    }

    fn with_old() -> Registry {
        let mut registry = Registry::default();
        assert_eq!(registry.login(login(OLD), Process::Unknown, |_| true), [Effect::Grant(OLD)]);
        assert!(registry.take_change());
        registry
    }

    #[test]
    fn a_living_holder_keeps_its_id() {
        let mut registry = with_old();
        assert_eq!(registry.login(login(NEW), Process::Unknown, |_| true), [Effect::Probe(OLD)]);
        assert_eq!(registry.probed(OLD, true), [Effect::Refuse(NEW)]);
        assert!(!registry.take_change());
        assert_eq!(registry.services().collect::<Vec<_>>(), [(0x12, OLD, "UPNP")]);
    }

    #[test]
    fn a_dead_process_loses_its_id_at_once() {
        let mut registry = with_old();
        let effects = registry.login(login(NEW), Process::Unknown, |_| false);
        assert_eq!(effects, [Effect::Evict(OLD), Effect::Grant(NEW)]);
        assert_eq!(registry.left(OLD, Reason::Closed), [], "its end is no news");
        assert_eq!(registry.services().collect::<Vec<_>>(), [(0x12, NEW, "UPNP")]);
    }

    #[test]
    fn a_dead_socket_loses_its_id_after_the_probe() {
        let mut registry = with_old();
        registry.login(login(NEW), Process::Unknown, |_| true);
        assert_eq!(registry.probed(OLD, false), [Effect::Evict(OLD), Effect::Grant(NEW)]);
    }

    #[test]
    fn a_holder_that_leaves_while_it_is_probed_makes_way() {
        let mut registry = with_old();
        registry.login(login(NEW), Process::Unknown, |_| true);
        assert_eq!(registry.left(OLD, Reason::Closed), [Effect::Grant(NEW)]);
        assert_eq!(registry.probed(OLD, false), []);
    }

    #[test]
    fn a_third_is_refused_while_two_contend_and_a_contender_may_give_up() {
        let mut registry = with_old();
        registry.login(login(NEW), Process::Unknown, |_| true);
        assert_eq!(registry.login(login(THIRD), Process::Unknown, |_| true), [Effect::Refuse(THIRD)]);
        assert_eq!(registry.left(NEW, Reason::Closed), []);
        assert_eq!(registry.probed(OLD, false), [], "nobody asks any longer");
    }

    #[test]
    fn who_has_been_told_ok_is_present_and_its_end_is_news() {
        let mut registry = with_old();
        assert_eq!(registry.present().count(), 0);
        let component = registry.online(OLD).unwrap();
        assert_eq!((component.id, component.name.as_str()), (0x12, "UPNP"));
        assert_eq!(registry.present().next(), Some(component.clone()));
        assert_eq!(registry.left(OLD, Reason::Logout), [Effect::Offline(component, Reason::Logout)]);
        assert_eq!((registry.present().count(), registry.online(OLD)), (0, None));
    }

    #[test]
    fn a_successor_is_granted_after_the_end_of_the_older_one_is_told() {
        let mut registry = with_old();
        let component = registry.online(OLD).unwrap();
        let effects = registry.login(login(NEW), Process::Unknown, |_| false);
        let expected = [Effect::Evict(OLD), Effect::Offline(component, Reason::Replaced), Effect::Grant(NEW)];
        assert_eq!(effects, expected);
    }
}
