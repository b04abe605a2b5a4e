//! Networks: an address or a CIDR as lists of peers have them, and whether somebody's address is inside.
//!
//! An IPv4 address is the same whether it is written, or connects, as `10.0.0.7` or as `::ffff:10.0.0.7`. Beyond that the
//! families stay apart: `::/0` is every IPv6 address and no IPv4 one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The addresses whose first bits are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The lowest of them.
    base: IpAddr,
    /// How many bits.
    prefix: u8,
}

/// Any of several networks; of none: nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(pub Vec<Network>);

/// A text that is neither an address nor a CIDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoNetwork;

impl Network {
    /// Whether `address` is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        masked(address.to_canonical(), self.prefix) == Some(self.base)
    }

    /// Whether all of `other` is in it.
    pub fn covers(&self, other: &Network) -> bool {
        self.prefix <= other.prefix && self.contains(other.base)
    }
}

impl Networks {
    /// Whether `address` is in one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Network, NoNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(number(prefix)?)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| NoNetwork)?;
        let mapped = written.to_canonical();
        let (address, prefix) = match (mapped == written, prefix) {
            (_, None) => (mapped, if mapped.is_ipv4() { 32 } else { 128 }),
            (false, Some(prefix)) if prefix >= MAPPED => (mapped, prefix - MAPPED),
            (_, Some(prefix)) => (written, prefix),
        };
        let base = masked(address, prefix).ok_or(NoNetwork)?;
        Ok(Network { base, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix == if self.base.is_ipv4() { 32 } else { 128 } {
            true => write!(f, "{}", self.base),
            false => write!(f, "{}/{}", self.base, self.prefix),
        }
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, network) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{network}")?;
        }
        Ok(())
    }
}

impl fmt::Display for NoNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an address or a CIDR such as 10.0.0.0/8")
    }
}

impl std::error::Error for NoNetwork {}

/// Digits only: the reader of numbers would take a sign too.
fn number(text: &str) -> Result<u8, NoNetwork> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(NoNetwork)
}

/// `address` without the bits behind the first `prefix`; `None` if it has not so many.
fn masked(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(v4) => {
            let rest = 32u32.checked_sub(prefix.into())?;
            Ipv4Addr::from_bits(v4.to_bits() & u32::MAX.checked_shl(rest).unwrap_or(0)).into()
        }
        IpAddr::V6(v6) => {
            let rest = 128u32.checked_sub(prefix.into())?;
            Ipv6Addr::from_bits(v6.to_bits() & u128::MAX.checked_shl(rest).unwrap_or(0)).into()
        }
    })
}

/// Bits in front of the IPv4 address inside an IPv6 one.
const MAPPED: u8 = 96;

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn inside(network: &str, address: &str) -> bool {
        self::network(network).contains(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_a_network_of_one() {
        assert!(inside("10.0.0.7", "10.0.0.7") && !inside("10.0.0.7", "10.0.0.8"));
        assert!(inside("::1", "::1") && !inside("::1", "::2"));
    }

    #[test]
    fn the_bits_behind_the_prefix_do_not_count() {
        assert!(inside("10.1.2.3/8", "10.255.0.1") && !inside("10.1.2.3/8", "11.0.0.1"));
        assert!(inside("192.168.4.0/23", "192.168.5.255") && !inside("192.168.4.0/23", "192.168.6.0"));
        assert!(inside("2001:db8::/32", "2001:db8:ffff::1") && !inside("2001:db8::/32", "2001:db9::1"));
        assert!(inside("0.0.0.0/0", "255.255.255.255") && inside("::/0", "ffff::"));
    }

    #[test]
    fn an_ipv4_address_inside_an_ipv6_one_is_the_ipv4_address() {
        assert!(inside("10.0.0.0/8", "::ffff:10.9.9.9") && inside("::ffff:10.0.0.0/104", "10.9.9.9"));
        assert!(inside("::ffff:10.0.0.7", "10.0.0.7") && !inside("::ffff:10.0.0.7", "10.0.0.8"));
    }

    #[test]
    fn the_families_stay_apart() {
        assert!(!inside("::/0", "10.0.0.7") && !inside("0.0.0.0/0", "::1"));
    }

    #[test]
    fn a_network_covers_what_is_no_wider_than_itself() {
        let covers = |one: &str, other: &str| network(one).covers(&network(other));
        assert!(covers("10.0.0.0/8", "10.1.0.0/16") && covers("10.0.0.0/8", "10.0.0.0/8"));
        assert!(!covers("10.1.0.0/16", "10.0.0.0/8") && !covers("10.0.0.0/8", "11.0.0.0/16"));
        assert!(!covers("0.0.0.0/0", "::/0") && !covers("::/0", "10.0.0.1"));
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in
            ["", "/", "10.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/-1", "host", "1/2/3"]
        {
            assert_eq!(text.parse::<Network>(), Err(NoNetwork), "{text}");
        }
    }

    #[test]
    fn what_is_printed_is_the_same_network() {
        for (text, shown) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3/32", "10.1.2.3"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("2001:DB8::1/128", "2001:db8::1"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(network(text).to_string(), shown);
            assert_eq!(network(shown), network(text));
        }
    }
}
