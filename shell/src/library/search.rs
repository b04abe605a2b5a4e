//! Where a service's library is looked for: as named, then in the config's folder, the program's folder, its ../lib,
//! and each folder of MSF_PLUGIN_PATH.
//!
//! Only names files; whether one can be loaded is [`crate::library::elf`]'s and the loader's business. The loader is asked last
//! and not first, because its every failure is an error record, and its own LD_LIBRARY_PATH is looked through here.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The folders a search goes through.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Before all others.
    first: Option<PathBuf>,
    /// LD_LIBRARY_PATH's, for names without a folder only.
    loader: Vec<PathBuf>,
    ours: Vec<PathBuf>,
}

/// What a name stands for.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// This file, by its absolute path.
    File(PathBuf),
    /// No file in these folders, but a name without a folder may be known to the system's loader.
    AskLoader,
    /// Nowhere.
    Nowhere,
}

impl Search {
    /// The folders for a shell whose config is `config`.
    pub fn new(config: &Path) -> Search {
        let program = env::current_exe().ok();
        let folders = ours(config.parent(), program.as_deref().and_then(Path::parent), env::var_os("MSF_PLUGIN_PATH"));
        Search { first: None, loader: split(env::var_os("LD_LIBRARY_PATH")), ours: folders }
    }

    /// The same, but `folder` is looked through before all others.
    pub fn first(self, folder: &Path) -> Search {
        Search { first: Some(folder.to_owned()), ..self }
    }

    /// Finds `library`. A relative name is tried in the current folder before the others, which is what it says.
    pub fn find(&self, library: &str) -> Found {
        match self.files(library).find(|file| file.is_file()) {
            Some(file) => Found::File(std::path::absolute(&file).unwrap_or(file)),
            None if library.contains('/') => Found::Nowhere,
            None => Found::AskLoader,
        }
    }

    /// Every place `library` was looked for, for the complaint.
    pub fn tried(&self, library: &str) -> String {
        self.files(library).map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
    }

    fn files(&self, library: &str) -> impl Iterator<Item = PathBuf> {
        let before = if library.contains('/') { &[][..] } else { &self.loader[..] };
        let after = if Path::new(library).is_absolute() { &[][..] } else { &self.ours[..] };
        let within = move |folders: &[PathBuf]| folders.iter().map(|f| f.join(library)).collect::<Vec<_>>();
        let first = self.first.as_ref().map(|folder| folder.join(library));
        first.into_iter().chain(within(before)).chain([PathBuf::from(library)]).chain(within(after))
    }
}

fn ours(config: Option<&Path>, program: Option<&Path>, plugins: Option<OsString>) -> Vec<PathBuf> {
    let beside = program.and_then(Path::parent).map(|above| above.join("lib"));
    let mut folders: Vec<PathBuf> = config.map(Path::to_owned).into_iter().collect();
    folders.extend(program.map(Path::to_owned));
    folders.extend(beside);
    folders.extend(split(plugins));
    folders
}

fn split(folders: Option<OsString>) -> Vec<PathBuf> {
    let folders = folders.unwrap_or_default();
    env::split_paths(&folders).filter(|folder| !folder.as_os_str().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(library: &str) -> String {
        let ours = ours(Some(Path::new("/etc/x")), Some(Path::new("/opt/bin")), Some("/p::/q".into()));
        Search { first: None, loader: split(Some("/ld".into())), ours }.tried(library)
    }

    #[test]
    fn the_order_is_as_named_config_program_lib_plugin_path() {
        assert_eq!(tried("a.so"), "/ld/a.so, a.so, /etc/x/a.so, /opt/bin/a.so, /opt/lib/a.so, /p/a.so, /q/a.so");
        assert_eq!(tried("x/a.so"), "x/a.so, /etc/x/x/a.so, /opt/bin/x/a.so, /opt/lib/x/a.so, /p/x/a.so, /q/x/a.so");
    }

    #[test]
    fn a_folder_may_go_before_all_others() {
        let search = Search { loader: vec!["/ld".into()], ..Search::default() }.first(Path::new("/here"));
        assert_eq!(search.tried("a.so"), "/here/a.so, /ld/a.so, a.so");
    }

    #[test]
    fn an_absolute_name_is_tried_alone() {
        assert_eq!(tried("/usr/a.so"), "/usr/a.so");
    }

    #[test]
    fn a_bare_name_that_is_nowhere_is_left_to_the_loader() {
        let search = Search::default();
        assert_eq!(search.find("libnothing_of_ours.so"), Found::AskLoader);
        assert_eq!(search.find("./libnothing_of_ours.so"), Found::Nowhere);
    }
}
