//! The network interfaces of this machine and their addresses, as they are at this moment ([`Links`](super::Links) tells
//! how they change).

use crate::error::Error;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::SockaddrStorage;
use std::net::IpAddr;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its number, which stays while its name may change.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The kernel's IFF_ bits.
    pub flags: u32,
    /// Its hardware address, if it has one of six bytes.
    pub mac: Option<[u8; 6]>,
}

impl Interface {
    /// It is switched on, and its carrier is there: packets can pass.
    pub fn is_up(&self) -> bool {
        let needed = (libc::IFF_UP | libc::IFF_RUNNING) as u32;
        self.flags & needed == needed
    }
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceAddress {
    /// The number of the interface.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The address.
    pub address: IpAddr,
    /// How many leading bits its network has.
    pub prefix: u8,
}

/// All interfaces.
///
/// ```
/// let names: Vec<String> = msf_core::net::interfaces()?.into_iter().map(|one| one.name).collect();
/// assert!(names.iter().any(|name| name == "lo"));
/// # Ok::<(), msf_core::Error>(())
/// ```
pub fn interfaces() -> Result<Vec<Interface>, Error> {
    let mut found = Vec::new();
    for entry in getifaddrs().map_err(Error::system("list the interfaces"))? {
        let address = entry.address.as_ref();
        if let Some(link) = address.and_then(SockaddrStorage::as_link_addr) {
            let (index, flags) = (link.ifindex() as u32, bits(entry.flags));
            // One of another length (a tunnel's, InfiniBand's) is not a MAC.
            let mac = (link.halen() == 6).then(|| link.addr()).flatten();
            found.push(Interface { index, name: entry.interface_name, flags, mac });
        }
    }
    Ok(found)
}

/// The addresses of one interface, or of all.
pub fn interface_addresses(name: Option<&str>) -> Result<Vec<InterfaceAddress>, Error> {
    // A name nobody has is an error; one without addresses is not.
    let only = name.map(|name| interface_index(name).map(|_| name)).transpose()?;
    let mut found = Vec::new();
    for entry in getifaddrs().map_err(Error::system("list the addresses of the interfaces"))? {
        // An alias of old (eth0:1) is an address of eth0.
        let owner = entry.interface_name.split(':').next().unwrap_or_default();
        if only.is_some_and(|name| name != owner && name != entry.interface_name) {
            continue;
        }
        let (Some(address), prefix) = (entry.address.as_ref().and_then(ip), entry.netmask.as_ref().and_then(ip)) else {
            continue;
        };
        let index = if_nametoindex(owner).unwrap_or(0);
        let prefix = prefix.map_or(0, leading_ones);
        found.push(InterfaceAddress { index, name: entry.interface_name, address, prefix });
    }
    Ok(found)
}

/// The number of the interface called `name`; ENODEV when there is none.
pub fn interface_index(name: &str) -> Result<u32, Error> {
    if_nametoindex(name).map_err(|_| Error::place("find the interface", name)(Errno::ENODEV))
}

fn bits(flags: InterfaceFlags) -> u32 {
    flags.bits() as u32
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

fn leading_ones(mask: IpAddr) -> u8 {
    let ones = match mask {
        IpAddr::V4(mask) => mask.to_bits().leading_ones(),
        IpAddr::V6(mask) => mask.to_bits().leading_ones(),
    };
    ones as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_there_with_its_address() {
        let list = interfaces().unwrap();
        let lo = list.iter().find(|one| one.name == "lo").unwrap();
        assert_eq!(interface_index("lo").unwrap(), lo.index);
        assert_ne!(lo.flags & libc::IFF_LOOPBACK as u32, 0);
        let wanted =
            InterfaceAddress { index: lo.index, name: "lo".into(), address: "127.0.0.1".parse().unwrap(), prefix: 8 };
        assert!(interface_addresses(Some("lo")).unwrap().contains(&wanted));
        assert!(interface_addresses(None).unwrap().contains(&wanted));
    }

    #[test]
    fn a_name_nobody_has_is_no_device() {
        assert_eq!(interface_addresses(Some("nosuch0")).unwrap_err().errno(), Errno::ENODEV);
        assert_eq!(interface_index("").unwrap_err().errno(), Errno::ENODEV);
    }
}
