//! `landlock`: the files and folders a process may reach. The kernel asks no administrator for it.
//!
//! Beside what is written it may read what programs of this machine are made of: libraries, time zones, itself, and the
//! devices that give nothing away; and write its log.

use super::Needs;
use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetStatus,
};
use msf_conf::shell::Landlock;
use std::fs;
use std::path::{Path, PathBuf};

/// Puts it in force; says what keeps it from being, if the kernel cannot.
pub fn confine(wanted: &Landlock, needs: &Needs) -> Result<Option<String>, String> {
    let failed = |e: &dyn std::fmt::Display| format!("sandbox.landlock: {e}");
    // Newer kernels know more rights; these are what the three words mean.
    let all = AccessFs::from_all(ABI::V3);
    let rules = Ruleset::default().handle_access(all).and_then(Ruleset::create).map_err(|e| failed(&e))?;
    let look: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let change = all & !BitFlags::from(AccessFs::Execute);
    let mut rules = rules;
    for (key, paths, rights) in [
        ("read", &wanted.read, look),
        ("write", &wanted.write, change),
        ("execute", &wanted.execute, look | AccessFs::Execute),
    ] {
        for (at, path) in paths.iter().enumerate() {
            let there = |e: &dyn std::fmt::Display| format!("sandbox.landlock.{key}[{at}]: {path}: {e}");
            rules = allow(rules, Path::new(path), rights).map_err(|e| there(&e))?;
        }
    }
    for (paths, rights) in [(READ, look), (DEVICES, AccessFs::ReadFile | AccessFs::WriteFile)] {
        for path in paths.iter().map(Path::new).filter(|path| path.exists()) {
            rules = allow(rules, path, rights).map_err(|e| failed(&e))?;
        }
    }
    for (paths, rights) in [(&needs.read, look), (&needs.write, change)] {
        for path in paths.iter().filter(|path| path.exists()) {
            rules = allow(rules, path, rights).map_err(|e| failed(&e))?;
        }
    }
    // A program is run by way of the loader. Whoever may map what he reads loses nothing by that.
    for path in loader().iter().filter(|_| !wanted.execute.is_empty()) {
        rules = allow(rules, path, look | AccessFs::Execute).map_err(|e| failed(&e))?;
    }
    let status = rules.restrict_self().map_err(|e| failed(&e))?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => None,
        RulesetStatus::PartiallyEnforced => {
            Some("is in force in parts only: this kernel knows an older one".to_owned())
        }
        RulesetStatus::NotEnforced => Some("is not to be had in this kernel".to_owned()),
    })
}

/// A file has no rights that only folders can have.
fn allow(rules: RulesetCreated, path: &Path, rights: BitFlags<AccessFs>) -> Result<RulesetCreated, String> {
    let opened = PathFd::new(path).map_err(|e| innermost(&e))?;
    let rights = if path.is_dir() { rights } else { rights & AccessFs::from_file(ABI::V3) };
    rules.add_rule(PathBeneath::new(opened, rights)).map_err(|e| innermost(&e))
}

/// The loader that has loaded this program.
fn loader() -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let mut files = maps.lines().filter_map(|line| Some(Path::new(line.get(line.find('/')?..)?)));
    let is_loader = |file: &&Path| file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"ld-"));
    files.find(is_loader).map(Path::to_owned)
}

/// What the kernel said.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

const READ: &[&str] = &[
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/proc/self",
];
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
