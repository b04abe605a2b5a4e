//! `sandbox` of an isolated service: what its process may do.

use crate::ConfError;
use crate::daemon::Limit;
use crate::json::Object;
use std::fmt;

/// What the process of a service may do. Everything that is not written is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// `rlimits`, as msf_daemon has them.
    pub limits: Vec<Limit>,
    /// `seccomp`: the profile, of which there is one.
    pub seccomp: bool,
    /// `landlock`: the files it may reach; all, if it is not written.
    pub landlock: Option<Landlock>,
    /// `no_new_privs`: no program it runs has more rights than it.
    pub no_new_privs: bool,
    /// `required`: without all of that it does not run.
    pub required: bool,
}

/// Files and folders, by absolute paths, and what may be done with them and what is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landlock {
    /// `read`.
    pub read: Vec<String>,
    /// `write`: also made, changed and removed.
    pub write: Vec<String>,
    /// `execute`: programs that may be run.
    pub execute: Vec<String>,
}

impl Sandbox {
    /// What `entry` says, if it says anything. A key that nobody knows is an error here: whoever has misspelt one would
    /// take himself for safe.
    pub(super) fn of(entry: &Object<'_>) -> Result<Option<Sandbox>, ConfError> {
        let Some(object) = entry.object("sandbox")? else { return Ok(None) };
        all_known(&object, &["rlimits", "seccomp", "landlock", "no_new_privs", "required"])?;
        let seccomp = match object.string("seccomp")? {
            None => false,
            Some(PROFILE) => true,
            Some(other) => {
                return Err(object.error("seccomp", format!("there is no profile {other:?}; expected \"{PROFILE}\"")));
            }
        };
        let landlock = object.object("landlock")?.map(|object| Landlock::of(&object)).transpose()?;
        Ok(Some(Sandbox {
            limits: Limit::read(&object)?,
            seccomp,
            landlock,
            no_new_privs: object.boolean("no_new_privs")?.unwrap_or(false),
            required: object.boolean("required")?.unwrap_or(false),
        }))
    }
}

impl Landlock {
    fn of(object: &Object<'_>) -> Result<Landlock, ConfError> {
        all_known(object, &["read", "write", "execute"])?;
        Ok(Landlock {
            read: paths(object, "read")?,
            write: paths(object, "write")?,
            execute: paths(object, "execute")?,
        })
    }
}

fn all_known(object: &Object<'_>, keys: &[&str]) -> Result<(), ConfError> {
    object.unknown(keys).into_iter().next().map_or(Ok(()), Err)
}

fn paths(object: &Object<'_>, key: &str) -> Result<Vec<String>, ConfError> {
    let written = object.strings(key)?.unwrap_or_default();
    if let Some(at) = written.iter().position(|path| !path.starts_with('/') || path.contains('\0')) {
        let what = format!("expected an absolute path, found {:?}", written[at]);
        return Err(object.error(&format!("{key}[{at}]"), what));
    }
    Ok(written.into_iter().map(str::to_owned).collect())
}

/// What `-k parse` shows of it.
impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
        let mut parts: Vec<String> =
            self.limits.iter().map(|one| format!("{} {}/{}", one.name, limit(one.soft), limit(one.hard))).collect();
        if self.no_new_privs {
            parts.push("no_new_privs".to_owned());
        }
        if self.seccomp {
            parts.push(format!("seccomp {PROFILE}"));
        }
        if let Some(Landlock { read, write, execute }) = &self.landlock {
            for (word, paths) in [("read", read), ("write", write), ("execute", execute)] {
                parts.push(format!("{word} [{}]", paths.join(" ")));
            }
        }
        write!(f, "sandbox {}", if parts.is_empty() { "of nothing".to_owned() } else { parts.join(", ") })?;
        if self.required { write!(f, ", required") } else { Ok(()) }
    }
}

/// The one profile of system calls.
pub const PROFILE: &str = "service";
