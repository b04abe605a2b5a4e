//! Which processors the machine has, which of them share a core, a package, a NUMA node.
//!
//! Read from /sys, or by hwloc with the feature of that name; both give the same answers (a test compares them). Where /sys
//! says nothing (a container without it, an emulator) every processor the process may use is a core of its own on node 0.

use super::cpus::{self, CpuSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One processor that is online.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// The kernel's number for it.
    pub number: u32,
    /// Which core it is part of. Cores are counted from 0 over the whole machine, in the order of their first processor.
    pub core: u32,
    /// Which package (socket), counted in the same way.
    pub package: u32,
    /// The NUMA node it belongs to, by the kernel's number.
    pub node: u32,
}

/// The processors and nodes of the machine, as they were when it was read.
///
/// ```
/// use msf_core::sys::Topology;
///
/// let machine = Topology::read()?;
/// for cpu in machine.cpus() {
///     println!("cpu {} is part of core {} on node {}", cpu.number, cpu.core, cpu.node);
/// }
/// assert!(machine.nodes().all(|node| machine.node_cpus(node).is_some()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    cpus: Vec<Cpu>,
    /// Lowest number first, also those without a processor. A handful: a table would not be faster, only larger.
    nodes: Vec<(u32, CpuSet)>,
}

impl Topology {
    /// Reads the machine's topology. Fails only when not even the processors of this thread can be found out.
    pub fn read() -> io::Result<Topology> {
        #[cfg(feature = "hwloc")]
        if let Some(topology) = by_hwloc::read() {
            return Ok(topology);
        }
        Topology::from_files(Path::new("/sys/devices/system"), &cpus::affinity(0)?)
    }

    /// The processors that are online, lowest number first, also those this process may not use.
    pub fn cpus(&self) -> &[Cpu] {
        &self.cpus
    }

    /// One processor; `None` when it is offline or does not exist.
    pub fn cpu(&self, number: u32) -> Option<&Cpu> {
        self.cpus.iter().find(|cpu| cpu.number == number)
    }

    /// The numbers of all processors that are online.
    pub fn online(&self) -> CpuSet {
        self.cpus.iter().map(|cpu| cpu.number).collect()
    }

    /// The processors of a core; `None` when there is no such core.
    pub fn core_cpus(&self, core: u32) -> Option<CpuSet> {
        let cpus: CpuSet = self.cpus.iter().filter(|cpu| cpu.core == core).map(|cpu| cpu.number).collect();
        (!cpus.is_empty()).then_some(cpus)
    }

    /// How many cores are online.
    pub fn cores(&self) -> u32 {
        self.cpus.iter().map(|cpu| cpu.core + 1).max().unwrap_or(0)
    }

    /// How many packages are online.
    pub fn packages(&self) -> u32 {
        self.cpus.iter().map(|cpu| cpu.package + 1).max().unwrap_or(0)
    }

    /// The numbers of the NUMA nodes, lowest first; never none.
    pub fn nodes(&self) -> impl Iterator<Item = u32> + '_ {
        self.nodes.iter().map(|(number, _)| *number)
    }

    /// The processors of a node (a node of memory alone has none); `None` when there is no such node.
    pub fn node_cpus(&self, node: u32) -> Option<&CpuSet> {
        self.nodes.iter().find(|(number, _)| *number == node).map(|(_, cpus)| cpus)
    }

    /// As the kernel's files below `root` tell it. `allowed` stands in for what they do not tell.
    fn from_files(root: &Path, allowed: &CpuSet) -> io::Result<Topology> {
        let online = list(&root.join("cpu/online")).filter(|set| !set.is_empty()).unwrap_or_else(|| allowed.clone());
        let nodes = list(&root.join("node/online")).unwrap_or_default();
        let nodes = nodes.iter().map(|node| {
            let cpus = list(&root.join(format!("node/node{node}/cpulist"))).unwrap_or_default();
            (node, cpus.common(&online))
        });
        let of = |cpu: u32, name: &str| root.join(format!("cpu/cpu{cpu}/topology/{name}"));
        let cpus = online.iter().map(|cpu| {
            // core_cpus_list is the newer name of the same file.
            let siblings = ["core_cpus_list", "thread_siblings_list"].iter().find_map(|name| list(&of(cpu, name)));
            let package = fs::read_to_string(of(cpu, "physical_package_id")).ok();
            let package = package.and_then(|text| text.trim().parse::<i64>().ok());
            let core = siblings.and_then(|set| set.common(&online).iter().next()).unwrap_or(cpu);
            Raw { cpu, core, package: package.unwrap_or(0) }
        });
        Ok(Topology::new(cpus.collect(), nodes.collect()))
    }

    /// Counts cores and packages in the order of their first processors, and gives every processor a node.
    fn new(cpus: Vec<Raw>, mut nodes: Vec<(u32, CpuSet)>) -> Topology {
        if nodes.is_empty() {
            nodes.push((0, cpus.iter().map(|raw| raw.cpu).collect()));
        }
        let (mut cores, mut packages) = (Vec::new(), Vec::new());
        let node_of = |cpu| nodes.iter().find(|(_, set)| set.contains(cpu)).map_or(0, |(node, _)| *node);
        let cpus = cpus.iter().map(|raw| Cpu {
            number: raw.cpu,
            core: counted(&mut cores, raw.core.into()),
            package: counted(&mut packages, raw.package),
            node: node_of(raw.cpu),
        });
        Topology { cpus: cpus.collect(), nodes }
    }
}

/// A processor with numbers of core and package that are good for telling them apart only.
struct Raw {
    cpu: u32,
    core: u32,
    package: i64,
}

/// The place of `key` among those that are known; a new one goes behind them.
fn counted(known: &mut Vec<i64>, key: i64) -> u32 {
    let place = known.iter().position(|&other| other == key).unwrap_or_else(|| {
        known.push(key);
        known.len() - 1
    });
    place as u32
}

fn list(path: &PathBuf) -> Option<CpuSet> {
    fs::read_to_string(path).ok()?.parse().ok()
}

/// The same through hwloc's C library.
#[cfg(feature = "hwloc")]
mod by_hwloc {
    use super::{CpuSet, Raw, Topology};
    use hwlocality::Topology as Hwloc;
    use hwlocality::object::TopologyObject;
    use hwlocality::object::types::ObjectType;
    use hwlocality::topology::builder::BuildFlags;

    /// `None` when hwloc cannot tell.
    pub(super) fn read() -> Option<Topology> {
        // What a container may not use is part of the machine all the same.
        let machine = Hwloc::builder().with_flags(BuildFlags::INCLUDE_DISALLOWED).ok()?.build().ok()?;
        let number = |object: &TopologyObject| object.os_index().and_then(|index| u32::try_from(index).ok());
        let cpus = machine.objects_with_type(ObjectType::PU).filter_map(|unit| {
            let cpu = number(unit)?;
            let core = unit.first_ancestor_with_type(ObjectType::Core).and_then(first_cpu).unwrap_or(cpu);
            let package = unit.first_ancestor_with_type(ObjectType::Package).and_then(first_cpu).unwrap_or(0);
            Some(Raw { cpu, core, package: package.into() })
        });
        let mut cpus: Vec<Raw> = cpus.collect();
        cpus.sort_by_key(|raw| raw.cpu);
        let nodes = machine.objects_with_type(ObjectType::NUMANode);
        let nodes = nodes.filter_map(|node| Some((number(node)?, members(node))));
        let mut nodes: Vec<(u32, CpuSet)> = nodes.collect();
        nodes.sort_by_key(|(number, _)| *number);
        (!cpus.is_empty()).then(|| Topology::new(cpus, nodes))
    }

    fn first_cpu(object: &TopologyObject) -> Option<u32> {
        members(object).iter().next()
    }

    fn members(object: &TopologyObject) -> CpuSet {
        let numbers = object.cpuset().into_iter().flat_map(|set| set.iter_set().map(usize::from).collect::<Vec<_>>());
        numbers.filter_map(|index| u32::try_from(index).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like /sys/devices/system.
    struct Machine(PathBuf);

    impl Machine {
        fn new(name: &str, files: &[(&str, &str)]) -> Machine {
            let root = std::env::temp_dir().join(format!("msf-topology-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&root);
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Machine(root)
        }

        fn read(&self, allowed: &str) -> Topology {
            Topology::from_files(&self.0, &allowed.parse().unwrap()).unwrap()
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn two_packages_with_two_threads_per_core_and_an_offline_processor() {
        let machine = Machine::new(
            "two",
            &[
                ("cpu/online", "0-2,4-7\n"),
                ("cpu/cpu0/topology/core_cpus_list", "0,4\n"),
                ("cpu/cpu1/topology/core_cpus_list", "1,5\n"),
                ("cpu/cpu2/topology/thread_siblings_list", "2,6\n"),
                ("cpu/cpu4/topology/core_cpus_list", "0,4\n"),
                ("cpu/cpu5/topology/core_cpus_list", "1,5\n"),
                ("cpu/cpu6/topology/thread_siblings_list", "2,6\n"),
                ("cpu/cpu7/topology/core_cpus_list", "7\n"),
                ("cpu/cpu0/topology/physical_package_id", "4\n"),
                ("cpu/cpu4/topology/physical_package_id", "4\n"),
                ("cpu/cpu1/topology/physical_package_id", "4\n"),
                ("cpu/cpu5/topology/physical_package_id", "4\n"),
                ("cpu/cpu2/topology/physical_package_id", "1\n"),
                ("cpu/cpu6/topology/physical_package_id", "1\n"),
                ("cpu/cpu7/topology/physical_package_id", "1\n"),
                ("node/online", "0,2-3\n"),
                ("node/node0/cpulist", "0-1,4-5\n"),
                ("node/node2/cpulist", "2-3,6-7\n"),
                ("node/node3/cpulist", "\n"),
            ],
        )
        .read("0");
        assert_eq!(machine.online().to_string(), "0-2,4-7");
        assert_eq!((machine.cores(), machine.packages()), (4, 2));
        assert_eq!(machine.core_cpus(1).unwrap().to_string(), "1,5");
        assert_eq!(machine.core_cpus(3).unwrap().to_string(), "7");
        assert!(machine.core_cpus(4).is_none() && machine.cpu(3).is_none());
        assert_eq!(machine.cpu(6), Some(&Cpu { number: 6, core: 2, package: 1, node: 2 }));
        assert_eq!(machine.nodes().collect::<Vec<_>>(), [0, 2, 3]);
        assert_eq!(machine.node_cpus(2).unwrap().to_string(), "2,6-7");
        assert!(machine.node_cpus(3).unwrap().is_empty() && machine.node_cpus(1).is_none());
    }

    #[test]
    fn without_files_every_usable_processor_is_a_core_on_node_0() {
        let machine = Machine::new("nothing", &[]).read("1,70");
        assert_eq!(machine.online().to_string(), "1,70");
        assert_eq!(machine.cpu(70), Some(&Cpu { number: 70, core: 1, package: 0, node: 0 }));
        assert_eq!(machine.node_cpus(0).unwrap().to_string(), "1,70");
        assert_eq!(machine.nodes().count(), 1);
    }

    #[test]
    fn nonsense_in_the_files_counts_as_nothing() {
        let files = [
            ("cpu/online", "junk"),
            ("cpu/cpu0/topology/core_cpus_list", "9-1"),
            ("cpu/cpu0/topology/physical_package_id", "-1"),
            ("node/online", ""),
        ];
        let machine = Machine::new("junk", &files).read("0-1");
        assert_eq!((machine.cores(), machine.online().len()), (2, 2));
        assert_eq!(machine.cpu(1).unwrap().node, 0);
    }

    #[test]
    fn this_machine_has_the_processor_we_run_on() {
        let machine = Topology::read().unwrap();
        let allowed = cpus::affinity(0).unwrap();
        assert_eq!(machine.online().common(&allowed), allowed);
        let cpu = machine.cpu(cpus::current().unwrap()).unwrap();
        assert!(machine.node_cpus(cpu.node).unwrap().contains(cpu.number));
        assert!(machine.core_cpus(cpu.core).unwrap().contains(cpu.number));
    }

    #[cfg(feature = "hwloc")]
    #[test]
    fn the_topology_by_hwloc_is_the_one_by_files() {
        let by_files = Topology::from_files(Path::new("/sys/devices/system"), &cpus::affinity(0).unwrap()).unwrap();
        assert_eq!(by_hwloc::read().unwrap(), by_files);
    }
}
