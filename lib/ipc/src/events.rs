//! Events: which the program wants, and whom of it to tell.
//!
//! The table is what is made again after a reconnect. A subscription is in it before the agent is asked and leaves it
//! together with the word to the agent, so two threads that want the same name cannot take it from each other. Callbacks
//! run on the callback thread with no lock held; whoever unsubscribes waits for the one that runs.

use crate::callbacks;
use crate::client::Client;
use crate::errno::Errno;
use crate::params::Request;
use msf_client::Call;
use msf_client::wire::{EVERY_EVENT, Header, Publication, cmd, errcode, id, is_event_name, timeout};
use msf_sys::ffi::ipc::{CLIENT_EVENTS_UNKNOWN, client_event};
use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What the program is told by.
pub(crate) type Callback = unsafe extern "C" fn(event: *const client_event, arg: *mut c_void);

/// Somebody in the program, and what he wants.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    name: Vec<u8>,
    callback: Callback,
    arg: *mut c_void,
}

// SAFETY: the pointer is only ever handed back to the program, which has promised that its callback takes it on another
// thread.
unsafe impl Send for Subscription {}

/// The addresses are the program's own, so the same one is the same function.
impl PartialEq for Subscription {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && ptr::fn_addr_eq(self.callback, other.callback) && self.arg == other.arg
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Subscriptions {
    table: Mutex<Table>,
    /// A callback has returned.
    returned: Condvar,
}

#[derive(Default)]
struct Table {
    all: Vec<Subscription>,
    /// Whose callbacks are on the stack of the callback thread.
    running: Vec<Subscription>,
}

impl Subscription {
    /// Checked: `*` is every name.
    pub(crate) fn new(name: &[u8], callback: Callback, arg: *mut c_void) -> Result<Self, Errno> {
        if !is_event_name(name) && name != EVERY_EVENT {
            return Err(Errno::INVAL);
        }
        Ok(Self { name: name.to_vec(), callback, arg })
    }

    fn is_for(&self, name: &[u8]) -> bool {
        self.name == name || self.name == EVERY_EVENT
    }
}

impl Client {
    /// From here on the program is told, once the agent has said yes.
    pub(crate) fn subscribe(self: &Arc<Self>, subscription: &Subscription) -> Result<(), Errno> {
        let is_new = self.subscriptions.enter(subscription);
        let asked = self.ask(cmd::SUBSCRIBE, &subscription.name);
        if asked.is_err() && is_new {
            self.drop_subscription(subscription);
        }
        asked
    }

    /// It is told no longer, and no callback for it runs when this returns.
    pub(crate) fn unsubscribe(self: &Arc<Self>, subscription: &Subscription) -> Result<(), Errno> {
        if !self.drop_subscription(subscription) {
            return Err(Errno::NOENT);
        }
        if callbacks::depth(self) == 0 {
            self.subscriptions.wait_for(subscription);
        }
        Ok(())
    }

    /// Says something to whoever wants to know.
    pub(crate) fn publish(self: &Arc<Self>, name: &[u8], data: &[u8]) -> Result<(), Errno> {
        if !is_event_name(name) {
            return Err(Errno::INVAL);
        }
        let payload = Publication { name, data }.encode();
        self.lock().post(self, &call(cmd::PUBLISH, &payload), &payload)
    }

    /// After a reconnect: the agent knows nothing of us, and what has happened meanwhile nobody does.
    pub(crate) fn resubscribe(self: &Arc<Self>) -> Option<Header> {
        let names = self.subscriptions.names();
        for name in &names {
            // Where this fails the connection does, and is made again.
            let _ = self.lock().post(self, &call(cmd::SUBSCRIBE, name), name);
        }
        let gap = Header::request(id::EVENT_SRV, self.settings.id, cmd::EVENT, 0);
        (!names.is_empty()).then(|| gap.with_origin(CLIENT_EVENTS_UNKNOWN, id::MSG_SRV))
    }

    fn ask(self: &Arc<Self>, command: u32, name: &[u8]) -> Result<(), Errno> {
        let call = Call { timeout: PATIENCE, ..call(command, name) };
        let answer = self.call(&Request { call, payload: name, answer: ptr::null_mut() })?;
        match u32::try_from(answer).unwrap_or(errcode::EXEC_FAIL) {
            errcode::EXEC_SUCC => Ok(()),
            errcode::PEER_BUSY => Err(Errno::NOSPC),
            // An agent of before.
            errcode::PEER_OFFLINE => Err(Errno::OPNOTSUPP),
            _ => Err(Errno::PROTO),
        }
    }

    /// Whether it was there. If nobody else wants the name, the agent is told so.
    fn drop_subscription(self: &Arc<Self>, subscription: &Subscription) -> bool {
        let mut table = self.subscriptions.lock();
        let Some(at) = table.all.iter().position(|other| other == subscription) else { return false };
        let Subscription { name, .. } = table.all.swap_remove(at);
        if !table.all.iter().any(|other| other.name == name) {
            // An agent that cannot be told has forgotten it.
            let _ = self.lock().post(self, &call(cmd::UNSUBSCRIBE, &name), &name);
        }
        true
    }
}

impl Subscriptions {
    /// False when it is there already.
    fn enter(&self, subscription: &Subscription) -> bool {
        let mut table = self.lock();
        let is_new = !table.all.contains(subscription);
        if is_new {
            table.all.push(subscription.clone());
        }
        is_new
    }

    fn names(&self) -> Vec<Vec<u8>> {
        let mut names: Vec<Vec<u8>> = self.lock().all.iter().map(|one| one.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// On the callback thread: an event has come. Everybody learns of a loss: what was lost had names nobody knows.
    pub(crate) fn tell(&self, head: &Header, payload: &[u8]) {
        if head.lost() > 0 {
            let loss = client_event { lost: head.lost(), ..event(head.publisher()) };
            self.tell_each(&loss, |_| true);
        }
        let Ok(Publication { name, data }) = Publication::parse(payload) else { return };
        // C gets texts that end, whatever is in them.
        let [text, bytes] = [name, data].map(|part| [part, b"\0"].concat());
        let told = client_event {
            len: data.len() as u32,
            name: text.as_ptr().cast::<c_char>(),
            data: bytes.as_ptr().cast::<c_char>(),
            ..event(head.publisher())
        };
        self.tell_each(&told, |one| one.is_for(name));
    }

    fn tell_each(&self, event: &client_event, is_for: impl Fn(&Subscription) -> bool) {
        let all: Vec<Subscription> = self.lock().all.iter().filter(|one| is_for(one)).cloned().collect();
        for one in all {
            let mut table = self.lock();
            // A callback before this one may have unsubscribed it.
            if !table.all.contains(&one) {
                continue;
            }
            table.running.push(one.clone());
            drop(table);
            // SAFETY: the program's own callback and its own argument; the event and its texts outlive the call.
            unsafe { (one.callback)(event, one.arg) };
            self.lock().running.pop();
            self.returned.notify_all();
        }
    }

    fn wait_for(&self, subscription: &Subscription) {
        let mut table = self.lock();
        while table.running.contains(subscription) {
            table = self.returned.wait(table).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn event(from: u32) -> client_event {
    let size = size_of::<client_event>() as u32;
    client_event { size, from, lost: 0, len: 0, name: ptr::null(), data: ptr::null() }
}

const fn call(command: u32, payload: &[u8]) -> Call {
    // What is longer than a u32 can say is longer than any agent takes, and refused as such.
    let datalen = if payload.len() > u32::MAX as usize { u32::MAX } else { payload.len() as u32 };
    Call { dstid: id::EVENT_SRV, cmd: command, datalen, restlen: 0, timeout: timeout::NO_WAIT }
}

/// How long the agent may take to say yes, in milliseconds.
const PATIENCE: u32 = 5_000;
