//! Where an nmid broker is, as people write it.

use crate::Place;
use std::path::PathBuf;

/// The port of a broker that was not told another one.
pub const DEFAULT_PORT: u16 = 6808;

/// `host`, `host:port`, `[v6]:port`, or the path of a unix socket, which begins with a slash. `None` when it is none of
/// them. Other than for the broker's own services, a loopback address is what it says.
#[must_use]
pub fn place(text: &str) -> Option<Place> {
    if text.starts_with('/') {
        return Some(Place::Local(vec![PathBuf::from(text)]));
    }
    let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
        // An IPv6 address without brackets has more than one colon.
        None if text.matches(':').count() > 1 => (text, None),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok())?;
    (!host.is_empty() && port > 0).then(|| Place::Remote { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_stand_alone_or_with_its_port() {
        let expected = |host: &str, port| Some(Place::Remote { host: host.into(), port });
        assert_eq!(place("localhost"), expected("localhost", 6808));
        assert_eq!(place("127.0.0.1:7000"), expected("127.0.0.1", 7000));
        assert_eq!(place("[::1]:7000"), expected("::1", 7000));
        assert_eq!(place("[::1]"), expected("::1", 6808));
        assert_eq!(place("fe80::1"), expected("fe80::1", 6808));
        assert_eq!(place("/run/x.sock"), Some(Place::Local(vec!["/run/x.sock".into()])));
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in ["", ":", ":80", "host:", "host:0", "host:70000", "[::1]80", "host:port"] {
            assert_eq!(place(text), None, "{text}");
        }
    }
}
