//! Looks into a library before it is loaded: is it one for this machine, and is the service's symbol a variable large
//! enough for its table, `struct msf_svc_ops` or `struct msf_svc`? The dynamic linker checks neither kind nor size, and a
//! function taken for a table of slots would be called into.
//!
//! What the file does not tell (it has no section headers, or another library behind it defines the symbol) is left to
//! the loader. Reads only the headers, the dynamic symbols and their names.

mod links;

pub use links::Links;

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of `struct msf_svc`: seven pointers.
const TABLE: u64 = 7 * size_of::<usize>() as u64;

/// Bytes of a `struct msf_svc_ops` that every one has: its size, its abi, its flags and the version of its state.
const HEAD: u64 = 16;

/// Why a file cannot be the library of a service.
#[derive(Debug)]
pub enum Misfit {
    /// It cannot be read.
    Read(io::Error),
    /// It is something else.
    NotALibrary,
    /// It is one, for another machine or word size.
    OtherMachine,
    /// What is to be mapped ends behind the file's end.
    CutOff {
        /// Bytes the file should have.
        needs: u64,
        /// Bytes it has.
        has: u64,
    },
    /// The symbol is code.
    Function,
    /// The symbol is a variable of this many bytes.
    TooSmall(u64),
    /// The symbol of the new table is a variable of this many bytes.
    NoTable(u64),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::Read(e) => write!(f, "cannot be read: {e}"),
            Misfit::NotALibrary => write!(f, "is not a shared library"),
            Misfit::OtherMachine => write!(f, "is built for another machine"),
            Misfit::CutOff { needs, has } => write!(f, "is cut off: it has {has} bytes of {needs} or more"),
            Misfit::Function => write!(f, "is a function; expected a variable of type struct msf_svc"),
            Misfit::NoTable(size) => {
                write!(f, "is a variable of {size} bytes; expected a struct msf_svc_ops, which has {HEAD} at least")
            }
            Misfit::TooSmall(size) => {
                write!(f, "is a variable of {size} bytes; expected a struct msf_svc, which has {TABLE}")
            }
        }
    }
}

impl Misfit {
    /// Whether it is about the symbol rather than the file.
    pub fn is_symbol(&self) -> bool {
        matches!(self, Misfit::Function | Misfit::TooSmall(_) | Misfit::NoTable(_))
    }
}

/// Checks `library` and its table for `service`. Gives the bytes of a table of the new kind, if the file tells.
pub fn inspect(library: &Path, service: &str) -> Result<Option<u64>, Misfit> {
    let file = File::open(library).map_err(Misfit::Read)?;
    let header: [u8; 20] = array(&file, 0).ok_or(Misfit::NotALibrary)?;
    if header[..4] != *b"\x7fELF" {
        return Err(Misfit::NotALibrary);
    }
    if !same_machine(&header) {
        return Err(Misfit::OtherMachine);
    }
    if u16::from_ne_bytes([header[16], header[17]]) != ET_DYN {
        return Err(Misfit::NotALibrary);
    }
    whole(&file)?;
    let ops = find(&file, &format!("{service}_ops"));
    let (found, least) = if ops.is_some() { (ops, HEAD) } else { (find(&file, service), TABLE) };
    match found {
        Some(found) if matches!(found.kind, STT_FUNC | STT_IFUNC) => Err(Misfit::Function),
        Some(found) if found.size != 0 && found.size < least => {
            Err(if least == HEAD { Misfit::NoTable(found.size) } else { Misfit::TooSmall(found.size) })
        }
        Some(found) if least == HEAD && found.size != 0 => Ok(Some(found.size)),
        _ => Ok(None),
    }
}

/// Compares word size, byte order and processor with the running program's.
fn same_machine(header: &[u8; 20]) -> bool {
    let Some(own) = File::open("/proc/self/exe").ok().and_then(|exe| array::<20>(&exe, 0)) else {
        return true; // without /proc the loader has to tell
    };
    header[4..6] == own[4..6] && header[18..20] == own[18..20]
}

/// Whether everything that would be mapped is there. The loader maps what the headers say, and touching a page behind
/// the file's end is the end of the process (SIGBUS).
fn whole(file: &File) -> Result<(), Misfit> {
    let has = file.metadata().map_err(Misfit::Read)?.len();
    let segments = Headers::of(file, layout::SEGMENTS).ok_or(Misfit::NotALibrary)?;
    let ends = segments.iter().filter(|segment| int(segment, 0) == Some(PT_LOAD)).filter_map(|segment| {
        let offset = layout::word(segment, layout::SEGMENT_OFFSET_AT)?;
        Some(offset.saturating_add(layout::word(segment, layout::SEGMENT_SIZE_AT)?))
    });
    match ends.max() {
        Some(needs) if needs > has => Err(Misfit::CutOff { needs, has }),
        Some(_) => Ok(()),
        None => Err(Misfit::NotALibrary),
    }
}

/// A defined dynamic symbol.
struct Symbol {
    kind: u8,
    size: u64,
}

/// The dynamic symbols of a file, and their names.
struct Symbols {
    entries: Vec<u8>,
    names: Vec<u8>,
}

impl Symbols {
    fn of(file: &File) -> Option<Symbols> {
        let sections = Headers::of(file, layout::SECTIONS)?;
        let table = sections.iter().filter_map(Section::parse).find(|s| s.kind == SHT_DYNSYM)?;
        let names = sections.iter().nth(table.link.try_into().ok()?).and_then(Section::parse)?.bytes(file)?;
        Some(Symbols { entries: table.bytes(file)?, names })
    }

    /// Those the file defines, with their names.
    fn defined(&self) -> impl Iterator<Item = (&[u8], Symbol)> {
        self.entries.chunks_exact(layout::SYMBOL).filter_map(|entry| {
            let symbol = layout::Symbol::parse(entry)?;
            let name = text_at(&self.names, symbol.name as usize)?;
            (symbol.section != 0).then_some((name, Symbol { kind: symbol.info & 0xf, size: symbol.size }))
        })
    }
}

/// The text that begins at `at` in a table of names.
fn text_at(names: &[u8], at: usize) -> Option<&[u8]> {
    names.get(at..)?.split(|byte| *byte == 0).next()
}

fn find(file: &File, name: &str) -> Option<Symbol> {
    let symbols = Symbols::of(file)?;
    symbols.defined().find(|(own, _)| *own == name.as_bytes()).map(|(_, symbol)| symbol)
}

/// One of the file's two tables of headers: of segments or of sections.
struct Headers {
    bytes: Vec<u8>,
    entry: usize,
}

impl Headers {
    fn of(file: &File, table: layout::Table) -> Option<Headers> {
        let header: [u8; layout::HEADER] = array(file, 0)?;
        let offset = layout::word(&header, table.offset_at)?;
        let entry = usize::from(half(&header, table.entry_size_at)?);
        let count = usize::from(half(&header, table.entry_size_at + 2)?);
        (entry >= table.entry_size).then_some(())?;
        Some(Headers { bytes: read(file, offset, (entry * count) as u64)?, entry })
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.entry)
    }
}

struct Section {
    kind: u32,
    offset: u64,
    size: u64,
    link: u32,
}

impl Section {
    fn parse(entry: &[u8]) -> Option<Section> {
        Some(Section {
            kind: int(entry, 4)?,
            offset: layout::word(entry, layout::OFFSET_AT)?,
            size: layout::word(entry, layout::OFFSET_AT + size_of::<usize>())?,
            link: int(entry, layout::OFFSET_AT + 2 * size_of::<usize>())?,
        })
    }

    fn bytes(&self, file: &File) -> Option<Vec<u8>> {
        read(file, self.offset, self.size)
    }
}

/// Refuses sizes the file does not have, and no table has (a file may have holes), so that a broken header costs no
/// memory.
fn read(file: &File, offset: u64, size: u64) -> Option<Vec<u8>> {
    let end = file.metadata().ok()?.len();
    (offset.checked_add(size)? <= end && size <= LONGEST_TABLE).then_some(())?;
    let mut bytes = vec![0; size.try_into().ok()?];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

fn array<const N: usize>(file: &File, offset: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn int(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

const LONGEST_TABLE: u64 = 64 << 20;
const ET_DYN: u16 = 3;
const PT_LOAD: u32 = 1;
const SHT_DYNAMIC: u32 = 6;
const SHT_DYNSYM: u32 = 11;
const STT_FUNC: u8 = 2;
const STT_IFUNC: u8 = 10;

/// The two layouts of the format; ours is the one of our word size, because [`same_machine`] came first.
mod layout {
    use super::{half, int};

    /// Where the file's header tells of a table of headers. The number of entries is behind the size of one.
    pub struct Table {
        pub offset_at: usize,
        pub entry_size_at: usize,
        /// The least an entry has.
        pub entry_size: usize,
    }

    #[cfg(target_pointer_width = "64")]
    mod sizes {
        use super::Table;
        pub const HEADER: usize = 64;
        pub const SEGMENTS: Table = Table { offset_at: 32, entry_size_at: 54, entry_size: 56 };
        pub const SECTIONS: Table = Table { offset_at: 40, entry_size_at: 58, entry_size: 64 };
        pub const SEGMENT_OFFSET_AT: usize = 8;
        pub const SEGMENT_SIZE_AT: usize = 32;
        pub const OFFSET_AT: usize = 24;
        pub const SYMBOL: usize = 24;
        pub const INFO_AT: usize = 4;
        pub const INDEX_AT: usize = 6;
        pub const SIZE_AT: usize = 16;
    }
    #[cfg(target_pointer_width = "32")]
    mod sizes {
        use super::Table;
        pub const HEADER: usize = 52;
        pub const SEGMENTS: Table = Table { offset_at: 28, entry_size_at: 42, entry_size: 32 };
        pub const SECTIONS: Table = Table { offset_at: 32, entry_size_at: 46, entry_size: 40 };
        pub const SEGMENT_OFFSET_AT: usize = 4;
        pub const SEGMENT_SIZE_AT: usize = 16;
        pub const OFFSET_AT: usize = 16;
        pub const SYMBOL: usize = 16;
        pub const INFO_AT: usize = 12;
        pub const INDEX_AT: usize = 14;
        pub const SIZE_AT: usize = 8;
    }
    pub use sizes::{HEADER, OFFSET_AT, SECTIONS, SEGMENT_OFFSET_AT, SEGMENT_SIZE_AT, SEGMENTS, SYMBOL};

    pub struct Symbol {
        pub name: u32,
        pub info: u8,
        pub section: u16,
        pub size: u64,
    }

    impl Symbol {
        pub fn parse(entry: &[u8]) -> Option<Symbol> {
            Some(Symbol {
                name: int(entry, 0)?,
                info: *entry.get(sizes::INFO_AT)?,
                section: half(entry, sizes::INDEX_AT)?,
                size: word(entry, sizes::SIZE_AT)?,
            })
        }
    }

    /// A number as wide as a pointer.
    pub fn word(bytes: &[u8], at: usize) -> Option<u64> {
        Some(usize::from_ne_bytes(*bytes.get(at..)?.first_chunk()?) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> std::path::PathBuf {
        std::env::current_exe().unwrap()
    }

    fn c_library() -> std::path::PathBuf {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.split_whitespace().find(|word| word.contains("/libc.so")).unwrap().into()
    }

    #[test]
    fn text_and_emptiness_are_not_libraries() {
        let folder = std::env::temp_dir().join(format!("msf_elf_{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for text in [&b""[..], b"\x7fEL", b"#!/bin/sh\necho this is not a library at all\n"] {
            let file = folder.join("a.so");
            std::fs::write(&file, text).unwrap();
            assert!(matches!(inspect(&file, "a"), Err(Misfit::NotALibrary)));
        }
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(inspect(&folder.join("a.so"), "a"), Err(Misfit::Read(_))));
    }

    #[test]
    fn functions_and_small_variables_of_the_c_library_are_no_services() {
        let library = c_library();
        let look = |symbol| inspect(&library, symbol);
        assert!(matches!(look("malloc"), Err(Misfit::Function)));
        assert!(matches!(look("stdout"), Err(Misfit::TooSmall(size)) if size == size_of::<usize>() as u64));
        assert!(look("no_such_symbol").is_ok(), "left to the loader");
    }

    #[test]
    fn a_library_of_another_machine_is_named_so() {
        let folder = std::env::temp_dir().join(format!("msf_elf_other_{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut head = std::fs::read(own()).unwrap()[..64].to_vec();
        head[18] ^= 0x55;
        std::fs::write(folder.join("a.so"), head).unwrap();
        assert!(matches!(inspect(&folder.join("a.so"), "a"), Err(Misfit::OtherMachine)));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn no_damaged_header_makes_the_look_panic_or_take_memory() {
        let folder = std::env::temp_dir().join(format!("msf_elf_damage_{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let copy = folder.join("a.so");
        let whole = std::fs::read(c_library()).unwrap();
        std::fs::write(&copy, &whole).unwrap();
        let file = File::options().write(true).open(&copy).unwrap();
        // Holes cost nothing on the disk, and would cost memory if anybody believed the headers.
        file.set_len(1 << 40).unwrap();
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..3000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let tables = [0..64, 64..1024, whole.len() - 5000..whole.len() - 8];
            let table = tables[(random >> 60) as usize % 3].clone();
            let at = table.start + (random >> 20) as usize % table.len();
            file.write_all_at(&random.to_ne_bytes()[..1 + (random >> 50) as usize % 8], at as u64).unwrap();
            let _ = inspect(&copy, "malloc");
            if random & 3 == 0 {
                file.write_all_at(&whole[table.clone()], table.start as u64).unwrap();
            }
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    /// The loader would be killed by SIGBUS on most of them.
    #[test]
    fn regress_every_truncation_of_a_library_is_refused() {
        let whole = std::fs::read(own()).unwrap();
        let folder = std::env::temp_dir().join(format!("msf_elf_cut_{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("a.so");
        for length in [20, 40, 63, 64, 65, 1000, 100_000] {
            std::fs::write(&file, &whole[..length]).unwrap();
            let refused = inspect(&file, "a");
            assert!(matches!(refused, Err(Misfit::NotALibrary | Misfit::CutOff { .. })), "{length}: {refused:?}");
        }
        // Without its section headers it can be loaded; what is missing then is nothing that is mapped.
        std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        assert!(inspect(&file, "a").is_ok());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
