//! A plan made to fit what the configuration says of rights, limits and shares of the machine.

use msf_conf::daemon::{Class, Launch, Limit, Rights, Share};
use msf_core::process::{Identity, NO_LIMIT, Plan, Resource};
use msf_core::sys::Topology;
use msf_core::sys::sched;
use nix::unistd::{Group, Uid, User};
use std::io;

/// The same plan with all of it. `files` are the limits on open files that the daemon was started with.
pub fn fit(mut plan: Plan, launch: &Launch, files: (u64, u64)) -> io::Result<Plan> {
    plan = plan.limit(Resource::RLIMIT_NOFILE, files.0, files.1);
    for Limit { name, soft, hard } in &launch.limits {
        let resource = resource(name).ok_or_else(|| wrong(format!("no limit is called \"{name}\"")))?;
        plan = plan.limit(resource, soft.unwrap_or(NO_LIMIT), hard.unwrap_or(NO_LIMIT));
    }
    if let Some(umask) = launch.umask {
        plan = plan.umask(umask);
    }
    if let Some(identity) = identity(&launch.rights)? {
        plan = plan.as_user(identity);
    }
    if let Some(kept) = &launch.rights.capabilities {
        plan = plan.with_capabilities(kept.iter().copied());
    }
    share(plan, &launch.share)
}

fn share(mut plan: Plan, share: &Share) -> io::Result<Plan> {
    if let Some(class) = share.class {
        plan = plan.in_class(match class {
            Class::Other => sched::Class::Other(0),
            Class::Batch => sched::Class::Batch(0),
            Class::Idle => sched::Class::Idle,
            Class::Fifo(priority) => sched::Class::Fifo(priority),
            Class::RoundRobin(priority) => sched::Class::RoundRobin(priority),
        });
    }
    if let Some(nice) = share.nice {
        plan = plan.niceness(nice);
    }
    let mut cpus = share.cpus.clone();
    if let Some(node) = share.node {
        let topology = Topology::read()?;
        let own = topology.node_cpus(node).ok_or_else(|| wrong(format!("this machine has no NUMA node {node}")))?;
        cpus = Some(match cpus {
            None => own.iter().collect(),
            Some(cpus) => cpus.into_iter().filter(|cpu| own.contains(*cpu)).collect(),
        });
        plan = plan.near_node(node);
    }
    match cpus {
        None => Ok(plan),
        Some(cpus) if cpus.is_empty() => Err(wrong("no processor of \"cpu_affinity\" is on \"numa_node\"".to_owned())),
        Some(cpus) => Ok(plan.on_processors(cpus)),
    }
}

/// Whom the names mean, looked up anew for every start.
fn identity(rights: &Rights) -> io::Result<Option<Identity>> {
    let Some(user) = &rights.user else { return Ok(None) };
    let mut identity = match user.parse() {
        Err(_) => Identity::of(user).map_err(|e| wrong(e.to_string()))?,
        Ok(uid) => match User::from_uid(Uid::from_raw(uid))? {
            Some(known) => Identity::of(&known.name).map_err(|e| wrong(e.to_string()))?,
            // A number without a name: somebody's in a container.
            None => Identity { uid, gid: uid, groups: Vec::new() },
        },
    };
    if let Some(group) = &rights.group {
        identity.gid = gid(group)?;
    }
    if let Some(groups) = &rights.groups {
        identity.groups = groups.iter().map(|group| gid(group)).collect::<io::Result<_>>()?;
    }
    Ok(Some(identity))
}

fn gid(group: &str) -> io::Result<u32> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let found = Group::from_name(group)?;
    found.map(|group| group.gid.as_raw()).ok_or_else(|| wrong(format!("no group is called \"{group}\"")))
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

fn wrong(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_of_users_and_groups_are_found() {
        let of = |user: &str, group: Option<&str>, groups: Option<Vec<&str>>| {
            let groups = groups.map(|groups| groups.into_iter().map(str::to_owned).collect());
            identity(&Rights {
                user: Some(user.to_owned()),
                group: group.map(str::to_owned),
                groups,
                capabilities: None,
            })
        };
        assert_eq!(identity(&Rights::default()).unwrap(), None);
        assert_eq!(of("0", None, None).unwrap(), of("root", None, None).unwrap());
        let odd = Identity { uid: 4_000_111, gid: 7, groups: vec![0, 9] };
        assert_eq!(of("4000111", Some("7"), Some(vec!["root", "9"])).unwrap(), Some(odd));
        assert!(of("nobody at all", None, None).unwrap_err().to_string().contains("nobody at all"));
        assert!(of("root", Some("no such group"), None).unwrap_err().to_string().contains("no such group"));
    }

    #[test]
    fn every_limit_the_configuration_knows_is_one_of_the_kernels() {
        assert!(Limit::NAMES.iter().all(|name| resource(name).is_some()));
    }

    #[test]
    fn a_node_that_is_not_there_is_named() {
        let plan = Plan::new(std::path::Path::new("/bin/true"), ["true"], [("A", "b")]).unwrap();
        let error = share(plan, &Share { node: Some(1000), ..Share::default() }).unwrap_err();
        assert_eq!(error.to_string(), "this machine has no NUMA node 1000");
    }
}
