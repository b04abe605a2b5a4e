//! The text of a configuration file, or why there is none: everything that is no file is refused before it is opened.
//!
//! A pipe would block its reader, a device may never end, and to open some is an act. What is longer than any
//! configuration can be is not read to the end.

use crate::ConfError;
use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Reads `file`: a regular file, or a link to one, of UTF-8 text. A byte order mark in front is no part of the text.
pub fn read(file: &Path) -> Result<String, ConfError> {
    let unreadable = |source: io::Error| ConfError::Read { file: file.to_owned(), source };
    let unusable = |what: String| ConfError::Syntax { file: file.to_owned(), what };
    let about = fs::metadata(file).map_err(unreadable)?;
    if !about.is_file() {
        return Err(unusable(format!("is {}; expected a file", kind(about.file_type()))));
    }
    let mut bytes = Vec::new();
    File::open(file).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > LIMIT {
        return Err(unusable(format!("is longer than {LIMIT} bytes; expected a configuration")));
    }
    let mut text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        unusable(format!("byte {at} is not UTF-8; expected UTF-8 text"))
    })?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.remove(0);
    }
    Ok(text)
}

fn kind(of: FileType) -> &'static str {
    match of {
        of if of.is_dir() => "a folder",
        of if of.is_fifo() => "a pipe",
        of if of.is_socket() => "a socket",
        _ => "a device",
    }
}

/// More than a thousand processes or services take.
const LIMIT: u64 = 4 << 20;
const BYTE_ORDER_MARK: char = '\u{feff}';

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::process::Command;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("msf-conf-text-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn complaint(file: &Path) -> String {
        read(file).unwrap_err().to_string().replace(&file.display().to_string(), "FILE")
    }

    #[test]
    fn regress_what_is_no_file_is_neither_waited_for_nor_read() {
        let folder = folder("kinds");
        let socket = folder.join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        symlink("loop", folder.join("loop")).unwrap();
        let pipe = folder.join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(complaint(&pipe), "FILE: is a pipe; expected a file");
        assert_eq!(complaint(Path::new("/dev/zero")), "FILE: is a device; expected a file");
        assert_eq!(complaint(&folder), "FILE: is a folder; expected a file");
        assert_eq!(complaint(&socket), "FILE: is a socket; expected a file");
        assert!(complaint(&folder.join("loop")).starts_with("FILE: cannot read: Too many levels of symbolic links"));
        assert!(complaint(&folder.join("absent")).starts_with("FILE: cannot read: No such file"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn regress_a_file_without_end_costs_no_memory() {
        let folder = folder("long");
        let file = folder.join("long");
        File::create(&file).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(complaint(&file), "FILE: is longer than 4194304 bytes; expected a configuration");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn text_may_have_a_byte_order_mark_and_must_be_utf_8() {
        let folder = folder("text");
        let file = folder.join("text");
        fs::write(&file, b"\xef\xbb\xbf{}").unwrap();
        assert_eq!(read(&file).unwrap(), "{}");
        fs::write(&file, b"{\"a\": \"\xe9\"}").unwrap();
        assert_eq!(complaint(&file), "FILE: byte 7 is not UTF-8; expected UTF-8 text");
        fs::remove_dir_all(folder).unwrap();
    }
}
