//! `rlimits`: what a process may use at most.

use msf_conf::daemon::Limit;
use nix::sys::resource::{RLIM_INFINITY, Resource, rlim_t, setrlimit};

/// Sets both limits of a resource.
pub fn set(limit: &Limit) -> Result<(), String> {
    let Limit { name, soft, hard } = limit;
    let failed = |what: &str| format!("sandbox.rlimits.{name}: {what}");
    let resource = resource(name).ok_or_else(|| failed("this kernel does not know it"))?;
    // Where numbers have 32 bits, one that does not fit is no limit.
    let number = |limit: Option<u64>| limit.and_then(|limit| rlim_t::try_from(limit).ok()).unwrap_or(RLIM_INFINITY);
    setrlimit(resource, number(*soft), number(*hard)).map_err(|e| failed(e.desc()))
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::RLIMIT_AS,
        "core" => Resource::RLIMIT_CORE,
        "cpu" => Resource::RLIMIT_CPU,
        "data" => Resource::RLIMIT_DATA,
        "fsize" => Resource::RLIMIT_FSIZE,
        "locks" => Resource::RLIMIT_LOCKS,
        "memlock" => Resource::RLIMIT_MEMLOCK,
        "msgqueue" => Resource::RLIMIT_MSGQUEUE,
        "nice" => Resource::RLIMIT_NICE,
        "nofile" => Resource::RLIMIT_NOFILE,
        "nproc" => Resource::RLIMIT_NPROC,
        "rss" => Resource::RLIMIT_RSS,
        "rtprio" => Resource::RLIMIT_RTPRIO,
        "rttime" => Resource::RLIMIT_RTTIME,
        "sigpending" => Resource::RLIMIT_SIGPENDING,
        "stack" => Resource::RLIMIT_STACK,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_the_configuration_knows_is_one_of_the_kernels() {
        assert!(Limit::NAMES.iter().all(|name| resource(name).is_some()));
    }
}
