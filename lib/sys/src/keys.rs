//! Thread-specific keys whose destructors lie in a library that goes: deleted, because nobody else will.
//!
//! Rust's standard library takes such a key when a thread first asks for `thread::current`, and so does each copy of it in
//! each plugin; it is never given back. A process has 1024: the 1024th generation of a Rust plugin would abort it. And a
//! thread that has a value under such a key would run code that is no longer there when it ends. glibc tells debuggers (through libthread_db) where its table of keys is and
//! how it is laid out; where it does not, nothing is done: musl unmaps no library anyway.

use std::ffi::{CStr, c_void};
use std::ops::Range;
use std::ptr;

/// Deletes every key whose destructor is in `code`. Nobody may be using them: the library is at rest.
pub(crate) fn delete(code: &[Range<usize>]) -> usize {
    let Some(table) = Table::find() else { return 0 };
    let ours =
        (0..table.keys).filter(|key| table.destructor(*key).is_some_and(|at| code.iter().any(|one| one.contains(&at))));
    let delete = |key: usize| {
        // SAFETY: any number may be asked to be deleted; this one is in use, by a library that is at rest.
        unsafe { libc::pthread_key_delete(key as libc::pthread_key_t) == 0 }
    };
    ours.filter(|key| delete(*key)).count()
}

/// glibc's table of keys.
struct Table {
    first: *const u8,
    keys: usize,
    entry: usize,
    sequence: usize,
    destructor: usize,
}

impl Table {
    fn find() -> Option<Table> {
        let first = symbol(c"__pthread_keys")?.cast();
        let [bits, keys, _] = field(c"_thread_db___pthread_keys")?;
        let sequence = whole_word(field(c"_thread_db_pthread_key_struct_seq")?)?;
        let destructor = whole_word(field(c"_thread_db_pthread_key_struct_destr")?)?;
        let entry = bits as usize / 8;
        let fits = |offset: usize| offset + size_of::<usize>() <= entry;
        let table = Table { first, keys: keys as usize, entry, sequence, destructor };
        (entry <= 64 && keys <= 4096 && fits(sequence) && fits(destructor)).then_some(table)
    }

    /// The address of a key's destructor, if it is in use and has one.
    fn destructor(&self, key: usize) -> Option<usize> {
        let word = |offset: usize| {
            let at = self.first.wrapping_add(key * self.entry + offset).cast::<usize>();
            // SAFETY: inside glibc's table, as it describes it itself; other threads may write to it, hence volatile.
            unsafe { ptr::read_volatile(at) }
        };
        // The number of an entry is odd while it is in use.
        (word(self.sequence) % 2 == 1).then(|| word(self.destructor)).filter(|at| *at != 0)
    }
}

/// A descriptor for debuggers: bits, elements, offset in bytes.
fn field(name: &CStr) -> Option<[u32; 3]> {
    let at = symbol(name)?.cast::<[u32; 3]>();
    // SAFETY: glibc's descriptors are three numbers, since there are any.
    Some(unsafe { ptr::read(at) })
}

fn whole_word([bits, elements, offset]: [u32; 3]) -> Option<usize> {
    (bits as usize == usize::BITS as usize && elements == 1).then_some(offset as usize)
}

fn symbol(name: &CStr) -> Option<*const c_void> {
    // SAFETY: the name is terminated.
    let at = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!at.is_null()).then_some(at.cast_const())
}
