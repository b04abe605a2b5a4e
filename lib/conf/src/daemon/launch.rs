//! What is run, with what, where, as whom, and how much of the machine it gets. A change here is a restart.

use super::limits::{Cgroup, Limit};
use super::output::Output;
use super::read::{Layers, octal, optional_path, path, whole, words};
use super::rights::Rights;
use super::share::Share;
use super::sockets::Socket;
use crate::ConfError;
use crate::json::Object;
use crate::tree::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Everything a start needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// `proc_path`: the executable, as written.
    pub path: String,
    /// `proc_conf`: handed over as `-c <proc_conf>`.
    pub conf: Option<String>,
    /// `args`: what follows on the command line.
    pub args: Vec<String>,
    /// `env`: set over what the daemon itself was given.
    pub env: BTreeMap<String, String>,
    /// `working_directory`.
    pub working_directory: Option<String>,
    /// `umask`.
    pub umask: Option<u32>,
    /// As whom, and what he may.
    pub rights: Rights,
    /// `rlimits`.
    pub limits: Vec<Limit>,
    /// `cgroup`.
    pub cgroup: Cgroup,
    /// How much of the processors it gets, and which.
    pub share: Share,
    /// `sockets`: what is opened for it.
    pub sockets: Vec<Socket>,
    /// `stdout`.
    pub stdout: Output,
    /// `stderr`.
    pub stderr: Output,
}

impl Launch {
    pub(super) fn read(entry: &Object, layers: &Layers, strangers: &mut Vec<ConfError>) -> Result<Launch, ConfError> {
        Ok(Launch {
            path: path(entry, "proc_path")?,
            conf: optional_path(entry, "proc_conf")?,
            args: words(&layers.of("args"), "args")?,
            env: environment(layers)?,
            working_directory: optional_path(&layers.of("working_directory"), "working_directory")?,
            umask: octal(&layers.of("umask"), "umask")?,
            rights: Rights::read(layers)?,
            limits: Limit::read_all(layers)?,
            cgroup: Cgroup::read(layers, strangers)?,
            share: Share::read(layers, strangers)?,
            sockets: Socket::read_all(entry, strangers)?,
            stdout: Output::read(layers, "stdout", strangers)?,
            stderr: Output::read(layers, "stderr", strangers)?,
        })
    }

    pub(super) fn show(&self, into: &mut Map<String, Value>) {
        let mut put = |key: &str, value| into.insert(key.to_owned(), value);
        put("proc_path", json!(self.path));
        if let Some(conf) = &self.conf {
            put("proc_conf", json!(conf));
        }
        put("args", json!(self.args));
        put("env", json!(self.env));
        if let Some(folder) = &self.working_directory {
            put("working_directory", json!(folder));
        }
        if let Some(umask) = self.umask {
            put("umask", json!(format!("{umask:04o}")));
        }
        self.rights.show(into);
        Limit::show_all(&self.limits, into);
        self.cgroup.show(into);
        self.share.show(into);
        if !self.sockets.is_empty() {
            into.insert("sockets".to_owned(), self.sockets.iter().map(Socket::shown).collect());
        }
        self.stdout.show("stdout", into);
        self.stderr.show("stderr", into);
    }

    /// All of it, as it is written.
    pub fn shown(&self) -> Value {
        let mut shown = Map::new();
        self.show(&mut shown);
        Value::Object(shown)
    }

    /// The file handed over with `-c`, made absolute: relative ones are meant from `folder`.
    pub fn conf_in(&self, folder: &Path) -> Option<PathBuf> {
        self.conf.as_ref().map(|conf| folder.join(conf))
    }

    /// The working directory, made absolute.
    pub fn working_directory_in(&self, folder: &Path) -> Option<PathBuf> {
        self.working_directory.as_ref().map(|path| folder.join(path))
    }
}

/// A variable of the process over one of the same name below.
fn environment(layers: &Layers) -> Result<BTreeMap<String, String>, ConfError> {
    let mut env = BTreeMap::new();
    for layer in layers.upwards() {
        let Some(object) = layer.object("env")? else { continue };
        for key in object.keys() {
            if key.is_empty() || key.contains(['=', '\0']) {
                return Err(object.error(key, "expected the name of an environment variable"));
            }
            env.insert(key.to_owned(), whole(&object, key, object.string(key)?.unwrap_or(""))?);
        }
    }
    Ok(env)
}
