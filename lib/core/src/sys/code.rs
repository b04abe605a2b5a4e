//! The code of this process that is in memory.

use std::fs;

/// Lets go of the pages of all code; what is still needed comes back from the page cache at its next use. For a program that
/// has started and will do little: the kernel maps sixteen pages around each that is asked for, and a start asks for most.
pub fn let_go() {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return };
    for (start, end) in maps.lines().filter_map(code) {
        // SAFETY: whole pages of a mapped file that may be read and run and not written to, so they are as they are in the
        // file; where they are not there any longer the next use of one brings it back.
        unsafe { libc::madvise(std::ptr::without_provenance_mut(start), end - start, libc::MADV_DONTNEED) };
    }
}

/// Where a line of maps has code of a file.
fn code(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (range, rights) = (fields.next()?, fields.next()?);
    let file = fields.nth(3)?;
    let (start, end) = range.split_once('-')?;
    let place = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    (rights == "r-xp" && file.starts_with('/')).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_found() {
        assert_eq!(code("1000-3000 r-xp 00001000 fe:01 12 /usr/bin/a b"), Some((0x1000, 0x3000)));
        for line in [
            "1000-3000 r--p 00001000 fe:01 12 /usr/bin/a",
            "1000-3000 rwxp 00000000 00:00 0 /a",
            "1000-3000 r-xp 00000000 00:00 0 [vdso]",
            "1000-3000 r-xp 00000000 00:00 0",
            "",
            "x r-xp 0 0 0 /a",
        ] {
            assert_eq!(code(line), None, "{line}");
        }
    }

    #[test]
    fn everything_goes_on() {
        let_go();
        assert_eq!("12".parse(), Ok(12));
    }
}
