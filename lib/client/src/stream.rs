//! A connected socket to the agent, whichever family it is of.

use crate::{Place, trusted};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// See the module.
#[derive(Debug)]
pub enum Stream {
    /// A unix socket; we do not bind our own end to a name.
    Unix(UnixStream),
    /// TCP, without Nagle's delay.
    Tcp(TcpStream),
}

impl Stream {
    /// Tries each address of the place once.
    ///
    /// # Errors
    /// No address answered: the last one tried, and why.
    pub fn connect(place: &Place, patience: Duration) -> Result<Self, (String, io::Error)> {
        match place {
            Place::Local(sockets) => {
                let mut failed = (String::from("any socket it may be at"), io::ErrorKind::NotFound.into());
                for socket in sockets {
                    if !trusted(socket) {
                        continue;
                    }
                    match UnixStream::connect(socket) {
                        Ok(stream) => return Ok(Self::Unix(stream)),
                        Err(error) => failed = (socket.display().to_string(), error),
                    }
                }
                Err(failed)
            }
            Place::Remote { host, port } => {
                tcp(host, *port, patience).map(Self::Tcp).map_err(|error| (format!("{host}:{port}"), error))
            }
        }
    }

    /// How long a read may block; `None` for ever.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn set_read_timeout(&self, longest: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_read_timeout(longest),
            Self::Tcp(stream) => stream.set_read_timeout(longest),
        }
    }

    /// How long a write may block; `None` for ever.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn set_write_timeout(&self, longest: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_write_timeout(longest),
            Self::Tcp(stream) => stream.set_write_timeout(longest),
        }
    }

    /// Reads and writes return at once instead of blocking.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        self.block(false)
    }

    /// Whether reads and writes wait.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn block(&self, waits: bool) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_nonblocking(!waits),
            Self::Tcp(stream) => stream.set_nonblocking(!waits),
        }
    }

    /// Ends the connection in both directions, also for a thread that waits in it.
    pub fn shutdown(&self) {
        // One that is over already is no error of anybody's.
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

fn tcp(host: &str, port: u16, patience: Duration) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream may be read by one thread while another writes.
impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => (&mut &*stream).read(buffer),
            Stream::Tcp(stream) => (&mut &*stream).read(buffer),
        }
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => (&mut &*stream).write(bytes),
            Stream::Tcp(stream) => (&mut &*stream).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}
