//! Keeping threads on processors: on one, on those of a core, of a NUMA node, or of a set.

use crate::sys::cpus::{self, CpuSet};
use crate::sys::{Topology, node};
use nix::errno::Errno;
use std::io;

/// Where a thread may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// On one processor.
    Cpu(u32),
    /// On the processors of one core, counted as [`Topology`] does.
    Core(u32),
    /// On the processors of one NUMA node; memory it touches first then comes from there.
    Node(u32),
    /// On these processors.
    Cpus(CpuSet),
    /// On all that are online.
    Anywhere,
}

impl Pin {
    /// The processors that are meant. Fails with EINVAL for a core or node the machine does not have, and for a node without
    /// processors.
    pub fn cpus(&self) -> io::Result<CpuSet> {
        let cpus = match self {
            Pin::Cpu(number) => [*number].into_iter().collect(),
            Pin::Cpus(cpus) => cpus.clone(),
            Pin::Core(core) => Topology::read()?.core_cpus(*core).unwrap_or_default(),
            Pin::Node(node) => Topology::read()?.node_cpus(*node).cloned().unwrap_or_default(),
            Pin::Anywhere => Topology::read()?.online(),
        };
        if cpus.is_empty() { Err(Errno::EINVAL.into()) } else { Ok(cpus) }
    }

    /// Pins the calling thread. Threads it starts later inherit that.
    ///
    /// Fails with EINVAL when no processor is left: it does not exist, is offline, or the container does not have it.
    ///
    /// ```
    /// use msf_core::thread::Pin;
    ///
    /// Pin::Node(0).this_thread()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn this_thread(&self) -> io::Result<()> {
        cpus::set_affinity(0, &self.cpus()?)
    }

    /// Pins a thread by its id (`gettid`). Fails as `this_thread`, and with ESRCH when there is none.
    pub fn thread(&self, tid: libc::pid_t) -> io::Result<()> {
        cpus::set_affinity(tid, &self.cpus()?)
    }

    /// Pins every thread the process has now; those they start later inherit it. Fails as `this_thread`, and with ENOENT
    /// when `/proc` is not mounted: only there the threads are listed. Then it is done for none.
    pub fn process(&self) -> io::Result<()> {
        let (cpus, threads) = (self.cpus()?, cpus::threads()?);
        // The calling thread tells whether it can be done at all. Others may end meanwhile.
        cpus::set_affinity(0, &cpus)?;
        for tid in threads {
            match cpus::set_affinity(tid, &cpus) {
                Err(error) if error.raw_os_error() != Some(libc::ESRCH) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The node of a processor; `None` when it is offline or does not exist.
pub fn node_of(cpu: u32) -> io::Result<Option<u32>> {
    Ok(Topology::read()?.cpu(cpu).map(|cpu| cpu.node))
}

/// From now on the calling thread's new memory comes from this node as long as it has any; `None`: from the one it
/// happens to run on. Without NUMA policy in the system nothing happens. Fails with EINVAL for a node that does not exist.
pub fn prefer_node(number: Option<u32>) -> io::Result<()> {
    if number.is_some_and(|number| !node::exists(number)) {
        return Err(Errno::EINVAL.into());
    }
    Ok(node::tolerant(node::set_preferred(number))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errno<T>(result: io::Result<T>) -> Option<i32> {
        result.err().and_then(|error| error.raw_os_error())
    }

    #[test]
    fn a_thread_is_kept_where_it_was_put() {
        std::thread::spawn(|| {
            // The tests themselves may have been started pinned.
            Pin::Anywhere.this_thread().unwrap();
            let allowed = cpus::affinity(0).unwrap();
            let cpu = allowed.iter().last().unwrap();
            let machine = Topology::read().unwrap();
            let place = *machine.cpu(cpu).unwrap();
            for (pin, expected) in [
                (Pin::Cpu(cpu), [cpu].into_iter().collect()),
                (Pin::Core(place.core), machine.core_cpus(place.core).unwrap().common(&allowed)),
                (Pin::Node(place.node), machine.node_cpus(place.node).unwrap().common(&allowed)),
                (Pin::Cpus(allowed.clone()), allowed.clone()),
                (Pin::Anywhere, allowed.clone()),
            ] {
                pin.this_thread().unwrap();
                assert_eq!(cpus::affinity(0).unwrap(), expected, "{pin:?}");
            }
        })
        .join()
        .unwrap();
    }

    /// In a process of its own, or the threads of the other tests would be pinned, too.
    #[test]
    fn the_process_is_pinned_with_all_its_threads() {
        const ALONE: &str = "MSF_TEST_PINS_ITS_PROCESS";
        if std::env::var_os(ALONE).is_none() {
            let name = "thread::pin::tests::the_process_is_pinned_with_all_its_threads";
            let mut test = std::process::Command::new(std::env::current_exe().unwrap());
            let done = test.args(["--exact", name]).env(ALONE, "1").output().unwrap();
            let said = String::from_utf8_lossy(&done.stdout);
            assert!(done.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        let last = cpus::affinity(0).unwrap().iter().last().unwrap();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || (wait.recv(), cpus::affinity(0).unwrap()).1);
        Pin::Cpu(last).process().unwrap();
        go.send(()).unwrap();
        assert_eq!(other.join().unwrap(), [last].into_iter().collect());
        assert_eq!(cpus::affinity(0).unwrap().len(), 1);
    }

    #[test]
    fn what_is_not_there_is_refused() {
        for pin in [Pin::Cpu(60_000), Pin::Core(60_000), Pin::Node(900), Pin::Cpus(CpuSet::new())] {
            assert_eq!(errno(pin.this_thread()), Some(libc::EINVAL), "{pin:?}");
        }
        assert_eq!(errno(Pin::Cpu(0).thread(i32::MAX)), Some(libc::ESRCH));
        assert_eq!(errno(prefer_node(Some(900))), Some(libc::EINVAL));
        assert_eq!(node_of(60_000).unwrap(), None);
        assert!(node_of(cpus::current().unwrap()).unwrap().is_some());
    }
}
