//! Names: of hosts, of this host, and of the servers that are asked for them.

use crate::error::Error;
use crate::sys::names;
use nix::errno::Errno;
use std::ffi::CString;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Which addresses are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Either, in the order in which they should be tried.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// The addresses of `host` at `service`, in the order in which they should be tried. The host is a name, an address, or
/// an address in brackets (`[::1]`); the service a port number, a service's name, or empty for port 0.
///
/// ```
/// use msf_core::net::{Family, resolve};
/// assert_eq!(resolve("[::1]", "9999", Family::Any)?, ["[::1]:9999".parse().unwrap()]);
/// # Ok::<(), msf_core::Error>(())
/// ```
pub fn resolve(host: &str, service: &str, family: Family) -> Result<Vec<SocketAddr>, Error> {
    let family = match family {
        Family::Any => libc::AF_UNSPEC,
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    let wanted = || {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if bare.is_empty() {
            return Err(Errno::EINVAL);
        }
        if exceeds_ports(service) {
            return Err(Errno::EINVAL);
        }
        let bare = CString::new(bare).map_err(|_| Errno::EINVAL)?;
        let service = CString::new(service).map_err(|_| Errno::EINVAL)?;
        let service = (!service.is_empty()).then_some(service.as_c_str());
        names::addresses(Some(&bare), service, family, 0)
    };
    wanted().map_err(Error::place("find the address of", format_args!("{host}:{service}")))
}

/// Whether it is a number, and none of a port: the C library would drop the bits above the 16th, and lead elsewhere.
fn exceeds_ports(service: &str) -> bool {
    let digits = service.trim_ascii_start().trim_start_matches('+');
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_err()
}

/// The name of this machine.
pub fn hostname() -> Result<String, Error> {
    let name = nix::unistd::gethostname().map_err(Error::system("read the name of this machine"))?;
    Ok(name.to_string_lossy().into_owned())
}

/// The addresses of the name servers this machine asks (`/etc/resolv.conf`), first the one that is asked first.
pub fn name_servers() -> Result<Vec<IpAddr>, Error> {
    let path = Path::new("/etc/resolv.conf");
    let text = std::fs::read(path).map_err(|error| Error::file("read", path, error))?;
    Ok(servers_in(&String::from_utf8_lossy(&text)))
}

fn servers_in(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        // A link-local one is followed by its interface: fe80::1%eth0.
        address.split('%').next()?.parse().ok()
    };
    text.lines().filter_map(server).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_found_between_everything_else() {
        let text =
            "# comment\nsearch lan\nnameserver 10.0.0.1\n nameserver\tfe80::1%eth0 \nnameserver nonsense\nnameserver\n";
        let wanted: Vec<IpAddr> = vec!["10.0.0.1".parse().unwrap(), "fe80::1".parse().unwrap()];
        assert_eq!(servers_in(text), wanted);
    }

    #[test]
    fn regress_a_number_above_the_ports_is_no_service() {
        for service in ["65536", "70000", "99999999999999999999", "+65536"] {
            assert_eq!(resolve("127.0.0.1", service, Family::Any).unwrap_err().errno(), Errno::EINVAL, "{service}");
        }
        assert_eq!(resolve("127.0.0.1", "65535", Family::Any).unwrap()[0].port(), 65535);
    }

    #[test]
    fn a_name_that_is_none_is_told_with_what_was_asked() {
        let error = resolve("", "80", Family::Any).unwrap_err();
        assert_eq!(error.errno(), Errno::EINVAL);
        assert!(error.to_string().contains("find the address of :80"), "{error}");
        assert_eq!(resolve("::1", "80", Family::V4).unwrap_err().errno(), Errno::ENOENT);
    }
}
