//! Where the agent listens.

use super::left::Left;
use super::{Failure, NAME, access};
use crate::control::admin;
use crate::control::listener::{Listener, Rights};
use crate::core::order::Door;
use msf_conf::agent::{Endpoint, Settings};
use msf_core::log::Level;
use msf_core::sys::place;
use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;

/// All listeners the settings ask for.
pub fn open(settings: &Settings, left: &mut Left) -> Result<Vec<(Listener, Door)>, Failure> {
    let mut listeners = Vec::new();
    if settings.unix_enable {
        let rights = access::rights(settings)?;
        for path in unix_paths(settings)? {
            listeners.push((left.unix(&path, rights, settings.backlog)?, Door::Librpc));
        }
    }
    if settings.net_enable {
        listeners.extend(tcp(settings, left)?.map(|listener| (listener, Door::Librpc)));
    }
    for (name, what, place, door) in
        [("nmid", "nmid", &settings.nmid.listen, Door::Nmid), ("http", "HTTP", &settings.http.listen, Door::Http)]
    {
        listeners.extend(endpoint(settings, left, name, what, place)?.map(|listener| (listener, door)));
    }
    if listeners.is_empty() {
        // Both switched off has been refused before.
        return Err("nowhere to listen: unix_enable is false, and the TCP port is taken".into());
    }
    Ok(listeners)
}

/// The usual place (or the one the environment names), and the one more of `unix_path`.
fn unix_paths(settings: &Settings) -> Result<Vec<PathBuf>, Failure> {
    let usual = match env::var_os("MSF_AGENT_SOCK").filter(|path| !path.is_empty()) {
        Some(path) => std::path::absolute(PathBuf::from(path))?,
        None => place::run_dir()?.join(format!("{NAME}.sock")),
    };
    let mut paths = vec![usual];
    if let Some(path) = &settings.unix_path {
        let path = std::path::absolute(path)?;
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// The TCP listener. Somebody else on the default port is no reason not to serve the machine itself.
fn tcp(settings: &Settings, left: &mut Left) -> Result<Option<Listener>, Failure> {
    let address = SocketAddr::new(settings.node_ip, settings.tcp_port);
    match left.tcp("TCP", address, settings) {
        Ok(listener) => {
            if listener.is_public() {
                msf_core::log!(Level::Warn, "AGENT", "{listener}: peers on the network are not authenticated");
            }
            Ok(Some(listener))
        }
        Err(error) if !settings.net_configured => {
            msf_core::log!(Level::Warn, "AGENT", "{error}; going on without TCP (net_enable=false says so for good)");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The operators' socket, which nothing opens to anybody else.
pub fn admin(settings: &Settings) -> Result<Listener, Failure> {
    let path = place::run_dir()?.join(admin::SOCKET);
    Ok(Listener::unix(&path, Rights { mode: 0o600, group: None }, settings.backlog)?)
}

/// The listener of one of the other TCP ports, called `name` in the settings; `what` is what is spoken there. Somebody
/// else on a default port is no reason not to serve.
pub fn endpoint(
    settings: &Settings,
    left: &mut Left,
    name: &str,
    what: &str,
    endpoint: &Endpoint,
) -> Result<Option<Listener>, Failure> {
    if !endpoint.enable {
        return Ok(None);
    }
    match left.tcp(what, endpoint.address(), settings) {
        Ok(listener) => {
            if listener.is_public() {
                msf_core::log!(Level::Warn, "AGENT", "{listener}: peers on the network are not authenticated");
            }
            Ok(Some(listener))
        }
        Err(error) if !endpoint.configured => {
            msf_core::log!(Level::Warn, "AGENT", "{error}; going on without it ({name}_enable=false says so for good)");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
