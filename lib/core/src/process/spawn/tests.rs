//! Programs that are started both ways, and tell what they have found.

use super::*;
use crate::process::child::Exit;
use crate::process::identity::Identity;
use crate::process::plan::{Resource, Stdio};
use crate::sys::cpus;
use crate::sys::sched::{Whose, priority};
use std::path::Path;
use std::time::Duration;

const WAYS: [Way; 2] = [Way::Borrow, Way::Fork];

fn shell(script: &str) -> Plan {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Plan::new(Path::new("/bin/sh"), ["sh", "-c", script], [("PATH", path)]).unwrap()
}

fn exit(plan: &Plan, way: Way) -> Exit {
    end_of(&mut plan.spawn_by(way).unwrap())
}

fn end_of(child: &mut Child) -> Exit {
    loop {
        if let Some(exit) = child.collect().unwrap() {
            return exit;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_program_runs_and_its_code_comes_back() {
    for way in WAYS {
        assert_eq!(exit(&shell("exit 7"), way), Exit::Code(7), "{way:?}");
    }
}

#[test]
fn what_cannot_be_executed_is_an_error_with_its_reason_and_leaves_no_child() {
    let plan = Plan::new(Path::new("/nowhere/at/all"), ["x"], [("A", "b")]).unwrap();
    let folder = shell("exit 0").in_folder(Path::new("/nowhere/at/all")).unwrap();
    for way in WAYS {
        let error = plan.spawn_by(way).unwrap_err();
        assert_eq!(error.source().raw_os_error(), Some(libc::ENOENT), "{way:?}");
        assert!(error.to_string().starts_with("cannot execute: No such file"), "{error}");
        let error = folder.spawn_by(way).unwrap_err();
        assert!(error.to_string().starts_with("cannot enter the working directory: "), "{error}");
    }
}

#[test]
fn only_input_output_and_error_are_inherited_and_input_is_empty() {
    let file = std::fs::File::open("/dev/zero").unwrap();
    // SAFETY: the descriptor is open; F_SETFD takes numbers only.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) }, 0);
    for way in WAYS {
        let script = format!("[ ! -e /proc/$$/fd/{} ] && [ -e /proc/$$/fd/2 ] && [ -z \"$(cat)\" ]", file.as_raw_fd());
        assert_eq!(exit(&shell(&script), way), Exit::Code(0), "{way:?}");
    }
}

#[test]
fn descriptors_are_closed_one_by_one_where_ranges_are_unknown() {
    let file = std::fs::File::open("/dev/zero").unwrap();
    // SAFETY: the descriptor is open; F_SETFD takes numbers only.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) }, 0);
    let plan = shell(&format!("[ ! -e /proc/$$/fd/{} ]", file.as_raw_fd()));
    let (argv, envp) = (pointers(&plan.argv), plan.environment());
    let image = Image { highest_fd: file.as_raw_fd(), ..plan.image(&argv, &envp, &[]) };
    let mut child = borrow(&image).unwrap();
    assert_eq!(end_of(&mut child), Exit::Code(0));
}

#[test]
fn a_program_finds_its_own_number_in_its_environment_every_time() {
    let plan = shell("[ \"$LISTEN_PID\" = $$ ]").pid_in("LISTEN_PID").unwrap();
    for way in WAYS {
        assert_eq!(exit(&plan, way), Exit::Code(0), "{way:?}");
        assert_eq!(exit(&plan, way), Exit::Code(0), "{way:?}");
    }
    assert!(shell("").pid_in("A=B").is_err());
}

#[test]
fn signals_have_their_default_effect_whatever_we_ignore() {
    for way in WAYS {
        let ended = exit(&shell("kill -PIPE $$; exit 3"), way);
        assert_eq!(ended, Exit::Signal { number: libc::SIGPIPE, core: false }, "{way:?}");
        let unblocked = shell("exec grep -q '^SigBlk:.0*$' /proc/self/status");
        assert_eq!(exit(&unblocked, way), Exit::Code(0), "{way:?}");
    }
}

#[test]
fn it_leads_a_process_group_and_what_it_leaves_there_is_killed() {
    let (mut read, write) = io::pipe().unwrap();
    for way in WAYS {
        assert_eq!(exit(&shell("[ $(cut -d' ' -f5 /proc/$$/stat) = $$ ]"), way), Exit::Code(0), "{way:?}");
        let left_behind = format!("exec 3>/proc/{}/fd/{}; sleep 1000 & exit 5", std::process::id(), write.as_raw_fd());
        assert_eq!(exit(&shell(&left_behind), way), Exit::Code(5), "{way:?}");
    }
    drop(write);
    // Ends only when no sleeper holds the pipe's other end.
    assert_eq!(read.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn signals_reach_the_child_and_no_one_after_it_was_collected() {
    let mut child = shell("exec sleep 1000").spawn().unwrap();
    assert_eq!(child.collect().unwrap(), None);
    child.signal(libc::SIGTERM).unwrap();
    assert_eq!(end_of(&mut child), Exit::Signal { number: libc::SIGTERM, core: false });
    child.signal(libc::SIGTERM).unwrap();
    assert_eq!(child.collect().unwrap(), None);
}

#[test]
fn descriptors_get_their_numbers_even_when_they_trade_places() {
    for way in WAYS {
        let (mut here, there) = io::pipe().unwrap();
        let other = std::fs::File::open("/dev/null").unwrap();
        let (a, b) = (there.as_raw_fd(), other.as_raw_fd());
        let plan = shell(&format!("echo back >/proc/self/fd/{b}; [ -e /proc/$$/fd/{a} ] && [ ! -e /proc/$$/fd/500 ]"));
        let plan = plan.descriptor(there, b).unwrap().descriptor(other, a).unwrap();
        assert_eq!(exit(&plan, way), Exit::Code(0), "{way:?}");
        drop(plan);
        let mut said = String::new();
        here.read_to_string(&mut said).unwrap();
        assert_eq!(said, "back\n");
    }
    assert!(shell("exit 0").descriptor(std::fs::File::open("/dev/null").unwrap(), 2).is_err());
}

#[test]
fn input_output_and_error_lead_where_the_plan_says() {
    for way in WAYS {
        let (given, mut gives) = io::pipe().unwrap();
        let (mut here, there) = io::pipe().unwrap();
        io::Write::write_all(&mut gives, b"word").unwrap();
        drop(gives);
        let plan = shell("cat; echo lost >&2").input(Stdio::Fd(given.into())).output(Stdio::Fd(there.into()));
        let plan = plan.error(Stdio::Null);
        assert_eq!(exit(&plan, way), Exit::Code(0), "{way:?}");
        drop(plan);
        let mut said = String::new();
        here.read_to_string(&mut said).unwrap();
        assert_eq!(said, "word");
    }
}

#[test]
fn limits_niceness_processors_and_session_are_the_plans() {
    // The tests themselves may have been started nice, and not everywhere.
    let cpu = cpus::affinity(0).unwrap().iter().next().unwrap();
    let nice = (priority(Whose::Process(0)).unwrap() + 3).min(19);
    let told = "[ $(ulimit -n) = 77 ] && [ $(cut -d' ' -f6 /proc/$$/stat) = $$ ]";
    let told = format!("{told} && [ $(nice) = {nice} ]");
    for way in WAYS {
        let plan = shell(&format!("{told} && grep -q '^Cpus_allowed_list:.{cpu}$' /proc/$$/status"));
        let plan = plan.limit(Resource::RLIMIT_NOFILE, 77, 77).nicer(3).on_processors([cpu]).in_own_session();
        assert_eq!(exit(&plan, way), Exit::Code(0), "{way:?}");
        let group = nix::unistd::getpgrp();
        let plan = shell(&format!("[ $(cut -d' ' -f5 /proc/$$/stat) = {group} ]"));
        assert_eq!(exit(&plan.in_our_group(), way), Exit::Code(0), "{way:?}");
        for nowhere in [8000, u32::MAX] {
            let error = shell("exit 0").on_processors([nowhere]).spawn_by(way).unwrap_err();
            assert!(error.to_string().starts_with("cannot choose the processors: "), "{error}");
        }
        let error = shell("exit 0").descriptor(io::pipe().unwrap().0, i32::MAX).unwrap().spawn_by(way).unwrap_err();
        assert!(error.to_string().starts_with("cannot hand over a descriptor: "), "{error}");
        let error = shell("exit 0").limit(Resource::RLIMIT_NOFILE, 9, 8).spawn_by(way).unwrap_err();
        assert!(error.to_string().starts_with("cannot set a limit: "), "{error}");
    }
}

#[test]
fn another_user_has_his_numbers_and_groups_and_we_can_still_dump_core() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let nobody = Identity { uid: 65534, gid: 65534, groups: vec![65533] };
    let plan = shell("[ \"$(id -u):$(id -g):$(id -G)\" = '65534:65534:65534 65533' ]").as_user(nobody);
    let mut child = plan.spawn().unwrap();
    assert_eq!(end_of(&mut child), Exit::Code(0));
    assert!(nix::sys::prctl::get_dumpable().unwrap());
}

#[test]
fn niceness_class_and_umask_are_the_plans() {
    for way in WAYS {
        let plan = shell("[ $(nice) = 19 ] && [ $(umask) = 0037 ] && [ $(cut -d' ' -f41 /proc/$$/stat) = 3 ]");
        let plan = plan.nicer(1).niceness(19).umask(0o37).in_class(crate::sys::sched::Class::Batch(0)).near_node(0);
        assert_eq!(exit(&plan, way), Exit::Code(0), "{way:?}");
    }
}

#[test]
fn a_program_is_born_into_its_control_group() {
    let (mut here, there) = io::pipe().unwrap();
    for way in WAYS {
        let told = there.try_clone().unwrap();
        assert_eq!(exit(&shell("exit 0").in_cgroup(told.into()), way), Exit::Code(0), "{way:?}");
    }
    drop(there);
    let mut said = String::new();
    here.read_to_string(&mut said).unwrap();
    assert_eq!(said, "00");
    let closed = std::fs::File::open("/dev/null").unwrap();
    let error = shell("exit 0").in_cgroup(closed.into()).spawn().unwrap_err().to_string();
    assert!(error.starts_with("cannot enter the control group: "), "{error}");
}

#[test]
fn capabilities_are_those_that_are_kept_whoever_it_runs_as() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let told = |set: &str| format!("grep -q '^Cap{set}:.0*2001$' /proc/$$/status");
    let script = ["Prm", "Eff", "Bnd"].map(told).join(" && ");
    let nobody = Identity { uid: 65534, gid: 65534, groups: vec![] };
    for plan in [shell(&script), shell(&script).as_user(nobody.clone())] {
        let mut child = plan.with_capabilities([0, 13]).spawn().unwrap();
        assert_eq!(end_of(&mut child), Exit::Code(0));
    }
    let none = shell("grep -q '^CapPrm:.0*$' /proc/$$/status && grep -q '^CapBnd:.0*$' /proc/$$/status");
    assert_eq!(end_of(&mut none.as_user(nobody).with_capabilities([]).spawn().unwrap()), Exit::Code(0));
    assert!(nix::sys::prctl::get_dumpable().unwrap());
}

#[test]
fn who_is_detached_is_nobodys_child_and_its_failure_is_told() {
    let (mut here, there) = io::pipe().unwrap();
    let plan = shell("echo $PPID").output(Stdio::Fd(there.into()));
    let pid = plan.spawn_detached().unwrap();
    drop(plan);
    let mut parent = String::new();
    here.read_to_string(&mut parent).unwrap();
    assert_ne!(parent.trim(), std::process::id().to_string());
    assert_eq!(crate::process::reap(pid).unwrap_err().raw_os_error(), Some(libc::ECHILD));
    let plan = Plan::new(Path::new("/nowhere/at/all"), ["x"], [("A", "b")]).unwrap();
    let error = plan.spawn_detached().unwrap_err();
    assert_eq!((error.source().raw_os_error(), error.is_creation()), (Some(libc::ENOENT), false));
}

#[test]
fn regress_a_number_of_the_programs_is_not_where_its_failure_is_told() {
    let (mut here, there) = io::pipe().unwrap();
    // One of them is the number of the pipe that the failure comes through.
    for number in 3..100 {
        let plan = Plan::new(Path::new("/nowhere/at/all"), ["x"], [("A", "b")]).unwrap();
        let plan = plan.descriptor(there.try_clone().unwrap(), number).unwrap();
        let error = plan.spawn_by(Way::Fork).unwrap_err();
        assert_eq!(error.source().raw_os_error(), Some(libc::ENOENT), "{number}");
        assert_eq!(plan.spawn_detached().unwrap_err().source().raw_os_error(), Some(libc::ENOENT), "{number}");
    }
    drop(there);
    assert_eq!(here.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn waiting_ends_with_the_child_or_with_patience() {
    let mut child = shell("exec sleep 1000").spawn().unwrap();
    assert_eq!(child.wait(Some(Duration::from_millis(20))).unwrap(), None);
    child.signal(libc::SIGTERM).unwrap();
    assert_eq!(child.wait(None).unwrap(), Some(Exit::Signal { number: libc::SIGTERM, core: false }));
    let child = shell("exit 4").spawn().unwrap();
    assert_eq!(crate::process::wait(child.pid(), None).unwrap(), Some(Exit::Code(4)));
    assert_eq!(crate::process::wait(child.pid(), None).unwrap_err().raw_os_error(), Some(libc::ECHILD));
}
