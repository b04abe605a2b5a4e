//! An open serial line.

use super::settings::{Lines, Settings, make_raw as raw};
use crate::error::Error;
use crate::sys::tty::{self, Line};
use nix::errno::Errno;
use nix::sys::termios::{FlushArg, tcdrain, tcflush, tcsendbreak};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// A serial line that is ours alone, raw, and set back to what it was when it is dropped. It may be watched by a
/// [`Reactor`](crate::event::Reactor); reading and writing wait unless it was made non-blocking.
///
/// ```no_run
/// use msf_core::serial::{Port, Settings};
/// use std::io::{Read, Write};
///
/// let mut port = Port::open("/dev/ttyUSB0", &Settings { baud: 9600, ..Settings::default() })?;
/// port.write_all(b"AT\r")?;
/// let mut answer = [0; 64];
/// let length = port.read(&mut answer)?;
/// # let _ = length;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Port {
    file: File,
    path: PathBuf,
    before: Line,
    is_exclusive: bool,
}

impl Port {
    /// Opens a line for this process alone. EBUSY: another has it. ENOTTY: it is no serial line. EINVAL: the driver
    /// cannot do what is asked for. It does not become the process's terminal, and programs that are executed do not get it.
    pub fn open(path: impl AsRef<Path>, settings: &Settings) -> Result<Port, Error> {
        Port::start(path.as_ref(), settings, true)
    }

    /// The same, for a line that others may open as well.
    pub fn open_shared(path: impl AsRef<Path>, settings: &Settings) -> Result<Port, Error> {
        Port::start(path.as_ref(), settings, false)
    }

    fn start(path: &Path, settings: &Settings, is_exclusive: bool) -> Result<Port, Error> {
        // Non-blocking, or opening would wait for a modem's carrier.
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK);
        let file = options.open(path).map_err(|error| Error::file("open the serial line", path, error))?;
        let failed = |errno: Errno| Error::file("set up the serial line", path, errno);
        let before = tty::get(file.as_fd()).map_err(failed)?;
        if is_exclusive {
            claim(&file).map_err(failed)?;
        }
        let port = Port { file, path: path.to_owned(), before, is_exclusive };
        port.apply(settings)?;
        port.set_nonblocking(false)?;
        // What came before the speed was right is noise.
        tcflush(&port.file, FlushArg::TCIOFLUSH).map_err(failed)?;
        Ok(port)
    }

    /// Changes the settings. EINVAL: the driver cannot do what is asked for; nothing is promised about what it did.
    pub fn apply(&self, settings: &Settings) -> Result<(), Error> {
        let apply = || {
            let mut line = tty::get(self.as_fd())?;
            settings.write_to(&mut line)?;
            tty::set(self.as_fd(), &line)?;
            // The kernel calls it a success when it could do one of many things.
            let now = Settings::read_from(&tty::get(self.as_fd())?);
            let frame = |one: &Settings| (one.data_bits, one.parity, one.stop_bits, one.flow);
            match frame(&now) == frame(settings) && close(now.baud, settings.baud) {
                true => Ok(()),
                false => Err(Errno::EINVAL),
            }
        };
        apply().map_err(|errno| self.error("set the serial line", errno))
    }

    /// What the line is set to.
    pub fn settings(&self) -> Result<Settings, Error> {
        let line = tty::get(self.as_fd()).map_err(|errno| self.error("read the settings of", errno))?;
        Ok(Settings::read_from(&line))
    }

    /// Whether reading and writing fail with `WouldBlock` instead of waiting.
    pub fn set_nonblocking(&self, on: bool) -> Result<(), Error> {
        use nix::fcntl::{FcntlArg, OFlag, fcntl};
        let set = || {
            let mut flags = OFlag::from_bits_retain(fcntl(self, FcntlArg::F_GETFL)?);
            flags.set(OFlag::O_NONBLOCK, on);
            fcntl(self, FcntlArg::F_SETFL(flags)).map(drop)
        };
        set().map_err(|errno| self.error("set the serial line", errno))
    }

    /// Waits until everything written has left.
    pub fn drain(&self) -> Result<(), Error> {
        loop {
            match tcdrain(&self.file) {
                Err(Errno::EINTR) => {}
                done => return done.map_err(|errno| self.error("wait for the serial line", errno)),
            }
        }
    }

    /// Throws away what was received and not read, and what was written and has not left.
    pub fn discard(&self) -> Result<(), Error> {
        tcflush(&self.file, FlushArg::TCIOFLUSH).map_err(|errno| self.error("empty the serial line", errno))
    }

    /// Holds the line at zero for so long, which the other side sees as a break.
    pub fn send_break(&self, length: Duration) -> Result<(), Error> {
        let send = || match tty::set_break(self.as_fd(), true) {
            // Emulators know only the break of POSIX, a quarter of a second.
            Err(Errno::ENOSYS) => tcsendbreak(&self.file, 0),
            begun => {
                begun?;
                thread::sleep(length);
                tty::set_break(self.as_fd(), false)
            }
        };
        send().map_err(|errno| self.error("send a break over", errno))
    }

    /// The lines of the modem; ENOTTY or EINVAL where the device has none.
    pub fn lines(&self) -> Result<Lines, Error> {
        let bits = tty::modem(self.as_fd()).map_err(|errno| self.error("read the modem lines of", errno))?;
        let has = |bit: i32| bits & bit.cast_unsigned() != 0;
        Ok(Lines {
            dtr: has(libc::TIOCM_DTR),
            rts: has(libc::TIOCM_RTS),
            cts: has(libc::TIOCM_CTS),
            dsr: has(libc::TIOCM_DSR),
            dcd: has(libc::TIOCM_CAR),
            ring: has(libc::TIOCM_RNG),
        })
    }

    /// Raises or drops DTR.
    pub fn set_dtr(&self, on: bool) -> Result<(), Error> {
        self.set_line(libc::TIOCM_DTR, on)
    }

    /// Raises or drops RTS, which hardware flow control does by itself.
    pub fn set_rts(&self, on: bool) -> Result<(), Error> {
        self.set_line(libc::TIOCM_RTS, on)
    }

    fn set_line(&self, bit: i32, on: bool) -> Result<(), Error> {
        let set = tty::set_modem(self.as_fd(), bit.cast_unsigned(), on);
        set.map_err(|errno| self.error("set the modem lines of", errno))
    }

    fn error(&self, doing: &'static str, errno: Errno) -> Error {
        Error::file(doing, &self.path, errno)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // A line that is gone cannot be put back.
        let _ = tty::set(self.as_fd(), &self.before);
        if self.is_exclusive {
            let _ = tty::exclusive(self.as_fd(), false);
        }
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Both directions at a speed with a name. `constant` is `B9600` or another of termios.h; EINVAL: none of them.
pub fn set_baud(fd: impl AsFd, constant: u32) -> Result<(), Errno> {
    let speed = tty::speed_of(constant).ok_or(Errno::EINVAL)?;
    let mut line = tty::get(fd.as_fd())?;
    tty::set_speed(&mut line, speed);
    tty::set(fd.as_fd(), &line)
}

/// Bytes pass unchanged and at once, both ways.
pub fn make_raw(fd: impl AsFd) -> Result<(), Errno> {
    let mut line = tty::get(fd.as_fd())?;
    raw(&mut line);
    tty::set(fd.as_fd(), &line)
}

/// TIOCEXCL keeps everybody out but root; the lock keeps out root's programs that ask for it, as we do.
fn claim(file: &File) -> Result<(), Errno> {
    match file.try_lock() {
        Ok(()) => tty::exclusive(file.as_fd(), true),
        Err(TryLockError::WouldBlock) => Err(Errno::EBUSY),
        Err(TryLockError::Error(error)) => Err(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))),
    }
}

/// Dividers of a clock seldom give the very number; 3 % is what a receiver stands.
fn close(one: u32, other: u32) -> bool {
    u64::from(one.abs_diff(other)) * 100 <= u64::from(other) * 3
}

#[cfg(test)]
mod tests {
    use super::super::{DataBits, Flow, Parity, StopBits};
    use super::*;
    use crate::event::{Interest, Reactor, Ready, Slots, Token, Turn};
    use nix::pty::openpty;
    use std::os::fd::OwnedFd;

    /// The other side, and the path of ours.
    fn pty() -> (File, OwnedFd, PathBuf) {
        let pair = openpty(None, None).unwrap();
        let path = nix::unistd::ttyname(&pair.slave).unwrap();
        (File::from(pair.master), pair.slave, path)
    }

    #[test]
    fn settings_are_what_the_kernel_reads_back_and_what_was_before_comes_back() {
        let (_other, slave, path) = pty();
        let before = tty::get(slave.as_fd()).unwrap();
        let settings = Settings {
            baud: 12_345,
            // A pty is always 8N; the rest is free.
            stop_bits: StopBits::Two,
            flow: Flow::Software,
            read_least: 0,
            read_wait: Duration::from_millis(250),
            ..Settings::default()
        };
        let port = Port::open(&path, &settings).unwrap();
        let now = port.settings().unwrap();
        assert_eq!(now, Settings { read_wait: Duration::from_millis(300), ..settings });
        port.apply(&Settings { flow: Flow::Hardware, baud: 9600, ..settings }).unwrap();
        assert_eq!(port.settings().unwrap().flow, Flow::Hardware);
        assert_eq!(Port::open(&path, &settings).unwrap_err().errno(), Errno::EBUSY);
        drop(port);
        let after = tty::get(slave.as_fd()).unwrap();
        assert_eq!((after.c_iflag, after.c_lflag, after.c_ospeed), (before.c_iflag, before.c_lflag, before.c_ospeed));
        drop(Port::open(&path, &settings).unwrap());
    }

    #[test]
    fn every_frame_is_said_in_flags_and_read_back() {
        let (_other, slave, _) = pty();
        let line = tty::get(slave.as_fd()).unwrap();
        for data_bits in [DataBits::Five, DataBits::Six, DataBits::Seven, DataBits::Eight] {
            for parity in [Parity::None, Parity::Even, Parity::Odd, Parity::Mark, Parity::Space] {
                for stop_bits in [StopBits::One, StopBits::Two] {
                    let settings = Settings { data_bits, parity, stop_bits, ..Settings::default() };
                    let mut line = line;
                    settings.write_to(&mut line).unwrap();
                    assert_eq!(Settings::read_from(&line), settings);
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let (_other, _slave, path) = pty();
        let errno = |settings: &Settings| Port::open(&path, settings).unwrap_err().errno();
        assert_eq!(errno(&Settings { baud: 0, ..Settings::default() }), Errno::EINVAL);
        assert_eq!(errno(&Settings { read_wait: Duration::from_secs(26), ..Settings::default() }), Errno::EINVAL);
        // A pty has 8 bits and no parity, whatever it is told.
        assert_eq!(errno(&Settings { data_bits: DataBits::Seven, ..Settings::default() }), Errno::EINVAL);
        assert_eq!(errno(&Settings { parity: Parity::Odd, ..Settings::default() }), Errno::EINVAL);
        assert_eq!(Port::open("/dev/null", &Settings::default()).unwrap_err().errno(), Errno::ENOTTY);
        assert_eq!(Port::open("/nowhere", &Settings::default()).unwrap_err().errno(), Errno::ENOENT);
    }

    #[test]
    fn bytes_pass_unchanged_both_ways() {
        let (mut other, _slave, path) = pty();
        let mut port = Port::open(&path, &Settings::default()).unwrap();
        let all: Vec<u8> = (0..=255).collect();
        let mut come = [0; 256];
        port.write_all(&all).unwrap();
        other.read_exact(&mut come).unwrap();
        assert_eq!(come[..], all[..]);
        other.write_all(&all).unwrap();
        port.read_exact(&mut come).unwrap();
        assert_eq!(come[..], all[..]);
        port.send_break(Duration::from_millis(1)).unwrap();
        assert!(port.lines().is_err());
    }

    #[test]
    fn a_read_ends_after_its_wait() {
        let (_other, _slave, path) = pty();
        let settings = Settings { read_least: 0, read_wait: Duration::from_millis(100), ..Settings::default() };
        let mut port = Port::open(&path, &settings).unwrap();
        assert_eq!(port.read(&mut [0; 8]).unwrap(), 0);
    }

    struct Seen(Option<(Token, Ready)>);

    impl Turn for Seen {
        fn ready(&mut self, _: &mut Reactor, token: Token, ready: Ready) {
            self.0 = Some((token, ready));
        }
        fn expired(&mut self, _: &mut Reactor, _: u64) {}
        fn woken(&mut self, _: &mut Reactor) {}
    }

    #[test]
    fn a_reactor_tells_of_what_comes() {
        let (mut other, _slave, path) = pty();
        let mut port = Port::open(&path, &Settings::default()).unwrap();
        port.set_nonblocking(true).unwrap();
        let mut slots = Slots::default();
        let token = slots.insert(()).unwrap();
        let mut reactor = Reactor::new().unwrap();
        reactor.watch(&port, token, Interest::READ).unwrap();
        other.write_all(b"ping").unwrap();
        let mut seen = Seen(None);
        while seen.0.is_none() {
            reactor.turn(&mut seen, Some(Duration::from_secs(5))).unwrap();
        }
        assert_eq!(seen.0.map(|(token, ready)| (token, ready.read)), Some((token, true)));
        let mut buffer = [0; 8];
        assert_eq!(port.read(&mut buffer).unwrap(), 4);
        assert_eq!(port.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
