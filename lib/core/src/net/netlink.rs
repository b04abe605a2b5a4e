//! The kernel's messages about interfaces and addresses (rtnetlink), as bytes and as values. No socket here.

use std::net::IpAddr;

/// One message, with the number of the request it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub sequence: u32,
    /// The list changed while it was told: it is to be asked for again.
    pub is_torn: bool,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// An interface is there, new or changed.
    Link { index: u32, flags: u32, name: String, mac: Option<[u8; 6]> },
    /// An interface is gone.
    LinkGone { index: u32 },
    /// An address is there, new or changed.
    Address { index: u32, address: IpAddr, prefix: u8 },
    /// An address is gone.
    AddressGone { index: u32, address: IpAddr, prefix: u8 },
    /// The list that was asked for is complete.
    Done,
    /// The request failed with this errno.
    Failed(i32),
}

/// Which list to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Links,
    Addresses,
}

/// The request for a list.
pub(super) fn request(list: List, sequence: u32) -> [u8; 24] {
    let kind = match list {
        List::Links => libc::RTM_GETLINK,
        List::Addresses => libc::RTM_GETADDR,
    };
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut bytes = [0; 24];
    bytes[0..4].copy_from_slice(&24u32.to_ne_bytes());
    bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
    bytes
}

/// The messages in one packet. What is not about interfaces or addresses is left out; so is what is cut short.
pub(super) fn messages(mut packet: &[u8]) -> Vec<Told> {
    let mut found = Vec::new();
    while let Some((length, body)) =
        word(packet, 0).and_then(|length| Some((length as usize, packet.get(16..length as usize)?)))
    {
        let kind = half(packet, 4).unwrap_or(0);
        let flags = half(packet, 6).unwrap_or(0);
        let sequence = word(packet, 8).unwrap_or(0);
        if let Some(what) = read(kind, body) {
            found.push(Told { sequence, is_torn: flags & NLM_F_DUMP_INTR != 0, what });
        }
        packet = packet.get(aligned(length)..).unwrap_or_default();
    }
    found
}

fn read(kind: u16, body: &[u8]) -> Option<What> {
    match kind {
        libc::RTM_NEWLINK | libc::RTM_DELLINK => link(kind == libc::RTM_DELLINK, body),
        libc::RTM_NEWADDR | libc::RTM_DELADDR => address(kind == libc::RTM_DELADDR, body),
        NLMSG_DONE => Some(What::Done),
        NLMSG_ERROR => Some(What::Failed(word(body, 0)?.cast_signed().saturating_neg())),
        _ => None,
    }
}

/// struct ifinfomsg: family, type, index, flags, change; attributes.
fn link(is_gone: bool, body: &[u8]) -> Option<What> {
    // A bridge tells of its ports in the same words: a port that leaves it is not an interface that goes.
    if *body.first()? != libc::AF_UNSPEC as u8 {
        return None;
    }
    let index = word(body, 4)?;
    if is_gone {
        return Some(What::LinkGone { index });
    }
    let (mut name, mut mac) = (None, None);
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            libc::IFLA_IFNAME => {
                name = Some(String::from_utf8_lossy(value.strip_suffix(b"\0").unwrap_or(value)).into())
            }
            libc::IFLA_ADDRESS => mac = <[u8; 6]>::try_from(value).ok(),
            _ => {}
        }
    }
    Some(What::Link { index, flags: word(body, 8)?, name: name?, mac })
}

/// struct ifaddrmsg: family, prefix, flags, scope, index; attributes.
fn address(is_gone: bool, body: &[u8]) -> Option<What> {
    let (prefix, index) = (*body.get(1)?, word(body, 4)?);
    let (mut ours, mut peers) = (None, None);
    for (kind, value) in attributes(body.get(8..)?) {
        match kind {
            libc::IFA_LOCAL => ours = ip(value),
            libc::IFA_ADDRESS => peers = ip(value),
            _ => {}
        }
    }
    // Of a point-to-point link one is ours and the other the peer's; elsewhere there may be only the second.
    let address = ours.or(peers)?;
    Some(match is_gone {
        true => What::AddressGone { index, address, prefix },
        false => What::Address { index, address, prefix },
    })
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(value).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok()
}

fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = half(bytes, 0)? as usize;
        let attribute = (half(bytes, 2)?, bytes.get(4..length)?);
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some(attribute)
    })
}

fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk))
}

const NLMSG_ERROR: u16 = libc::NLMSG_ERROR as u16;
const NLMSG_DONE: u16 = libc::NLMSG_DONE as u16;
const NLM_F_DUMP_INTR: u16 = 0x10;

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = (16 + body.len() as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(0u16.to_ne_bytes());
        bytes.extend(5u32.to_ne_bytes());
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend(body);
        bytes.resize(aligned(bytes.len()), 0);
        bytes
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(aligned(bytes.len()), 0);
        bytes
    }

    fn a_link(family: u8) -> Vec<u8> {
        let mut body = vec![family, 0, 0, 0];
        body.extend(3u32.to_ne_bytes());
        body.extend(0x1043u32.to_ne_bytes());
        body.extend(0u32.to_ne_bytes());
        body.extend(attribute(libc::IFLA_IFNAME, b"eth0\0"));
        body.extend(attribute(libc::IFLA_ADDRESS, &[1, 2, 3, 4, 5, 6]));
        body
    }

    #[test]
    fn links_addresses_and_the_end_are_read() {
        let mut bytes = packet(libc::RTM_NEWLINK, &a_link(0));
        let mut body = vec![libc::AF_INET as u8, 24, 0, 0];
        body.extend(3u32.to_ne_bytes());
        body.extend(attribute(libc::IFA_ADDRESS, &[10, 0, 0, 2]));
        body.extend(attribute(libc::IFA_LOCAL, &[10, 0, 0, 1]));
        bytes.extend(packet(libc::RTM_DELADDR, &body));
        bytes.extend(packet(NLMSG_DONE, &[0; 4]));
        let told: Vec<What> = messages(&bytes).into_iter().map(|told| told.what).collect();
        let link = What::Link { index: 3, flags: 0x1043, name: "eth0".into(), mac: Some([1, 2, 3, 4, 5, 6]) };
        let gone = What::AddressGone { index: 3, address: "10.0.0.1".parse().unwrap(), prefix: 24 };
        assert_eq!(told, [link, gone, What::Done]);
    }

    #[test]
    fn a_port_that_leaves_its_bridge_is_no_interface_that_goes() {
        assert_eq!(messages(&packet(libc::RTM_DELLINK, &a_link(libc::AF_BRIDGE as u8))), []);
    }

    #[test]
    fn every_truncation_and_any_length_is_survived() {
        let whole = packet(libc::RTM_NEWLINK, &a_link(0));
        for cut in 0..whole.len() {
            assert_eq!(messages(&whole[..cut]), []);
        }
        for length in [0u32, 1, 15, 16, u32::MAX] {
            let mut bytes = whole.clone();
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(messages(&bytes).is_empty());
        }
        for length in [0u16, 3, 5, u16::MAX] {
            let mut bytes = whole.clone();
            bytes[32..34].copy_from_slice(&length.to_ne_bytes());
            messages(&bytes);
        }
    }
}
