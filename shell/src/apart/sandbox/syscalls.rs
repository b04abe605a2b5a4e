//! `seccomp`: system calls that no service has any business with. They fail with EPERM, as for somebody who may not, which is what
//! they are; libraries that only try whether they may go on. (To end the process for it would make a library's curiosity a
//! crash.)
//!
//! What is refused is what changes the machine (mounts, modules, clocks, names, reboot), looks into others (ptrace, bpf, perf),
//! leaves the process's surroundings (namespaces, chroot), or types on somebody's terminal. Files, sockets, threads, children
//! and signals are allowed: those have rights of their own.

/// Puts it in force; says what keeps it from being, if this machine cannot.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn confine() -> Result<Option<String>, String> {
    Ok(Some(format!("is not to be had on {}", std::env::consts::ARCH)))
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub use filter::confine;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod filter {
    use seccompiler::{
        BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
        TargetArch, apply_filter,
    };
    use std::collections::BTreeMap;

    /// Puts it in force; says what keeps it from being, if this machine cannot.
    pub fn confine() -> Result<Option<String>, String> {
        let failed = |e: &dyn std::fmt::Display| format!("sandbox.seccomp: {e}");
        let programs = [program(forbidden(), libc::EPERM), program(unseen(), libc::ENOSYS)];
        for program in programs {
            match apply_filter(&program.map_err(|e| failed(&e))?) {
                Ok(()) => {}
                // A kernel without, or one that is not to be asked.
                Err(Error::Prctl(e) | Error::Seccomp(e)) => {
                    return Ok(Some(format!("is not to be had in this kernel: {e}")));
                }
                Err(e) => return Err(failed(&e)),
            }
        }
        Ok(None)
    }

    type Rules = BTreeMap<i64, Vec<SeccompRule>>;

    fn program(rules: Rules, errno: i32) -> Result<BpfProgram, seccompiler::BackendError> {
        let machine = TargetArch::try_from(std::env::consts::ARCH)?;
        let refuse = SeccompAction::Errno(errno.unsigned_abs());
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, machine)?.try_into()
    }

    fn forbidden() -> Rules {
        let mut rules: Rules = FORBIDDEN.iter().map(|number| (*number, Vec::new())).collect();
        rules.insert(libc::SYS_clone, NAMESPACES.iter().filter_map(|flag| with(0, *flag, *flag)).collect());
        rules.insert(
            libc::SYS_ioctl,
            KEYSTROKES.iter().filter_map(|request| with(1, u64::MAX >> 32, *request)).collect(),
        );
        #[cfg(target_arch = "x86_64")]
        {
            // The same calls by the numbers of the x32 interface.
            let others: Vec<_> = rules.iter().map(|(number, rule)| (number | 0x4000_0000, rule.clone())).collect();
            rules.extend(others);
        }
        rules
    }

    /// Its flags are in memory, where no filter looks: whoever calls it falls back to clone, where they are not.
    fn unseen() -> Rules {
        Rules::from([(libc::SYS_clone3, Vec::new())])
    }

    /// Where argument `at`, as far as `mask` goes, is `value`.
    fn with(at: u8, mask: u64, value: u64) -> Option<SeccompRule> {
        let condition = SeccompCondition::new(at, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value);
        SeccompRule::new(vec![condition.ok()?]).ok()
    }

    const NAMESPACES: &[u64] = &[
        libc::CLONE_NEWNS as u64,
        libc::CLONE_NEWCGROUP as u64,
        libc::CLONE_NEWUTS as u64,
        libc::CLONE_NEWIPC as u64,
        libc::CLONE_NEWUSER as u64,
        libc::CLONE_NEWPID as u64,
        libc::CLONE_NEWNET as u64,
    ];
    const KEYSTROKES: &[u64] = &[libc::TIOCSTI, libc::TIOCLINUX];
    const FORBIDDEN: &[libc::c_long] = &[
        // The machine.
        libc::SYS_reboot,
        libc::SYS_kexec_load,
        libc::SYS_kexec_file_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_acct,
        libc::SYS_quotactl,
        libc::SYS_quotactl_fd,
        libc::SYS_syslog,
        libc::SYS_vhangup,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_clock_adjtime,
        libc::SYS_adjtimex,
        libc::SYS_sethostname,
        libc::SYS_setdomainname,
        // What is mounted where.
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_fsopen,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
        libc::SYS_fspick,
        libc::SYS_mount_setattr,
        libc::SYS_open_by_handle_at,
        libc::SYS_fanotify_init,
        // Other namespaces.
        libc::SYS_setns,
        libc::SYS_unshare,
        // Other processes, and the kernel.
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_kcmp,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        // Its operations are no system calls, so that no filter sees them.
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        // Keys of the user's other processes.
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_iopl,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_ioperm,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_modify_ldt,
    ];

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn both_programs_fit_into_the_kernel() {
            for (rules, errno) in [(forbidden(), libc::EPERM), (unseen(), libc::ENOSYS)] {
                let length = program(rules, errno).unwrap().len();
                assert!((4..4096).contains(&length), "{length}");
            }
            assert_eq!(forbidden()[&(libc::SYS_clone)].len(), NAMESPACES.len());
            assert_eq!(forbidden()[&(libc::SYS_ioctl)].len(), KEYSTROKES.len());
        }
    }
}
