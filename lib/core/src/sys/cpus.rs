//! Sets of processors of any size, and which of them a thread may run on.

use nix::errno::Errno;
use std::fmt;
use std::fs;
use std::io;

/// A set of processors by the kernel's numbers. Numbers need not be contiguous, and there is no limit of 64 or 1024.
///
/// ```
/// use msf_core::sys::CpuSet;
///
/// let set: CpuSet = "0-2,8".parse()?;
/// assert_eq!(set.iter().collect::<Vec<_>>(), [0, 1, 2, 8]);
/// assert_eq!(set.to_string(), "0-2,8");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSet {
    /// As the kernel has it; the last word is never 0, so equal sets are equal words.
    words: Vec<usize>,
}

impl CpuSet {
    /// The empty set.
    pub fn new() -> CpuSet {
        CpuSet::default()
    }

    /// Adds a processor. Numbers no kernel can have (from 65536 on) are ignored.
    pub fn insert(&mut self, cpu: u32) {
        if cpu < MOST {
            let (word, bit) = place(cpu);
            if self.words.len() <= word {
                self.words.resize(word + 1, 0);
            }
            self.words[word] |= bit;
        }
    }

    /// Takes a processor out.
    pub fn remove(&mut self, cpu: u32) {
        let (word, bit) = place(cpu);
        if let Some(word) = self.words.get_mut(word) {
            *word &= !bit;
        }
        self.trim();
    }

    /// Whether the processor is in it.
    pub fn contains(&self, cpu: u32) -> bool {
        let (word, bit) = place(cpu);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether none is in it.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The processors, lowest number first.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.words.len() as u32 * usize::BITS).filter(|&cpu| self.contains(cpu))
    }

    /// Those that are in both sets.
    pub fn common(&self, other: &CpuSet) -> CpuSet {
        let words = self.words.iter().zip(&other.words).map(|(ours, theirs)| ours & theirs);
        CpuSet::from_words(words.collect())
    }

    fn from_words(words: Vec<usize>) -> CpuSet {
        let mut set = CpuSet { words };
        set.trim();
        set
    }

    fn trim(&mut self) {
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
    }
}

impl FromIterator<u32> for CpuSet {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> CpuSet {
        let mut set = CpuSet::new();
        numbers.into_iter().for_each(|cpu| set.insert(cpu));
        set
    }
}

/// Reads the kernel's list format: `0-3,8,10-11`.
impl std::str::FromStr for CpuSet {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<CpuSet> {
        let mut set = CpuSet::new();
        for part in text.trim().split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            match (first.parse::<u32>(), last.parse::<u32>()) {
                (Ok(first), Ok(last)) if first <= last && last < MOST => {
                    (first..=last).for_each(|cpu| set.insert(cpu));
                }
                _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a list of processors like 0-3,8")),
            }
        }
        Ok(set)
    }
}

/// Writes the kernel's list format.
impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut numbers = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = numbers.next() {
            let mut last = first;
            while let Some(next) = numbers.next_if(|&next| next == last + 1) {
                last = next;
            }
            write!(f, "{separator}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

/// The processors the thread `tid` may run on; 0 is the calling thread. Fails with ESRCH when there is no such thread.
pub fn affinity(tid: libc::pid_t) -> io::Result<CpuSet> {
    // The kernel refuses a buffer that is smaller than its own sets, so the buffer grows until it is not.
    let mut length = 1024 / usize::BITS as usize;
    loop {
        let mut words = vec![0usize; length];
        // SAFETY: the buffer has as many bytes as the call is told, and is aligned for the kernel's words.
        let status = unsafe { libc::sched_getaffinity(tid, length * size_of::<usize>(), words.as_mut_ptr().cast()) };
        match Errno::result(status) {
            Ok(_) => return Ok(CpuSet::from_words(words)),
            Err(Errno::EINVAL) if length * (usize::BITS as usize) < MOST as usize => length *= 2,
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Whether the calling thread may run on more than one, so that waiting for another thread without sleeping may be worth it.
/// (std's count opens the files of the control groups as well, which is 5 KB of code.)
pub(crate) fn several() -> bool {
    affinity(0).is_ok_and(|cpus| cpus.len() > 1)
}

/// Says on which processors the thread `tid` may run from now on; 0 is the calling thread.
///
/// Those that are offline, or that the container does not allow, are left out by the kernel. Fails with EINVAL when none
/// is left, ESRCH when there is no such thread, EPERM when it is somebody else's.
pub fn set_affinity(tid: libc::pid_t, cpus: &CpuSet) -> io::Result<()> {
    let (start, length) = (cpus.words.as_ptr(), cpus.words.len() * size_of::<usize>());
    // SAFETY: the words are `length` bytes of our own, which the kernel only reads.
    let status = unsafe { libc::sched_setaffinity(tid, length, start.cast()) };
    Ok(Errno::result(status).map(drop)?)
}

/// The processor that runs the calling thread at this moment.
pub fn current() -> io::Result<u32> {
    Ok(nix::sched::sched_getcpu()? as u32)
}

/// The processors the machine may ever have, as those that can be plugged in.
pub fn possible() -> io::Result<CpuSet> {
    match fs::read_to_string("/sys/devices/system/cpu/possible").ok().and_then(|text| text.parse().ok()) {
        Some(set) => Ok(set),
        None => affinity(0),
    }
}

/// The ids of all threads of this process.
pub fn threads() -> io::Result<Vec<libc::pid_t>> {
    let entries = fs::read_dir("/proc/self/task")?.filter_map(Result::ok);
    Ok(entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

fn place(cpu: u32) -> (usize, usize) {
    ((cpu / usize::BITS) as usize, 1 << (cpu % usize::BITS))
}

/// More than any kernel is built for.
const MOST: u32 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_written_as_the_kernel_does() {
        for text in ["", "0", "0-1", "1,3,5", "0-63,65,1000-1002", "65535"] {
            assert_eq!(text.parse::<CpuSet>().unwrap().to_string(), text);
        }
        assert_eq!("3-4\n".parse::<CpuSet>().unwrap().len(), 2);
        for text in ["a", "3-1", "-", "1-", "65536", "0-4294967295", "-1"] {
            assert!(text.parse::<CpuSet>().is_err(), "{text}");
        }
    }

    #[test]
    fn equal_sets_are_equal_however_they_came_about() {
        let mut set: CpuSet = [1, 200].into_iter().collect();
        set.remove(200);
        set.remove(4711);
        assert_eq!(set, [1].into_iter().collect());
        assert_eq!(set.common(&"0-300".parse().unwrap()), set);
        assert!(set.common(&CpuSet::new()).is_empty());
        set.insert(MOST);
        assert_eq!(set.len(), 1);
    }

    #[test]
    fn a_thread_may_be_kept_on_one_processor() {
        std::thread::spawn(|| {
            let allowed = affinity(0).unwrap();
            let last = allowed.iter().last().unwrap();
            set_affinity(0, &[last].into_iter().collect()).unwrap();
            assert_eq!(affinity(0).unwrap().to_string(), last.to_string());
            assert_eq!(current().unwrap(), last);
            assert_eq!(set_affinity(0, &CpuSet::new()).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn the_calling_thread_is_among_the_threads() {
        assert!(threads().unwrap().contains(&nix::unistd::gettid().as_raw()));
        assert_eq!(affinity(i32::MAX).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }
}
