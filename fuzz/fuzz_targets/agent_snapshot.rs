//! Whatever comes as the snapshot of a running agent is refused or loaded; it never costs the new agent a panic.
//!
//! The agent is a program and no library, so its rooms are read in here as they are in its own root.
#![no_main]
#![allow(dead_code, unused_imports, reason = "the rooms have more to say than is asked of them here")]

#[path = "../../agent/src/control/mod.rs"]
mod control;
#[path = "../../agent/src/core/mod.rs"]
mod core;
#[path = "../../agent/src/edge/mod.rs"]
mod edge;
#[path = "../../agent/src/observe/mod.rs"]
mod observe;
#[path = "../../agent/src/upgrade/mod.rs"]
mod upgrade;

use crate::core::admit::{AnswerOrder, Http, Limits, Nmid, Rewrite};
use crate::edge::broker::{Broker, Wiring};
use crate::observe::counter::Counters;
use crate::upgrade::passage;
use libfuzzer_sys::fuzz_target;
use msf_core::event::{Reactor, mailbox};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

fuzz_target!(|data: &[u8]| {
    // As it comes over the socket, the seal included.
    let (mut ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
    let sent = ours.set_nonblocking(true).and_then(|()| ours.write_all(data));
    drop(ours);
    if sent.is_ok() {
        let _ = passage::receive_all(&mut theirs, upgrade::VERSION);
    }
    // Behind a seal that is right.
    let mut reactor = Reactor::new().expect("a reactor");
    let descriptors = (0..4).map(|_| OwnedFd::from(UnixStream::pair().expect("a pair of sockets").0)).collect();
    let _ = broker(&reactor).load_from(&mut reactor, data, descriptors);
});

fn broker(reactor: &Reactor) -> Broker {
    let counters: Arc<[Counters]> = Arc::new([Counters::default(), Counters::default()]);
    let (_, orders) = mailbox::bounded(1, reactor.waker());
    let (_, parcels) = mailbox::bounded(1, reactor.waker());
    let (sibling, _) = mailbox::bounded(1, reactor.waker());
    let (control, _) = mailbox::bounded(1, reactor.waker());
    let nmid = Nmid {
        payload: 1 << 20,
        settle: 300,
        order: AnswerOrder::Auto,
        gap: 25,
        pace: 2,
        stale: 0,
        probe: true,
        rewrite: Rewrite::G0,
    };
    let http = Http { head: 1 << 14, body: 1 << 20, head_wait: 1, body_wait: 1, idle: 1 };
    Broker::new(Wiring {
        me: 0,
        seed: 1,
        started: Instant::now(),
        limits: Limits {
            payload: 1 << 20,
            outbox_soft: 1 << 20,
            outbox_hard: 1 << 22,
            memory: 1 << 24,
            pending: 1000,
            login: 0,
            nmid,
            http,
        },
        counters,
        siblings: vec![None, Some(sibling)],
        parcels,
        orders,
        control,
        hold: None,
    })
}
