//! Pieces of a file at places of their own: interrupted and partial transfers go on until all is done.

use std::io;
use std::os::unix::fs::FileExt;

/// Reads at `offset` until `buffer` is full or the file ends: how many bytes it was. What was read before a failure is
/// returned; the failure meets who goes on.
///
/// # Errors
/// When not even the first byte could be read.
pub fn read_at(file: &impl FileExt, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    pieces(buffer.len(), |done| {
        file.read_at(buffer.get_mut(done..).unwrap_or_default(), offset.saturating_add(done as u64))
    })
}

/// Writes all of `bytes` at `offset`: how many it was, fewer when the disk is full. The failure meets who goes on.
///
/// # Errors
/// When not even the first byte could be written.
pub fn write_at(file: &impl FileExt, bytes: &[u8], offset: u64) -> io::Result<usize> {
    pieces(bytes.len(), |done| file.write_at(bytes.get(done..).unwrap_or_default(), offset.saturating_add(done as u64)))
}

/// Has `step` transfer what lies behind the bytes that are done, until `length` are or it transfers no more.
fn pieces(length: usize, mut step: impl FnMut(usize) -> io::Result<usize>) -> io::Result<usize> {
    let mut done = 0;
    // Also for no bytes at all: the system says then whether it could be done.
    loop {
        match step(done) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
        if done >= length {
            break;
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Transfers three bytes at a time, is interrupted before each, and has room for `room`.
    struct Slow {
        interrupted: Cell<bool>,
        bytes: Vec<Cell<u8>>,
    }

    impl Slow {
        fn new(room: usize) -> Slow {
            Slow { interrupted: Cell::new(false), bytes: (0..room).map(|_| Cell::new(b'.')).collect() }
        }

        fn text(&self) -> String {
            self.bytes.iter().map(|byte| byte.get() as char).collect()
        }

        fn interrupt(&self) -> io::Result<()> {
            self.interrupted.set(!self.interrupted.get());
            if self.interrupted.get() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
        }
    }

    impl FileExt for Slow {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            self.interrupt()?;
            let from = self.bytes.iter().skip(offset as usize);
            Ok(buffer.iter_mut().zip(from).take(3).map(|(to, from)| *to = from.get()).count())
        }

        fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
            self.interrupt()?;
            let to = self.bytes.iter().skip(offset as usize);
            match bytes.iter().zip(to).take(3).map(|(from, to)| to.set(*from)).count() {
                0 => Err(io::ErrorKind::StorageFull.into()),
                count => Ok(count),
            }
        }
    }

    #[test]
    fn partial_writes_go_on_with_the_rest_of_the_bytes() {
        let file = Slow::new(10);
        assert_eq!(write_at(&file, b"abcdefgh", 1).unwrap(), 8);
        assert_eq!(file.text(), ".abcdefgh.");
        let mut buffer = [0; 12];
        assert_eq!(read_at(&file, &mut buffer, 2).unwrap(), 8);
        assert_eq!(&buffer[..8], b"bcdefgh.");
    }

    #[test]
    fn regress_no_bytes_of_what_cannot_be_read_or_written_are_a_failure_too() {
        let folder = std::fs::File::open("/").unwrap();
        assert_eq!(read_at(&folder, &mut [], 0).unwrap_err().raw_os_error(), Some(libc::EISDIR));
        assert_eq!(write_at(&folder, b"", 0).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }

    #[test]
    fn a_full_disk_is_told_by_the_count_and_then_by_the_error() {
        let file = Slow::new(5);
        assert_eq!(write_at(&file, b"abcdefgh", 0).unwrap(), 5);
        assert_eq!(write_at(&file, b"fgh", 5).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(read_at(&file, &mut [0; 4], 5).unwrap(), 0);
    }
}
