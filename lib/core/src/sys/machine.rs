//! What the system calls itself, and the sizes it works with. They stay while it is up.

use nix::errno::Errno;
use nix::unistd::{SysconfVar, sysconf};
use std::ffi::{CStr, c_char};
use std::fs;
use std::io;
use std::mem::MaybeUninit;

/// A machine and its system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// "Linux".
    pub system: String,
    /// The machine's name in the network.
    pub node: String,
    /// The kernel, as "6.1.0-13".
    pub release: String,
    /// The kernel's build.
    pub version: String,
    /// The processor's family, as "x86_64".
    pub machine: String,
    /// The NIS domain; "(none)" as a rule.
    pub domain: String,
    /// Bytes that processors exchange at once.
    pub cache_line: u32,
    /// Bytes of a page of memory.
    pub page: u32,
    /// Processors the machine has, also those that are off.
    pub processors: u32,
    /// Descriptors a process may have.
    pub descriptors: u32,
    /// Ticks of the kernel's clock a second, as `times` counts them.
    pub ticks: u32,
    /// Bytes of the longest name of a machine.
    pub node_name: u32,
    /// Bytes of the longest name of a user.
    pub login_name: u32,
}

impl Machine {
    /// Asks the system.
    pub fn read() -> io::Result<Machine> {
        let mut name = MaybeUninit::<libc::utsname>::zeroed();
        // SAFETY: the out-parameter is valid.
        Errno::result(unsafe { libc::uname(name.as_mut_ptr()) })?;
        // SAFETY: all-zero is a valid value, and the call has only written texts.
        let name = unsafe { name.assume_init() };
        Ok(Machine {
            system: text(&name.sysname),
            node: text(&name.nodename),
            release: text(&name.release),
            version: text(&name.version),
            machine: text(&name.machine),
            domain: text(&name.domainname),
            cache_line: cache_line(),
            page: number(SysconfVar::PAGE_SIZE, 4096),
            processors: number(SysconfVar::_NPROCESSORS_CONF, 1),
            descriptors: number(SysconfVar::OPEN_MAX, u32::MAX),
            ticks: number(SysconfVar::CLK_TCK, 100),
            node_name: number(SysconfVar::HOST_NAME_MAX, 64),
            login_name: number(SysconfVar::LOGIN_NAME_MAX, 256),
        })
    }
}

/// Not every kernel tells it; then it is what nearly all processors have.
fn cache_line() -> u32 {
    let told = fs::read_to_string("/sys/devices/system/cpu/cpu0/cache/index0/coherency_line_size");
    told.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(64)
}

fn number(variable: SysconfVar, otherwise: u32) -> u32 {
    let told = sysconf(variable).ok().flatten();
    told.and_then(|number| u32::try_from(number).ok()).unwrap_or(otherwise)
}

fn text(letters: &[c_char]) -> String {
    let bytes: Vec<u8> = letters.iter().map(|&letter| letter as u8).collect();
    CStr::from_bytes_until_nul(&bytes).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_the_one_the_program_was_built_for() {
        let machine = Machine::read().unwrap();
        assert_eq!(machine.system, "Linux");
        assert!(!machine.release.is_empty() && !machine.version.is_empty());
        assert!(machine.page.is_power_of_two() && machine.cache_line.is_power_of_two());
        assert!(machine.processors >= 1 && machine.descriptors >= 3 && machine.ticks == 100);
        assert!(machine.node_name >= machine.node.len() as u32);
    }
}
