//! What a service manager is told through `NOTIFY_SOCKET`, where there is one: one datagram per piece of news.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Where news goes; nowhere when nobody asked.
#[derive(Debug)]
pub struct Notify {
    place: Option<OsString>,
}

impl Notify {
    /// As the environment says.
    pub fn from_environment() -> Notify {
        Notify { place: env::var_os("NOTIFY_SOCKET").filter(|place| !place.is_empty()) }
    }

    /// Everything is started.
    pub fn ready(&self) -> io::Result<()> {
        self.send("READY=1")
    }

    /// The end has begun.
    pub fn stopping(&self) -> io::Result<()> {
        self.send("STOPPING=1")
    }

    fn send(&self, news: &str) -> io::Result<()> {
        let Some(place) = &self.place else { return Ok(()) };
        let address = match place.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(place)?,
        };
        let socket = UnixDatagram::unbound()?;
        // Whoever asked and does not listen must not hold us up.
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.send_to_addr(news.as_bytes(), &address).map(|_| ())
    }
}

const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_reaches_an_abstract_socket() {
        let name = format!("msf-daemon-notify-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Notify { place: Some(format!("@{name}").into()) }.ready().unwrap();
        let mut news = [0; 16];
        let len = socket.recv(&mut news).unwrap();
        assert_eq!(&news[..len], b"READY=1");
    }

    #[test]
    fn regress_a_manager_that_does_not_listen_holds_nobody_up() {
        let name = format!("msf-daemon-deaf-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _deaf = UnixDatagram::bind_addr(&address).unwrap();
        let others = UnixDatagram::unbound().unwrap();
        others.set_nonblocking(true).unwrap();
        while others.send_to_addr(b"news", &address).is_ok() {}
        assert!(Notify { place: Some(format!("@{name}").into()) }.ready().is_err());
    }

    #[test]
    fn nobody_to_tell_is_no_error_and_nobody_there_is_one() {
        Notify { place: None }.ready().unwrap();
        assert!(Notify { place: Some("/nowhere/at/all".into()) }.stopping().is_err());
    }
}
