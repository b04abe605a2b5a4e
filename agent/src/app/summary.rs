//! What the settings come to on this machine, as comments of the `.conf` that `-k parse` prints.

use super::{DEFAULT_CONFIGS, access, threads};
use crate::control::thread::Access;
use msf_conf::agent::Settings;
use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Which files were read, in front.
pub fn sources(configs: &[PathBuf]) -> String {
    if configs.is_empty() {
        let usual = DEFAULT_CONFIGS.join(" or ");
        return format!("# read: nothing; no -c, and no {usual} in the current folder\n");
    }
    configs.iter().map(|file| format!("# read: {}\n", one_line(file))).collect()
}

/// What is not written because it follows, behind.
pub fn outcome(settings: &Settings) -> String {
    let mut text = format!("# reactors: {}\n", threads::reactors(settings));
    if settings.unix_enable {
        let socket = match named("MSF_AGENT_SOCK") {
            Some(path) => one_line(&path),
            None => file("msf_agent.sock", named("MSF_RUN_DIR"), "run"),
        };
        text += &format!("# unix socket: {socket}\n");
        if let Some(path) = &settings.unix_path {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            text += &format!("# unix socket: {}\n", one_line(&path));
        }
        text += &rights(settings);
    }
    let librpc = SocketAddr::new(settings.node_ip, settings.tcp_port);
    text += &port("TCP", settings.net_enable.then_some(librpc), settings.net_configured);
    let others = [("nmid", settings.nmid.listen), ("HTTP", settings.http.listen), ("metrics", settings.metrics.listen)];
    for (name, endpoint) in others {
        text += &port(name, endpoint.enable.then(|| endpoint.address()), endpoint.configured);
    }
    let stdio = if settings.verbose == Some(true) { "kept" } else { "/dev/null" };
    text += &format!("# stdin, stdout, stderr when detached: {stdio}\n");
    text + &format!("# log: {}\n", file("msf_agent.log", named("MSF_LOG_DIR"), "log"))
}

/// One TCP port, if it is wanted.
fn port(name: &str, address: Option<SocketAddr>, configured: bool) -> String {
    let taken = if configured { "" } else { "; without it when the port is taken" };
    address.map_or_else(String::new, |address| format!("# {name}: {address}{taken}\n"))
}

fn rights(settings: &Settings) -> String {
    let Ok(rights) = access::rights(settings) else { return String::new() };
    let group = settings.unix_group.as_ref().map_or_else(String::new, |group| format!(", group {group}"));
    let who = match access::access(settings) {
        Access::FileMode => "whoever that lets in".to_owned(),
        Access::Users(mut users) => {
            users.sort_unstable();
            users.dedup();
            let users: Vec<String> = users.iter().map(|user| format!("uid {user}")).collect();
            users.join(", ")
        }
    };
    format!("# unix_mask in effect: {:04o}{group}; served: {who}\n", rights.mode)
}

/// A path from the environment.
fn named(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os(variable).filter(|path| !path.is_empty())?);
    Some(std::path::absolute(&path).unwrap_or(path))
}

/// Where a file will be. The usual folders are made by whoever runs; who only asks makes none.
fn file(name: &str, folder: Option<PathBuf>, usual: &str) -> String {
    folder.map_or_else(|| format!("{name} in the {usual} directory"), |folder| one_line(&folder.join(name)))
}

/// A comment ends with its line, whatever a file is called.
fn one_line(path: &Path) -> String {
    path.display().to_string().replace(char::is_control, "?")
}
