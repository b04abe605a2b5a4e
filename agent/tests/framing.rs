//! Bytes as they come: split anywhere, many frames at once, and bytes that are no frames at all.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Agent, DLNA, Got, UPNP, call, frame, login, reply};
use msf_wire::librpc::{HEADER_LEN, Header, errcode};

#[test]
fn a_conversation_split_at_every_byte_arrives_whole() {
    let agent = Agent::start("max_threads=2");
    let mut upnp = agent.member(UPNP);
    let body: Vec<u8> = (0..=255).collect();
    let asked = call(DLNA, UPNP, 9, 5000);
    let mut bytes = login(DLNA);
    bytes.extend(frame(asked, &body));
    bytes.extend(frame(Header { seq: 10, ..asked }, b""));
    for cut in 1..bytes.len() {
        let mut dlna = agent.connect();
        dlna.send(&bytes[..cut]);
        // Whatever can be answered before the cut is, so the agent has read up to it.
        if cut >= login(DLNA).len() {
            assert_eq!(dlna.get().head.errcode, errcode::EXEC_SUCC);
        }
        dlna.send(&bytes[cut..]);
        if cut < login(DLNA).len() {
            assert_eq!(dlna.get().head.errcode, errcode::EXEC_SUCC, "cut at {cut}");
        }
        assert_eq!(upnp.answer(&body).body, body, "cut at {cut}");
        assert_eq!(upnp.answer(b"").head.seq, 10);
        assert_eq!(dlna.get(), Got { head: Header { datalen: 256, ..asked.ack(0, 0) }, body: body.clone() });
        assert_eq!(dlna.get().head.seq, 10);
        dlna.send(&Header::request(DLNA, 0xffff_fff1, 2, 1).encode());
        dlna.expect_end();
    }
}

#[test]
fn an_answer_split_at_every_byte_arrives_whole() {
    let agent = Agent::start("max_threads=1");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    for cut in 1..HEADER_LEN + 100 {
        dlna.send(&call(DLNA, UPNP, cut as u32, 5000).encode());
        let answer = reply(&upnp.get(), &[cut as u8; 100]);
        upnp.send(&answer[..cut]);
        upnp.send(&answer[cut..]);
        assert_eq!(dlna.get().body, [cut as u8; 100], "cut at {cut}");
    }
}

#[test]
fn pipelined_frames_keep_their_order_and_may_follow_the_login_at_once() {
    let agent = Agent::start("max_threads=2");
    let mut upnp = agent.member(UPNP);
    let mut bytes = login(DLNA);
    for seq in 0..1000 {
        bytes.extend(frame(call(DLNA, UPNP, seq, 5000), &vec![seq as u8; seq as usize % 97]));
    }
    let mut dlna = agent.connect();
    dlna.send(&bytes);
    assert_eq!(dlna.get().head.errcode, errcode::EXEC_SUCC);
    for seq in 0..1000 {
        assert_eq!(upnp.answer(&[1]).head.seq, seq);
    }
    for seq in 0..1000 {
        assert_eq!(dlna.get().head.seq, seq);
    }
}

#[test]
fn a_megabyte_passes_and_a_byte_more_is_refused() {
    let agent = Agent::start("max_threads=2");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    let body: Vec<u8> = (0..1 << 20).map(|n: u32| (n * 7 % 253) as u8).collect();
    let asked = call(DLNA, UPNP, 1, 20_000);
    let writer = dlna.stream.try_clone().unwrap();
    let bytes = frame(asked, &body);
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut &writer, &bytes).unwrap());
    let got = upnp.get();
    sending.join().unwrap();
    assert!(got.body == body);
    let answer = reply(&got, &body);
    let writer = upnp.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut &writer, &answer).unwrap());
    assert!(dlna.get().body == body);
    sending.join().unwrap();
    let asked = Header { datalen: (1 << 20) + 1, ..call(DLNA, UPNP, 2, 1000) };
    dlna.send(&asked.encode());
    dlna.expect_bytes(&asked.ack(errcode::PEER_BUSY, 0).encode());
    dlna.expect_end();
    let line = agent.wait_for_log("payload of 1048577 bytes");
    assert!(line.contains("at most 1048576 are accepted") && line.contains(&format!("pid {}", std::process::id())));
}

#[test]
fn wrong_magic_and_wrong_version_close_the_connection_and_name_the_peer() {
    let agent = Agent::start("");
    let good = call(DLNA, UPNP, 1, 1000).encode();
    for (place, text) in [(4, "magic number"), (1, "version")] {
        let mut dlna = agent.member(DLNA);
        let mut bytes = good;
        bytes[place] ^= 0x40;
        dlna.send(&bytes);
        dlna.expect_end();
        let line = agent.wait_for_log(text);
        assert!(line.contains(&format!("pid {}", std::process::id())) && line.contains("(0x11"), "{line}");
    }
    let mut stranger = agent.connect();
    stranger.send(b"GET / HTTP/1.1\r\n\r\n");
    stranger.expect_end();
    assert_eq!(agent.end().of("malformed"), 3);
}

#[test]
fn ten_thousand_mutated_frames_hurt_nobody() {
    let agent = Agent::start("max_threads=2\npayload_limit=8096");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    let mut state = 0x1234_5678_9abc_def0_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut sent = 0;
    while sent < 10_000 {
        let stream = std::os::unix::net::UnixStream::connect(agent.socket()).unwrap();
        let mut bytes = Vec::new();
        for _ in 0..100 {
            let mut one = frame(call(0x4000 + random() as u32 % 9, UPNP, random() as u32, 1), b"0123456789abcdef");
            if random() % 2 == 0 {
                one.iter_mut().for_each(|byte| *byte = random() as u8);
            } else {
                // One field of a valid header.
                let field = random() as usize % 14;
                one[field * 4..field * 4 + 4].copy_from_slice(&(random() as u32).to_le_bytes());
            }
            one.truncate(one.len() - (random() % 5 == 0) as usize * (random() as usize % 40));
            bytes.extend(one);
            sent += 1;
        }
        // The agent may close in the middle of it.
        let _ = std::io::Write::write(&mut &stream, &bytes);
    }
    dlna.send(&call(DLNA, UPNP, 1, 20_000).encode());
    while upnp.answer(b"still here").head.srcid != DLNA {}
    assert_eq!(dlna.get().body, b"still here");
    agent.end();
}
