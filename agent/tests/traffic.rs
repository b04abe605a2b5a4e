//! Many at once over several reactors: every answer is the right one, and each caller's requests keep their order.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Agent, UPNP, frame};
use msf_wire::librpc::{Header, cmd, id, opcode};
use std::io::Write;

/// A small generator; the seed of a failing test is its whole report.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

const SERVICES: u32 = 3;
const CALLERS: u32 = 12;
const CALLS: u32 = 150;

#[test]
fn every_answer_is_the_right_one_whatever_the_number_of_reactors() {
    for reactors in [1, 2, 4] {
        let agent = Agent::start(&format!("max_threads={reactors}\nmemory_limit=256M"));
        std::thread::scope(|scope| {
            let services: Vec<_> = (0..SERVICES).map(|n| agent.member(UPNP + 0x100 * n)).collect();
            for mut service in services {
                scope.spawn(move || {
                    while let Some(asked) = service.next() {
                        if asked.head.cmd == cmd::DEBUG_OFF {
                            break;
                        }
                        let body: Vec<u8> = asked.body.iter().rev().copied().collect();
                        service.send(&frame(asked.head.ack(0, 0), &body));
                    }
                });
            }
            let callers: Vec<_> = (0..CALLERS)
                .map(|n| {
                    scope.spawn({
                        let agent = &agent;
                        move || converse(agent, n)
                    })
                })
                .collect();
            callers.into_iter().for_each(|caller| caller.join().unwrap());
            let mut end = agent.member(0x999);
            (0..SERVICES).for_each(|n| end.send(&Header::request(0x999, UPNP + 0x100 * n, cmd::DEBUG_OFF, 1).encode()));
        });
        let counted = agent.end();
        assert_eq!(counted.of("replies"), u64::from(CALLERS * CALLS));
        assert_eq!((counted.of("dropped_late"), counted.of("offline"), counted.of("busy")), (0, 0, 0));
    }
}

/// Some requests in flight at a time, of random length, to random services.
fn converse(agent: &Agent, number: u32) {
    let me = 0x5000 + number;
    let mut dice = Dice(u64::from(number) + 1);
    let mut peer = agent.member(me);
    let mut expected = std::collections::HashMap::new();
    let mut next = 0;
    while next < CALLS || !expected.is_empty() {
        while next < CALLS && expected.len() < 1 + number as usize % 4 {
            let body: Vec<u8> = (0..dice.below(3)).flat_map(|_| dice.below(u64::MAX).to_le_bytes()).collect();
            let body = body.repeat(1 + dice.below(2700) as usize);
            let to = UPNP + 0x100 * dice.below(u64::from(SERVICES)) as u32;
            let head = Header { timeout: 60_000, opcode: opcode::REQ, ..Header::request(me, to, id::UPNP, next) };
            peer.stream.write_all(&frame(head, &body)).unwrap();
            expected.insert(next, (to, body));
            next += 1;
        }
        let got = peer.get();
        let (to, mut body) = expected.remove(&got.head.seq).expect("an answer to something asked");
        body.reverse();
        assert_eq!((got.head.srcid, got.head.dstid, got.head.errcode), (to, me, 0));
        assert!(got.body == body, "caller {number} seq {}: a wrong payload", got.head.seq);
    }
}
