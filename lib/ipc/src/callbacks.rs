//! The callback thread: every callback of the program runs here, one at a time.
//!
//! A callback may make a call and wait for its answer. While it waits it serves what else comes in, nested on the same
//! stack, so that A -> B -> A works; the nesting is bounded, a call at the bottom of it fails at once.

use crate::client::Client;
use crate::jobs::Job;
use crate::socket;
use crate::waiter::Waiter;
use msf_client::reply;
use msf_client::wire::{Header, errcode};
use msf_sys::log;
use msf_sys::log::Level;
use std::cell::Cell;
use std::ffi::c_char;
use std::ptr;
use std::sync::Arc;
use std::time::Instant;

thread_local! {
    /// Whose callback thread this is, and how many callbacks are on its stack. The address is compared, never followed.
    static SERVING: Cell<(*const Client, u32)> = const { Cell::new((ptr::null(), 0)) };
}

/// The thread's whole life.
pub(crate) fn run(client: &Arc<Client>) {
    while let Some(job) = client.jobs.next(|| false, None) {
        serve(client, job);
    }
}

/// How many callbacks of this client are on this thread's stack: 0 on every thread but one.
pub(crate) fn depth(client: &Arc<Client>) -> u32 {
    let (whose, depth) = SERVING.get();
    if ptr::eq(whose, Arc::as_ptr(client)) { depth } else { 0 }
}

/// Waits inside a callback: serves what comes in until the answer is there, or `deadline`.
pub(crate) fn wait_serving(client: &Arc<Client>, waiter: &Waiter, deadline: Option<Instant>) {
    while let Some(job) = client.jobs.next(|| waiter.outcome().is_some(), deadline) {
        serve(client, job);
    }
}

/// True when a call that waits may be made here.
pub(crate) fn may_wait(client: &Arc<Client>) -> bool {
    depth(client) < DEEPEST
}

fn serve(client: &Arc<Client>, job: Job) {
    let outside = SERVING.get();
    SERVING.set((Arc::as_ptr(client), depth(client) + 1));
    match job {
        Job::Request(head, payload) => answer_request(client, &head, payload),
        Job::Answer(head, payload) => hand_over(client, &head, payload),
        Job::Event(head, payload) => client.subscriptions.tell(&head, &payload),
    }
    SERVING.set(outside);
    client.jobs.done();
}

/// The program works in a buffer that holds the payload, and that has room for what the caller wants back.
fn answer_request(client: &Arc<Client>, head: &Header, mut buffer: Vec<u8>) {
    let wanted = head.restlen as usize;
    // One byte at least, so that the program never sees a dangling pointer.
    let size = buffer.len().max(wanted).max(1);
    if buffer.try_reserve_exact(size - buffer.len()).is_err() {
        log!(Level::Error, &client.settings.name, "no memory for the {wanted} bytes that {:#x} wants", head.srcid);
        send(client, reply::refused(head, errcode::PEER_BUSY), b"");
        return;
    }
    buffer.resize(size, 0);
    let length = if head.datalen > 0 { head.datalen } else { head.restlen };
    // SAFETY: the program's own callback; the buffer is ours and at least `length` bytes long.
    let outcome = unsafe { (client.settings.on_request)(buffer.as_mut_ptr().cast::<c_char>(), length, head.cmd) };
    if outcome < 0 {
        send(client, reply::refused(head, errcode::EXEC_FAIL), b"");
    } else {
        send(client, reply::served(head, head.restlen), buffer.get(..wanted).unwrap_or_default());
    }
}

fn hand_over(client: &Arc<Client>, head: &Header, payload: Option<Vec<u8>>) {
    let mut payload = payload;
    let (data, length) = match &mut payload {
        Some(payload) => (payload.as_mut_ptr(), payload.len() as u32),
        None => (ptr::null_mut(), 0),
    };
    // SAFETY: the program's own callback; `data` is null with length 0, or `payload`, which lives until it returns.
    unsafe { (client.settings.on_answer)(data.cast::<c_char>(), length, head.cmd) };
}

/// Sends an answer, if one is wanted. While so much waits to be sent already that the agent must be slow, it waits, and
/// sends itself: the io thread may be standing before the full queue, which only we can make room in.
fn send(client: &Arc<Client>, head: Option<Header>, body: &[u8]) {
    let Some(head) = head else { return };
    let mut link = client.lock();
    while let Some(socket) = link.congested_socket() {
        drop(link);
        socket::await_room(socket);
        link = client.lock();
        link.push_out();
    }
    if let Err(errno) = link.send(client, &head, body) {
        drop(link);
        let why = std::io::Error::from_raw_os_error(errno.0);
        log!(
            Level::Info,
            &client.settings.name,
            "the answer to cmd {:#x} of {:#x} cannot be sent: {why}",
            head.cmd,
            head.dstid
        );
    }
}

const DEEPEST: u32 = 8;
