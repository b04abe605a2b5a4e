//! The private copy a library is loaded from: a file of its own name and inode, so that the loader never takes a new
//! library for one it has, and whatever happens to the original while the code runs does not happen to the code.
//!
//! It lies in the run directory, and goes as soon as it is loaded. Where that is mounted `noexec`, as /run often is,
//! the copy is in memory instead.

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::statvfs::{FsFlags, statvfs};
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What tells one build of a library from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Print {
    length: u64,
    hash: u64,
}

/// The file a print was taken of, as it lay there: as long as this is the same, so is the print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    device: u64,
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

/// A copy, until it is loaded.
#[derive(Debug)]
pub struct Staged {
    /// What the loader is given.
    pub path: PathBuf,
    /// What it is called where it is mapped.
    pub mapped_as: PathBuf,
    /// Of the original.
    pub print: Print,
    /// Of the original.
    pub mark: Mark,
    held: Held,
}

#[derive(Debug)]
enum Held {
    Named,
    /// Its number is part of the path, so it is kept as long as the library: another file must not get it.
    Memory(File),
}

impl Mark {
    /// Of a file as it is now.
    pub fn of(file: &Path) -> io::Result<Mark> {
        Ok(Mark::read(&fs::metadata(file)?))
    }

    fn read(about: &fs::Metadata) -> Mark {
        let changed = (about.mtime(), about.mtime_nsec());
        Mark { device: about.dev(), inode: about.ino(), length: about.len(), changed }
    }
}

impl Print {
    /// Of a file as it is now.
    pub fn of(file: &Path) -> io::Result<Print> {
        poured(&mut File::open(file)?, &mut io::sink())
    }
}

impl Staged {
    /// A copy of `library` called `name`, which nothing in this process was called before.
    pub fn new(library: &Path, folder: &Path, name: &str) -> io::Result<Staged> {
        let mut original = File::open(library)?;
        let mark = Mark::read(&original.metadata()?);
        if statvfs(folder).is_ok_and(|about| about.flags().contains(FsFlags::ST_NOEXEC)) {
            return Staged::in_memory(&mut original, mark, name);
        }
        let path = folder.join(name);
        let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o700).open(&path)?;
        // Made before it is filled, so that a copy that fails goes as well.
        let print = Print { length: 0, hash: 0 };
        let mut staged = Staged { mapped_as: path.clone(), path, print, mark, held: Held::Named };
        staged.print = poured(&mut original, &mut copy)?;
        Ok(staged)
    }

    /// A copy of `library` in memory, for another process.
    pub fn for_another(library: &Path, name: &str) -> io::Result<Staged> {
        let mut original = File::open(library)?;
        let mark = Mark::read(&original.metadata()?);
        Staged::in_memory(&mut original, mark, name)
    }

    /// Such a copy, in that other process.
    pub fn of_another(copy: File, name: &str) -> Staged {
        let (print, mark) = (Print { length: 0, hash: 0 }, Mark { device: 0, inode: 0, length: 0, changed: (0, 0) });
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd()).into();
        Staged { path, mapped_as: format!("/memfd:{name}").into(), print, mark, held: Held::Memory(copy) }
    }

    fn in_memory(original: &mut File, mark: Mark, name: &str) -> io::Result<Staged> {
        let mut copy = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
        let print = poured(original, &mut copy)?;
        let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
        fcntl(&copy, FcntlArg::F_ADD_SEALS(seals))?;
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd()).into();
        Ok(Staged { path, mapped_as: format!("/memfd:{name}").into(), print, mark, held: Held::Memory(copy) })
    }

    /// It is loaded: its name goes. What is left has to be kept as long as the library.
    pub fn loaded(mut self) -> Option<File> {
        match std::mem::replace(&mut self.held, Held::Named) {
            Held::Memory(file) => Some(file),
            Held::Named => None,
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if matches!(self.held, Held::Named) && self.path == self.mapped_as {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes copies that a predecessor of this name had no time to.
pub fn clear(folder: &Path, identity: &str) {
    let begin = prefix(identity);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(&begin) && name.ends_with(".so")) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The name of a copy: of whom, of what, and a number that is never given twice.
pub fn name(identity: &str, service: &str, generation: u32, number: u64) -> String {
    format!("{}{service}.{generation}.{number}.so", prefix(identity))
}

fn prefix(identity: &str) -> String {
    format!(".{identity}.generation.")
}

/// Copies everything, and takes the print on the way.
fn poured(from: &mut File, to: &mut dyn Write) -> io::Result<Print> {
    let (mut length, mut hash) = (0, DefaultHasher::new());
    let mut room = vec![0; 64 << 10];
    loop {
        let read = match from.read(&mut room) {
            Ok(0) => return Ok(Print { length, hash: hash.finish() }),
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let piece = room.get(..read).unwrap_or_default();
        hash.write(piece);
        to.write_all(piece)?;
        length += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("msf_staging_{name}_{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_copy_has_its_originals_print_and_goes_when_it_is_loaded() {
        let folder = folder("print");
        let library = folder.join("liba.so");
        fs::write(&library, "one").unwrap();
        let staged = Staged::new(&library, &folder, ".x.1.so").unwrap();
        assert_eq!(fs::read(&staged.path).unwrap(), b"one");
        assert_eq!(staged.print, Print::of(&library).unwrap());
        assert!(Staged::new(&library, &folder, ".x.1.so").is_err(), "a name is given once");
        let path = folder.join(".x.1.so");
        fs::write(&path, "x").unwrap_or_default();
        assert!(staged.loaded().is_none() && !path.exists());
        fs::write(&library, "two").unwrap();
        let memory = Staged::in_memory(&mut File::open(&library).unwrap(), Mark::of(&library).unwrap(), "x").unwrap();
        assert_eq!(fs::read(&memory.path).unwrap(), b"two");
        assert_eq!(memory.print, Print::of(&library).unwrap());
        assert!(fs::write(&memory.path, "three").is_err(), "nobody changes it");
        assert!(memory.loaded().is_some());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_a_predecessor_left_is_cleared_and_nothing_else() {
        let folder = folder("clear");
        let ours = name("msf_shell.x", "a", 1, 7);
        let others = [name("msf_shell.xy", "a", 1, 7), "msf_shell.x.pid".to_owned(), ".msf_shell.x.so".to_owned()];
        for file in others.iter().chain([&ours]) {
            fs::write(folder.join(file), "").unwrap();
        }
        clear(&folder, "msf_shell.x");
        assert!(!folder.join(&ours).exists());
        assert!(others.iter().all(|file| folder.join(file).exists()));
        fs::remove_dir_all(&folder).unwrap();
    }
}
