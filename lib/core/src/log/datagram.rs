//! Records as datagrams: syslog's two RFCs, and the native protocol of systemd's journal.

use super::Level;
use super::entry::Entry;
use crate::sys::wall;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use nix::unistd;
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// How a record is put into a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Rfc3164,
    Rfc5424,
    Journal,
}

/// A socket that takes records.
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UnixDatagram,
    path: PathBuf,
    style: Style,
    /// The program's name, as the listener files its records.
    name: String,
    host: String,
    buffer: Vec<u8>,
}

impl Datagrams {
    /// Fails when nobody listens at `path`.
    pub fn open(path: &Path, style: Style, name: &str) -> io::Result<Datagrams> {
        UnixDatagram::unbound()?.connect(path)?;
        // Not connected: a listener that is restarted is found again.
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let host =
            unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_else(|_| "-".to_owned());
        let (path, name) = (path.to_owned(), name.replace(|letter: char| !letter.is_ascii_graphic(), "_"));
        Ok(Datagrams { socket, path, style, name, host, buffer: Vec::new() })
    }

    /// Sends one record, unless the listener does not keep up.
    pub fn send(&mut self, entry: &Entry<'_>, pid: i32) -> io::Result<()> {
        self.buffer.clear();
        match self.style {
            Style::Rfc3164 => self.rfc3164(entry, pid),
            Style::Rfc5424 => self.rfc5424(entry, pid),
            Style::Journal => self.journal(entry, pid),
        }
        match self.socket.send_to(&self.buffer, &self.path) {
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) && self.style == Style::Journal => {
                self.in_a_file()
            }
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                self.socket.send_to(self.buffer.get(..ALWAYS_FITS).unwrap_or_default(), &self.path).map(drop)
            }
            outcome => outcome.map(drop),
        }
    }

    fn rfc3164(&mut self, entry: &Entry<'_>, pid: i32) {
        let head = format!("<{}>{} {}[{pid}]: ", priority(entry.level), wall::rfc3164(entry.stamp), self.name);
        self.buffer.extend_from_slice(head.as_bytes());
        self.text(entry);
    }

    fn rfc5424(&mut self, entry: &Entry<'_>, pid: i32) {
        let (priority, time) = (priority(entry.level), wall::rfc3339(entry.stamp));
        let head = format!("<{priority}>1 {time} {} {} {pid} - - ", self.host, self.name);
        self.buffer.extend_from_slice(head.as_bytes());
        self.text(entry);
    }

    /// What there is no field for in syslog, and the text.
    fn text(&mut self, entry: &Entry<'_>) {
        let source = &entry.source;
        for part in [b"[", source.module, b"][", source.func, b" ", source.file] {
            self.buffer.extend_from_slice(part);
        }
        let _ = write!(self.buffer, ":{}] ", source.line);
        let begin = self.buffer.len();
        self.buffer.extend_from_slice(entry.text);
        while self.buffer.len() > begin && matches!(self.buffer.last(), Some(b'\n' | b'\r')) {
            self.buffer.pop();
        }
        // Listeners end a record at a line end or at a NUL.
        for byte in self.buffer.iter_mut().filter(|byte| matches!(**byte, b'\n' | b'\r' | b'\0')) {
            *byte = b' ';
        }
    }

    fn journal(&mut self, entry: &Entry<'_>, pid: i32) {
        let source = &entry.source;
        let (line, tid, pid) = (source.line.to_string(), entry.tid.to_string(), pid.to_string());
        let severity = (priority(entry.level) & 7).to_string();
        let name = self.name.clone();
        for (field, value) in [
            ("MESSAGE", entry.text),
            ("PRIORITY", severity.as_bytes()),
            ("SYSLOG_IDENTIFIER", name.as_bytes()),
            ("SYSLOG_PID", pid.as_bytes()),
            ("TID", tid.as_bytes()),
            ("CODE_FILE", source.file),
            ("CODE_LINE", line.as_bytes()),
            ("CODE_FUNC", source.func),
            ("MSF_MODULE", source.module),
        ] {
            self.field(field, value);
        }
    }

    /// `NAME=value` and a newline; a value with line ends has its length in front instead.
    fn field(&mut self, name: &str, value: &[u8]) {
        self.buffer.extend_from_slice(name.as_bytes());
        if value.contains(&b'\n') {
            self.buffer.push(b'\n');
            self.buffer.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            self.buffer.push(b'=');
        }
        self.buffer.extend_from_slice(value);
        self.buffer.push(b'\n');
    }

    /// The journal's way for what no datagram can hold: a sealed memory file that is passed along.
    fn in_a_file(&self) -> io::Result<()> {
        let memory = memfd_create("msf-journal", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        let mut file = File::from(memory);
        file.write_all(&self.buffer)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        let to = UnixAddr::new(&self.path)?;
        let fds = [file.as_raw_fd()];
        let passed = [ControlMessage::ScmRights(&fds)];
        let nothing: [IoSlice<'_>; 0] = [];
        sendmsg(self.socket.as_raw_fd(), &nothing, &passed, MsgFlags::MSG_NOSIGNAL, Some(&to))?;
        Ok(())
    }
}

/// Facility "daemon", and the severity.
fn priority(level: Level) -> u8 {
    const DAEMON: u8 = 3 << 3;
    DAEMON
        | match level {
            Level::Fatal => 2,
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug => 7,
        }
}

/// What RFC 5424 says every listener takes.
const ALWAYS_FITS: usize = 2048;

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;
    use nix::cmsg_space;
    use nix::sys::socket::{ControlMessageOwned, recvmsg};
    use std::fs;
    use std::io::{IoSliceMut, Read, Seek};
    use std::os::fd::{FromRawFd, OwnedFd};

    fn listener(name: &str) -> (PathBuf, UnixDatagram) {
        let path = std::env::temp_dir().join(format!("msf-datagram-{}-{name}", std::process::id()));
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        (path, socket)
    }

    fn entry(text: &[u8]) -> Entry<'_> {
        let source = Source { module: b"TEST", func: b"f", file: b"a.c", line: 7 };
        Entry { level: Level::Warn, stamp: 1_795_303_194_000_678_000, tid: 8, source, text, line: None }
    }

    fn sent(style: Style, text: &[u8]) -> Vec<u8> {
        let (path, socket) = listener(&format!("{style:?}-{}", text.len()));
        Datagrams::open(&path, style, "x y").unwrap().send(&entry(text), 9).unwrap();
        let mut datagram = vec![0; 4096];
        let length = socket.recv(&mut datagram).unwrap();
        fs::remove_file(path).unwrap();
        datagram.truncate(length);
        datagram
    }

    #[test]
    fn syslog_gets_its_priority_and_one_line() {
        let text = String::from_utf8(sent(Style::Rfc3164, b"one\ntwo\n")).unwrap();
        assert!(text.starts_with("<28>Nov 2") && text.ends_with(" x_y[9]: [TEST][f a.c:7] one two"), "{text}");
        let text = String::from_utf8(sent(Style::Rfc5424, b"text")).unwrap();
        assert!(text.starts_with("<28>1 2026-11-21T23:19:54.000678Z "), "{text}");
        assert!(text.ends_with(" x_y 9 - - [TEST][f a.c:7] text"), "{text}");
    }

    #[test]
    fn the_journal_gets_fields_and_values_with_line_ends_by_their_length() {
        let datagram = sent(Style::Journal, b"one\ntwo");
        assert!(datagram.starts_with(b"MESSAGE\n\x07\0\0\0\0\0\0\0one\ntwo\nPRIORITY=4\nSYSLOG_IDENTIFIER=x_y\n"));
        assert!(datagram.ends_with(b"CODE_FILE=a.c\nCODE_LINE=7\nCODE_FUNC=f\nMSF_MODULE=TEST\n"));
    }

    #[test]
    fn what_no_datagram_holds_reaches_the_journal_in_a_sealed_file() {
        let (path, socket) = listener("large");
        let text = vec![b'x'; 8 << 20];
        Datagrams::open(&path, Style::Journal, "x").unwrap().send(&entry(&text), 9).unwrap();
        let (mut bytes, mut space) = ([0; 16], cmsg_space!([i32; 1]));
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        let got = recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut space), MsgFlags::empty()).unwrap();
        let passed = got.cmsgs().unwrap().find_map(|message| match message {
            ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
            _ => None,
        });
        // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
        let mut file = File::from(unsafe { OwnedFd::from_raw_fd(passed.unwrap()) });
        file.rewind().unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        assert!(content.starts_with(b"MESSAGE=xxx") && content.len() > text.len());
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_listener_that_is_not_there_or_does_not_read_is_an_error_and_not_a_wait() {
        let (path, socket) = listener("full");
        let mut datagrams = Datagrams::open(&path, Style::Rfc3164, "x").unwrap();
        let refused = (0..10_000).find_map(|_| datagrams.send(&entry(b"text"), 9).err()).unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(socket);
        fs::remove_file(&path).unwrap();
        assert!(datagrams.send(&entry(b"text"), 9).is_err());
        assert!(Datagrams::open(&path, Style::Rfc3164, "x").is_err());
        // And back again.
        let socket = UnixDatagram::bind(&path).unwrap();
        datagrams.send(&entry(b"text"), 9).unwrap();
        drop(socket);
        fs::remove_file(path).unwrap();
    }
}
