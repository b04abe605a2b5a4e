//! What a library is linked to, where it wants that looked for, and which names of libmsf it defines itself.

use super::{Headers, SHT_DYNAMIC, STT_FUNC, STT_IFUNC, Section, Symbols, layout, text_at};
use std::fs::File;
use std::path::{Path, PathBuf};

/// A library's links, as far as its file tells.
#[derive(Debug, Default)]
pub struct Links {
    /// The names of the libraries it needs.
    pub needs: Vec<String>,
    /// The folders it wants them looked for in first.
    pub folders: Vec<PathBuf>,
    /// Functions it defines whose names begin as libmsf's do.
    pub functions: Vec<String>,
}

impl Links {
    /// Of the library in `file`; `home` is the folder it is at home in, for which its own folders say `$ORIGIN`.
    pub fn of(file: &Path, home: &Path) -> Links {
        let Ok(file) = File::open(file) else { return Links::default() };
        let mut links = read(&file, home).unwrap_or_default();
        if let Some(symbols) = Symbols::of(&file) {
            let ours = symbols
                .defined()
                .filter(|(name, symbol)| name.starts_with(b"msf_") && matches!(symbol.kind, STT_FUNC | STT_IFUNC));
            links.functions = ours.map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
        }
        links
    }

    /// Where what is needed lies, if it lies in one of the folders.
    pub fn find(&self, need: &str) -> Option<PathBuf> {
        self.folders.iter().map(|folder| folder.join(need)).find(|file| file.is_file())
    }
}

fn read(file: &File, home: &Path) -> Option<Links> {
    let sections = Headers::of(file, layout::SECTIONS)?;
    let table = sections.iter().filter_map(Section::parse).find(|section| section.kind == SHT_DYNAMIC)?;
    let names = sections.iter().nth(table.link.try_into().ok()?).and_then(Section::parse)?.bytes(file)?;
    let mut links = Links::default();
    for entry in table.bytes(file)?.chunks_exact(2 * size_of::<usize>()) {
        let (tag, value) = (layout::word(entry, 0)?, layout::word(entry, size_of::<usize>())?);
        let text = || Some(str::from_utf8(text_at(&names, usize::try_from(value).ok()?)?).ok()?.to_owned());
        match tag {
            DT_NEEDED => links.needs.extend(text()),
            DT_RPATH | DT_RUNPATH => {
                let folders = text().unwrap_or_default();
                let home = home.display().to_string();
                let at_home = |folder: &str| folder.replace("${ORIGIN}", &home).replace("$ORIGIN", &home).into();
                links.folders.extend(folders.split(':').filter(|folder| !folder.is_empty()).map(at_home));
            }
            _ => {}
        }
    }
    Some(links)
}

const DT_NEEDED: u64 = 1;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_ours_needs_the_c_library() {
        let own = std::env::current_exe().unwrap();
        let links = Links::of(&own, own.parent().unwrap());
        assert!(links.needs.iter().any(|need| need.starts_with("libc.so")), "{links:?}");
        assert!(links.folders.iter().all(|folder| !folder.display().to_string().contains("$ORIGIN")));
    }

    #[test]
    fn what_is_no_library_has_no_links() {
        let links = Links::of(Path::new("/proc/self/stat"), Path::new("/"));
        assert!(links.needs.is_empty() && links.functions.is_empty());
    }
}
