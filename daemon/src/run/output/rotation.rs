//! A file that a process writes to has become too large: its head becomes the first of its predecessors.
//!
//! The process goes on writing into the same file, and nobody has to tell it. So the head is copied, a piece at a time,
//! and then cut off: by the file system itself where it can (ext4, XFS, F2FS), which loses nothing; else the file is
//! emptied as soon as all of it is copied, which loses what is written at that very moment.

use msf_core::sys::hole;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// One that is going on.
#[derive(Debug)]
pub struct Rotation {
    from: File,
    to: Option<File>,
    first: PathBuf,
    at: u64,
    most: u64,
}

impl Rotation {
    /// Whether the file is larger than `max_bytes`.
    pub fn is_due(path: &Path, max_bytes: u64) -> io::Result<bool> {
        match fs::symlink_metadata(path) {
            Ok(about) => Ok(about.is_file() && about.len() > max_bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// All of it, if it is due. Cutting a file waits until the disk has all of it.
    pub fn of(path: &Path, max_bytes: u64, files: u32) -> io::Result<()> {
        if let Some(mut rotation) = Rotation::begin(path, max_bytes, files)? {
            while !rotation.go_on()? {}
        }
        Ok(())
    }

    /// Begins, if the file is larger than `max_bytes`; of its predecessors `files` are kept.
    fn begin(path: &Path, max_bytes: u64, files: u32) -> io::Result<Option<Rotation>> {
        if !Rotation::is_due(path, max_bytes)? {
            return Ok(None);
        }
        let from = File::options().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
        let first = numbered(path, 1);
        let to = match files {
            0 => None,
            _ => {
                make_room(path, files)?;
                let new = File::options().write(true).create_new(true).mode(0o640).open(&first)?;
                Some(new)
            }
        };
        // Should it be written faster than it is copied, there is an end.
        let most = from.metadata()?.len().saturating_mul(2).saturating_add(PIECE as u64);
        Ok(Some(Rotation { from, to, first, at: 0, most }))
    }

    /// The next piece; true when it is done.
    fn go_on(&mut self) -> io::Result<bool> {
        let went = self.piece();
        if went.is_err() && self.to.is_some() {
            // Half a predecessor is none, and may be what fills the disk.
            let _ = fs::remove_file(&self.first);
        }
        went
    }

    fn piece(&mut self) -> io::Result<bool> {
        let mut piece = vec![0; PIECE];
        let length = match &self.to {
            Some(to) => {
                let length = self.from.read_at(&mut piece, self.at)?;
                to.write_all_at(&piece[..length], self.at)?;
                length as u64
            }
            None => self.from.metadata()?.len().saturating_sub(self.at),
        };
        self.at += length;
        if length == PIECE as u64 && self.at < self.most {
            return Ok(false);
        }
        if self.cut_head()? {
            return Ok(true);
        }
        if length > 0 && self.to.is_some() && self.at < self.most {
            return Ok(false);
        }
        self.from.set_len(0)?;
        Ok(true)
    }

    /// Takes whole blocks away from the file's start, if the file system can.
    fn cut_head(&mut self) -> io::Result<bool> {
        // The last block of a file cannot be cut off in this way.
        let whole = self.at.min(self.from.metadata()?.len().saturating_sub(1)) / BLOCK * BLOCK;
        if whole == 0 || hole::cut_head(&self.from, whole).is_err() {
            return Ok(false);
        }
        // What is left in the file is not in its predecessor as well.
        self.to.as_ref().map_or(Ok(()), |to| to.set_len(whole))?;
        Ok(true)
    }
}

/// A file that nobody writes to makes room by another name.
pub fn put_aside(path: &Path, max_bytes: u64, files: u32) -> io::Result<()> {
    if max_bytes == 0 || !Rotation::is_due(path, max_bytes).unwrap_or(false) {
        return Ok(());
    }
    if files == 0 {
        return fs::remove_file(path);
    }
    make_room(path, files)?;
    fs::rename(path, numbered(path, 1))
}

/// The first predecessor becomes the second, and so on; the last one goes.
fn make_room(path: &Path, files: u32) -> io::Result<()> {
    for number in (1..=files).rev() {
        let moved = match number == files {
            true => fs::remove_file(numbered(path, number)),
            false => fs::rename(numbered(path, number), numbered(path, number + 1)),
        };
        match moved {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// Copied at a time.
const PIECE: usize = 1 << 20;
const BLOCK: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("msf-rotation-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("x.out")
        }

        fn all(&self, files: u32) -> Vec<u8> {
            let older = (1..=files).rev().map(|number| numbered(&self.file(), number));
            older.chain([self.file()]).flat_map(|path| fs::read(path).unwrap_or_default()).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn rotate(path: &Path, files: u32) -> bool {
        let Some(mut rotation) = Rotation::begin(path, 9_000, files).unwrap() else { return false };
        while !rotation.go_on().unwrap() {}
        true
    }

    #[test]
    fn every_byte_is_in_the_file_or_in_a_predecessor_and_the_writer_goes_on() {
        let folder = Folder::new("bytes");
        let mut writer = File::options().append(true).create(true).open(folder.file()).unwrap();
        let mut written = Vec::new();
        let mut rotations = 0;
        for number in 0..3_000 {
            let line = format!("{number}: what somebody says\n");
            writer.write_all(line.as_bytes()).unwrap();
            written.extend_from_slice(line.as_bytes());
            rotations += u32::from(rotate(&folder.file(), 1000));
            assert!(fs::metadata(folder.file()).unwrap().len() <= 9_000);
        }
        assert!(rotations > 5);
        assert!(folder.all(rotations) == written, "the same, byte by byte");
    }

    #[test]
    fn as_many_predecessors_are_kept_as_were_asked_for() {
        let folder = Folder::new("many");
        for number in 0..5 {
            fs::write(folder.file(), vec![b'0' + number; 20_000]).unwrap();
            assert!(rotate(&folder.file(), 2));
        }
        let names: Vec<_> = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        fs::write(folder.file(), vec![b'x'; 20_000]).unwrap();
        assert!(rotate(&folder.file(), 0));
        assert!(fs::metadata(folder.file()).unwrap().len() <= 4096);
        assert!(!rotate(&folder.file(), 2), "not large");
        assert!(!rotate(&folder.0.join("nowhere"), 2));
    }

    #[test]
    fn who_writes_while_it_is_copied_finds_an_end_and_the_rest_in_the_file() {
        let folder = Folder::new("flood");
        fs::write(folder.file(), vec![b'a'; 3 * PIECE]).unwrap();
        let mut writer = File::options().append(true).open(folder.file()).unwrap();
        let mut rotation = Rotation::begin(&folder.file(), 1, 1).unwrap().unwrap();
        let mut turns = 0;
        while !rotation.go_on().unwrap() {
            writer.write_all(&vec![b'b'; PIECE]).unwrap();
            turns += 1;
        }
        assert!(turns < 20);
    }

    #[test]
    fn a_predecessor_that_cannot_be_made_leaves_the_file_alone() {
        let folder = Folder::new("blocked");
        fs::write(folder.file(), vec![b'a'; 20_000]).unwrap();
        fs::create_dir(numbered(&folder.file(), 1)).unwrap();
        assert!(Rotation::begin(&folder.file(), 1, 1).is_err());
        assert_eq!(fs::metadata(folder.file()).unwrap().len(), 20_000);
    }
}
