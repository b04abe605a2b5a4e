//! Whether a host answers, and how fast: ICMP echo, by IPv4 and IPv6.
//!
//! The kernel has a socket for it that needs no privilege (where `net.ipv4.ping_group_range` allows it to our group);
//! it is tried first, then a raw socket, which needs CAP_NET_RAW.

use super::host::{Family, resolve};
use crate::error::Error;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, recv, send, socket,
};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reachable {
    /// Which of the host's addresses answered.
    pub address: IpAddr,
    /// How long the question and the answer were on their way.
    pub after: Duration,
}

/// Asks `host` once and waits at most `longest` for the answer. ETIMEDOUT: none came. EPERM: this process may not ask
/// (see `net.ipv4.ping_group_range`, or give it CAP_NET_RAW). ENOENT, EAGAIN: the name has no address, or the name server
/// no answer. Others are the network's: EHOSTUNREACH, ENETUNREACH.
///
/// ```no_run
/// let answer = msf_core::net::ping("192.0.2.1", std::time::Duration::from_millis(500))?;
/// println!("{} answers after {:?}", answer.address, answer.after);
/// # Ok::<(), msf_core::Error>(())
/// ```
pub fn ping(host: &str, longest: Duration) -> Result<Reachable, Error> {
    let address = resolve(host, "", Family::Any)?.into_iter().next();
    let asked = address.ok_or(Errno::ENOENT).and_then(|address| ask(address, longest));
    asked.map_err(Error::place("ping", host))
}

fn ask(address: SocketAddr, longest: Duration) -> Result<Reachable, Errno> {
    let (socket, is_raw) = open(address.is_ipv6())?;
    connect(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    let question = Question::new(address.is_ipv6());
    let begin = Instant::now();
    send(socket.as_raw_fd(), &question.bytes, MsgFlags::empty())?;
    let mut answer = [0; 256];
    loop {
        let left = longest.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return Err(Errno::ETIMEDOUT);
        }
        // Rounded up: a rest below a millisecond is not none.
        let wait = PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], wait) {
            Ok(0) | Err(Errno::EINTR) => continue,
            other => other?,
        };
        match recv(socket.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT) {
            Ok(length) if question.is_answered_by(answer.get(..length).unwrap_or_default(), is_raw) => {
                return Ok(Reachable { address: address.ip(), after: begin.elapsed() });
            }
            // A raw socket sees the answers to others, and our own questions to ourselves.
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// A socket for ICMP, and whether it is a raw one.
fn open(is_v6: bool) -> Result<(OwnedFd, bool), Errno> {
    let (family, protocol) = match is_v6 {
        true => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        false => (AddressFamily::Inet, SockProtocol::Icmp),
    };
    let open = |kind| socket(family, kind, SockFlag::SOCK_CLOEXEC, protocol);
    match open(SockType::Datagram) {
        Err(Errno::EACCES | Errno::EPERM | Errno::EPROTONOSUPPORT) => Ok((open(SockType::Raw)?, true)),
        socket => Ok((socket?, false)),
    }
}

/// An echo request: type, code, checksum, identifier, number; then a token nobody else has.
struct Question {
    bytes: [u8; 16],
    is_v6: bool,
}

impl Question {
    fn new(is_v6: bool) -> Question {
        // Keyed anew for each value, from the system's randomness.
        let token = RandomState::new().build_hasher().finish();
        let mut bytes = [0; 16];
        bytes[0] = if is_v6 { ECHO_V6 } else { ECHO_V4 };
        bytes[4..8].copy_from_slice(&(token as u32).to_ne_bytes());
        bytes[8..].copy_from_slice(&token.to_ne_bytes());
        if !is_v6 {
            // The kernel computes that of ICMPv6, which covers the addresses too.
            let sum = checksum(&bytes);
            bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        Question { bytes, is_v6 }
    }

    fn is_answered_by(&self, packet: &[u8], is_raw: bool) -> bool {
        // A raw IPv4 socket gives the IP header, whose length is in its first byte, as well.
        let header =
            if is_raw && !self.is_v6 { packet.first().map_or(0, |first| usize::from(first & 15) * 4) } else { 0 };
        let Some(icmp) = packet.get(header..) else { return false };
        let kind = if self.is_v6 { REPLY_V6 } else { REPLY_V4 };
        // The datagram socket puts its own identifier into both, so that is not compared.
        icmp.first() == Some(&kind) && icmp.get(6..16) == Some(&self.bytes[6..16])
    }
}

/// RFC 1071: the complement of the sum of the 16-bit words, carries added.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

const ECHO_V4: u8 = 8;
const REPLY_V4: u8 = 0;
const ECHO_V6: u8 = 128;
const REPLY_V6: u8 = 129;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_with_its_checksum_sums_to_nothing() {
        assert_eq!(checksum(&Question::new(false).bytes), 0);
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn only_the_answer_to_this_question_is_one() {
        let (question, other) = (Question::new(false), Question::new(false));
        let mut reply = question.bytes;
        assert!(!question.is_answered_by(&reply, false));
        reply[0] = REPLY_V4;
        assert!(question.is_answered_by(&reply, false));
        assert!(!other.is_answered_by(&reply, false));
        let mut raw = vec![0x45; 20];
        raw.extend(reply);
        assert!(question.is_answered_by(&raw, true));
        for cut in 0..raw.len() {
            assert!(!question.is_answered_by(&raw[..cut], true));
        }
    }

    #[test]
    fn this_machine_answers_itself_or_we_are_told_that_we_may_not_ask() {
        match ping("127.0.0.1", Duration::from_secs(5)) {
            Ok(answer) => assert!(answer.address.is_loopback() && answer.after < Duration::from_secs(5)),
            Err(error) => assert_eq!(error.errno(), Errno::EPERM),
        }
    }
}
