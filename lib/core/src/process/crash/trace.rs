//! A simple backtrace from inside a handler: where it happened, and who called, as far as frame pointers tell. Memory is
//! read through the kernel, which refuses what a read of ours would die of; and only addresses inside executable
//! mappings are taken, so that what is no frame adds nothing.

use super::Hearer;
use super::line::Line;
use std::mem::MaybeUninit;

/// Sends `MSF_CRASH_TRACE=`, a list of `file+0xoffset`, innermost first.
pub fn send(context: *const libc::ucontext_t, hearer: &Hearer) {
    let mut frames = [0; FRAMES];
    let count = walk(context, &mut frames);
    let mut names = Line::new();
    names.text(b"MSF_CRASH_TRACE=");
    let Some(mut maps) = Maps::open() else { return };
    for address in frames.iter().take(count) {
        maps.name(*address, &mut names);
    }
    hearer.tell(&names);
}

/// The program counter, the link register where there is one, and the callers.
fn walk(context: *const libc::ucontext_t, frames: &mut [usize; FRAMES]) -> usize {
    let (counter, link, mut frame) = registers(context);
    let mut count = 0;
    let mut add = |address: usize| {
        if let Some(place) = frames.get_mut(count).filter(|_| address != 0) {
            *place = address;
            count += 1;
        }
    };
    add(counter);
    add(link);
    for _ in 0..FRAMES {
        let Some([next, caller]) = read(frame) else { break };
        add(caller);
        // Callers lie higher.
        if next <= frame {
            break;
        }
        frame = next;
    }
    count
}

#[cfg(target_arch = "x86_64")]
fn registers(context: *const libc::ucontext_t) -> (usize, usize, usize) {
    // SAFETY: the kernel hands the handler a valid context.
    let registers = unsafe { (*context).uc_mcontext.gregs };
    (registers[libc::REG_RIP as usize] as usize, 0, registers[libc::REG_RBP as usize] as usize)
}

#[cfg(target_arch = "aarch64")]
fn registers(context: *const libc::ucontext_t) -> (usize, usize, usize) {
    // SAFETY: the kernel hands the handler a valid context.
    let machine = unsafe { (*context).uc_mcontext };
    (machine.pc as usize, machine.regs[30] as usize, machine.regs[29] as usize)
}

#[cfg(target_arch = "arm")]
fn registers(context: *const libc::ucontext_t) -> (usize, usize, usize) {
    // SAFETY: the kernel hands the handler a valid context.
    let machine = unsafe { (*context).uc_mcontext };
    // Compilers agree on no frame pointer there: two levels have to do.
    (machine.arm_pc as usize, machine.arm_lr as usize, 0)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "arm")))]
fn registers(_context: *const libc::ucontext_t) -> (usize, usize, usize) {
    (0, 0, 0)
}

/// The two words at `address`, if it can be read.
fn read(address: usize) -> Option<[usize; 2]> {
    let mut words = MaybeUninit::<[usize; 2]>::uninit();
    let size = size_of::<[usize; 2]>();
    if address == 0 || !address.is_multiple_of(align_of::<usize>()) {
        return None;
    }
    let ours = libc::iovec { iov_base: words.as_mut_ptr().cast(), iov_len: size };
    let theirs = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: size };
    // SAFETY: takes nothing.
    let pid = unsafe { libc::getpid() };
    // SAFETY: `ours` is that large; whether `theirs` can be read is what the kernel is asked.
    let got = unsafe { libc::process_vm_readv(pid, &raw const ours, 1, &raw const theirs, 1, 0) };
    // SAFETY: all of it was written; any bits are a value.
    (got == size as isize).then(|| unsafe { words.assume_init() })
}

/// `/proc/self/maps`, read from its beginning for every address: there are few of them.
struct Maps(i32);

impl Maps {
    fn open() -> Option<Maps> {
        // SAFETY: a string with a NUL at its end.
        let fd = unsafe { libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
        (fd >= 0).then_some(Maps(fd))
    }

    /// Adds where `address` is, if code is there.
    fn name(&mut self, address: usize, out: &mut Line) {
        // SAFETY: takes three numbers.
        unsafe { libc::lseek(self.0, 0, libc::SEEK_SET) };
        // A line, as far as it is known; longer ones are cut.
        let (mut line, mut length) = ([0; 512], 0);
        let mut bytes = [0; 1024];
        loop {
            // SAFETY: as many bytes as there is room for.
            let got = unsafe { libc::read(self.0, bytes.as_mut_ptr().cast(), bytes.len()) };
            let Some(part) = usize::try_from(got).ok().filter(|got| *got > 0).and_then(|got| bytes.get(..got)) else {
                return;
            };
            for byte in part {
                if *byte != b'\n' {
                    if let Some(place) = line.get_mut(length) {
                        *place = *byte;
                        length += 1;
                    }
                    continue;
                }
                if line.get(..length).is_some_and(|line| tell(line, address, out)) {
                    return;
                }
                length = 0;
            }
        }
    }
}

impl Drop for Maps {
    fn drop(&mut self) {
        // SAFETY: ours, opened above.
        unsafe { libc::close(self.0) };
    }
}

/// Adds `file+0xoffset` (of the file, as addr2line takes it for a library) if this line's mapping holds `address` and
/// code; whether it was this line.
fn tell(line: &[u8], address: usize, out: &mut Line) -> bool {
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let mut range = words.next().unwrap_or_default().split(|byte| *byte == b'-').map(hexadecimal);
    let (Some(start), Some(end)) = (range.next(), range.next()) else { return false };
    if !(start..end).contains(&address) {
        return false;
    }
    if words.next().and_then(|rights| rights.get(2)) == Some(&b'x') {
        let offset = words.next().map_or(0, hexadecimal);
        let file = words.nth(2).unwrap_or(b"?");
        if out.has_room(file.len() + 20) {
            out.text(file).text(b"+0x").number((address - start + offset) as u64, 16).text(b" ");
        }
    }
    true
}

fn hexadecimal(text: &[u8]) -> usize {
    text.iter().fold(0, |sum, byte| {
        let digit = char::from(*byte).to_digit(16).unwrap_or(0);
        (sum << 4) | digit as usize
    })
}

const FRAMES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_as_its_file_and_offset_if_code_is_there() {
        let line = b"7f10-7f30 r-xp 00001000 08:01 77                         /lib/libc.so.6";
        let told = |address| {
            let mut out = Line::new();
            let found = tell(line, address, &mut out);
            (found, out.has_room(2048))
        };
        assert_eq!((told(0x7f0f), told(0x7f30)), ((false, true), (false, true)));
        assert_eq!(told(0x7f10), (true, false));
        let mut out = Line::new();
        assert!(tell(b"10-20 rw-p 0 08:01 77 /x", 0x11, &mut out) && out.has_room(2048));
    }

    #[test]
    fn memory_that_is_not_there_is_no_reason_to_die() {
        let words = [3usize, 4];
        assert_eq!(read(words.as_ptr() as usize), Some(words));
        assert_eq!((read(0), read(8), read(words.as_ptr() as usize + 1)), (None, None, None));
    }
}
