//! As whom a process runs, and what is left of root's rights.

use super::read::{Layers, unknown_name};
use crate::ConfError;
use crate::json::Object;
use crate::tree::{Map, Value, json};

/// As whom, and with which capabilities. Names are looked up at the start, not here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// `user`: a name or a number; the daemon's own when not written.
    pub user: Option<String>,
    /// `group`: the user's own when not written.
    pub group: Option<String>,
    /// `groups`: in place of the further groups the user is in.
    pub groups: Option<Vec<String>>,
    /// `capabilities`: those that are kept, by the kernel's numbers, sorted; all that there are when not written.
    pub capabilities: Option<Vec<u8>>,
}

impl Rights {
    pub(super) fn read(layers: &Layers) -> Result<Rights, ConfError> {
        let rights = Rights {
            user: name(&layers.of("user"), "user")?,
            group: name(&layers.of("group"), "group")?,
            groups: names(&layers.of("groups"))?,
            capabilities: capabilities(&layers.of("capabilities"))?,
        };
        if rights.user.is_none() && (rights.group.is_some() || rights.groups.is_some()) {
            let key = if rights.group.is_some() { "group" } else { "groups" };
            return Err(layers.of(key).error(key, "without \"user\"; who changes his groups changes his user"));
        }
        Ok(rights)
    }

    pub(super) fn show(&self, into: &mut Map<String, Value>) {
        let mut put = |key: &str, value| into.insert(key.to_owned(), value);
        if let Some(user) = &self.user {
            put("user", json!(user));
        }
        if let Some(group) = &self.group {
            put("group", json!(group));
        }
        if let Some(groups) = &self.groups {
            put("groups", json!(groups));
        }
        if let Some(kept) = &self.capabilities {
            let kept: Vec<_> = kept.iter().filter_map(|bit| CAPABILITIES.get(usize::from(*bit))).collect();
            put("capabilities", json!(kept));
        }
    }
}

fn name(object: &Object, key: &str) -> Result<Option<String>, ConfError> {
    let Some(written) = object.loose_string(key)? else { return Ok(None) };
    if written.is_empty() || written.contains('\0') {
        return Err(object.error(key, "expected a name or a number"));
    }
    Ok(Some(written))
}

fn names(object: &Object) -> Result<Option<Vec<String>>, ConfError> {
    let Some(written) = object.strings("groups")? else { return Ok(None) };
    if written.iter().any(|name| name.is_empty() || name.contains('\0')) {
        return Err(object.error("groups", "expected names or numbers"));
    }
    Ok(Some(written.into_iter().map(str::to_owned).collect()))
}

/// With or without `CAP_` in front, in any case.
fn capabilities(object: &Object) -> Result<Option<Vec<u8>>, ConfError> {
    let Some(written) = object.strings("capabilities")? else { return Ok(None) };
    let mut kept = Vec::new();
    for (index, word) in written.into_iter().enumerate() {
        let lower = word.to_ascii_lowercase();
        let bare = lower.strip_prefix("cap_").unwrap_or(&lower);
        match CAPABILITIES.iter().position(|known| *known == bare) {
            Some(bit) => kept.push(bit as u8),
            None => {
                let what = unknown_name("capability", bare, CAPABILITIES);
                return Err(object.error(&format!("capabilities[{index}]"), what));
            }
        }
    }
    kept.sort_unstable();
    kept.dedup();
    Ok(Some(kept))
}

/// By the kernel's numbers.
const CAPABILITIES: &[&str] = &[
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];
