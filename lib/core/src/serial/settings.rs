//! What a serial line can be set to, and how the kernel's flags say it.

use crate::sys::tty::{self, Line};
use nix::errno::Errno;
use std::time::Duration;

/// The settings of a line. The default is 115200 bits per second, 8 data bits, no parity, 1 stop bit, no flow control,
/// and reads that wait for one byte.
///
/// ```
/// use msf_core::serial::{Parity, Settings};
/// let modbus = Settings { baud: 19200, parity: Parity::Even, ..Settings::default() };
/// assert_eq!(modbus.to_string(), "19200 8E1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bits per second: any number the driver can make.
    pub baud: u32,
    /// Bits per character.
    pub data_bits: DataBits,
    /// The bit behind them.
    pub parity: Parity,
    /// The pause behind that.
    pub stop_bits: StopBits,
    /// How a receiver stops a sender.
    pub flow: Flow,
    /// A read waits for so many bytes...
    pub read_least: u8,
    /// ...but no longer than this after the last one, or, when `read_least` is 0, than this in all. In tenths of a
    /// second, up to 25.5; zero is no limit. Non-blocking reads heed neither.
    pub read_wait: Duration,
}

/// Bits per character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum DataBits {
    Five,
    Six,
    Seven,
    #[default]
    Eight,
}

/// The bit that makes errors visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parity {
    /// None is sent.
    #[default]
    None,
    /// The number of ones is even.
    Even,
    /// The number of ones is odd.
    Odd,
    /// Always one.
    Mark,
    /// Always zero.
    Space,
}

/// The length of the pause between characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum StopBits {
    #[default]
    One,
    Two,
}

/// How a receiver stops a sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// Not at all.
    #[default]
    None,
    /// By the lines RTS and CTS.
    Hardware,
    /// By the characters XOFF (0x13) and XON (0x11), which data must not contain then.
    Software,
}

/// The lines of a modem; whether each is raised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Ours: data terminal ready.
    pub dtr: bool,
    /// Ours: request to send.
    pub rts: bool,
    /// Theirs: clear to send.
    pub cts: bool,
    /// Theirs: data set ready.
    pub dsr: bool,
    /// Theirs: carrier.
    pub dcd: bool,
    /// Theirs: it rings.
    pub ring: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            baud: 115_200,
            data_bits: DataBits::Eight,
            parity: Parity::None,
            stop_bits: StopBits::One,
            flow: Flow::None,
            read_least: 1,
            read_wait: Duration::ZERO,
        }
    }
}

impl std::fmt::Display for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bits = match self.data_bits {
            DataBits::Five => 5,
            DataBits::Six => 6,
            DataBits::Seven => 7,
            DataBits::Eight => 8,
        };
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
            Parity::Mark => 'M',
            Parity::Space => 'S',
        };
        let stop = if self.stop_bits == StopBits::One { 1 } else { 2 };
        write!(f, "{} {bits}{parity}{stop}", self.baud)
    }
}

impl Settings {
    /// Changes a line to a raw one with these settings. EINVAL: a speed of zero, or a wait of more than 25.5 s.
    pub(super) fn write_to(&self, line: &mut Line) -> Result<(), Errno> {
        if self.baud == 0 {
            return Err(Errno::EINVAL);
        }
        make_raw(line);
        tty::set_speed(line, self.baud);
        line.c_cc[libc::VTIME] = tenths(self.read_wait)?;
        line.c_cc[libc::VMIN] = self.read_least;
        // CLOCAL: what a modem's carrier does is not ours to die of; CREAD: else nothing is received.
        line.c_cflag |= libc::CLOCAL | libc::CREAD;
        line.c_cflag &= !(libc::CSIZE | libc::PARENB | libc::PARODD | libc::CMSPAR | libc::CSTOPB | libc::CRTSCTS);
        line.c_iflag &= !(libc::INPCK | libc::ISTRIP);
        line.c_cflag |= match self.data_bits {
            DataBits::Five => libc::CS5,
            DataBits::Six => libc::CS6,
            DataBits::Seven => libc::CS7,
            DataBits::Eight => libc::CS8,
        };
        line.c_cflag |= match self.parity {
            Parity::None => 0,
            Parity::Even => libc::PARENB,
            Parity::Odd => libc::PARENB | libc::PARODD,
            Parity::Mark => libc::PARENB | libc::CMSPAR | libc::PARODD,
            Parity::Space => libc::PARENB | libc::CMSPAR,
        };
        if self.parity != Parity::None {
            line.c_iflag |= libc::INPCK;
        }
        if self.stop_bits == StopBits::Two {
            line.c_cflag |= libc::CSTOPB;
        }
        match self.flow {
            Flow::None => {}
            Flow::Hardware => line.c_cflag |= libc::CRTSCTS,
            Flow::Software => {
                line.c_iflag |= libc::IXON | libc::IXOFF;
                (line.c_cc[libc::VSTART], line.c_cc[libc::VSTOP]) = (XON, XOFF);
            }
        }
        Ok(())
    }

    /// What a line is set to.
    pub(super) fn read_from(line: &Line) -> Settings {
        let has = |flag: u32| line.c_cflag & flag == flag;
        Settings {
            baud: line.c_ospeed,
            data_bits: match line.c_cflag & libc::CSIZE {
                libc::CS5 => DataBits::Five,
                libc::CS6 => DataBits::Six,
                libc::CS7 => DataBits::Seven,
                _ => DataBits::Eight,
            },
            parity: match (has(libc::PARENB), has(libc::CMSPAR), has(libc::PARODD)) {
                (false, ..) => Parity::None,
                (true, false, false) => Parity::Even,
                (true, false, true) => Parity::Odd,
                (true, true, true) => Parity::Mark,
                (true, true, false) => Parity::Space,
            },
            stop_bits: if has(libc::CSTOPB) { StopBits::Two } else { StopBits::One },
            flow: match (has(libc::CRTSCTS), line.c_iflag & libc::IXON != 0) {
                (true, _) => Flow::Hardware,
                (false, true) => Flow::Software,
                (false, false) => Flow::None,
            },
            read_least: line.c_cc[libc::VMIN],
            read_wait: Duration::from_millis(u64::from(line.c_cc[libc::VTIME]) * 100),
        }
    }
}

/// Bytes pass unchanged and at once, both ways: no lines, no echo, no signals, no translation.
pub(super) fn make_raw(line: &mut Line) {
    line.c_iflag &= !(libc::IGNBRK | libc::BRKINT | libc::PARMRK | libc::ISTRIP);
    line.c_iflag &= !(libc::INLCR | libc::IGNCR | libc::ICRNL | libc::IXON | libc::IXOFF);
    line.c_oflag &= !libc::OPOST;
    line.c_lflag &= !(libc::ECHO | libc::ECHOE | libc::ECHONL | libc::ICANON | libc::ISIG | libc::IEXTEN);
}

/// Rounded up: a wait that was asked for is not "no limit".
fn tenths(wait: Duration) -> Result<u8, Errno> {
    u8::try_from(wait.as_millis().div_ceil(100)).map_err(|_| Errno::EINVAL)
}

const XON: u8 = 0x11;
const XOFF: u8 = 0x13;
