//! Where one of the agent's TCP ports is: `X_enable`, `X_ip` and `X_port` of nmid, HTTP and the metrics.

use super::shown::shown;
use super::word::Word;
use crate::ConfError;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// One TCP listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Listen there. What is not written follows `net_enable`.
    pub enable: bool,
    /// The address.
    pub ip: IpAddr,
    /// The port; 0 lets the kernel choose.
    pub port: u16,
    /// Whether a file asks for it: then it is an error when it cannot be had.
    pub configured: bool,
}

impl Endpoint {
    /// What holds as long as nothing is written.
    pub(super) fn on(port: u16) -> Endpoint {
        Endpoint { enable: true, ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port, configured: false }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }

    /// Takes `enable`, `ip` or `port`; whether `part` is one of them.
    pub(super) fn set(&mut self, part: &str, word: &Word) -> Result<bool, ConfError> {
        match part {
            "enable" => self.enable = word.truth()?,
            "ip" => self.ip = word.address()?,
            "port" => self.port = word.number(0, 65_535)? as u16,
            _ => return Ok(false),
        }
        self.configured = true;
        Ok(true)
    }

    /// The three lines of a `.conf`. As long as nobody has written one they stand behind a `#`: written, they would turn
    /// a taken port into an error.
    pub(super) fn show(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        let mark = if self.configured { "" } else { "# " };
        let ip = shown(self.ip);
        writeln!(f, "{mark}{name}_enable={}\n{mark}{name}_ip={ip}\n{mark}{name}_port={}", self.enable, self.port)
    }
}
