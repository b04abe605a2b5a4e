//! Opening what has to be a file: a pipe would keep its reader waiting for ever, a device may never end, and to open some
//! is an act. So it is looked at before, and, as somebody may put something else in its place just then, behind.

use std::fs::{self, File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Opens `path` for reading: a regular file, or a link to one.
///
/// Fails with EISDIR for a folder, and for everything else that is no file with a sentence that says what it is (EINVAL).
pub fn open(path: &Path) -> io::Result<File> {
    accept(fs::metadata(path)?.file_type())?;
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    accept(file.metadata()?.file_type())?;
    Ok(file)
}

fn accept(found: FileType) -> io::Result<()> {
    let kind = match found {
        _ if found.is_file() => return Ok(()),
        _ if found.is_dir() => return Err(io::Error::from_raw_os_error(libc::EISDIR)),
        _ if found.is_fifo() => "it is a pipe, a file was expected",
        _ if found.is_socket() => "it is a socket, a file was expected",
        _ => "it is a device, a file was expected",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn regress_what_is_no_file_keeps_nobody_waiting_and_is_called_what_it_is() {
        let folder = std::env::temp_dir().join(format!("msf-regular-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let (pipe, socket, file) = (folder.join("pipe"), folder.join("socket"), folder.join("file"));
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        fs::write(&file, "text").unwrap();
        symlink("file", folder.join("link")).unwrap();
        symlink("pipe", folder.join("to-pipe")).unwrap();
        let complaint = |path: &Path| open(path).unwrap_err().to_string();
        assert_eq!(complaint(&pipe), "it is a pipe, a file was expected");
        assert_eq!(complaint(&folder.join("to-pipe")), "it is a pipe, a file was expected");
        assert_eq!(complaint(&socket), "it is a socket, a file was expected");
        assert_eq!(complaint(Path::new("/dev/zero")), "it is a device, a file was expected");
        assert_eq!(open(&folder).unwrap_err().raw_os_error(), Some(libc::EISDIR));
        let mut text = String::new();
        open(&folder.join("link")).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        fs::remove_dir_all(folder).unwrap();
    }
}
