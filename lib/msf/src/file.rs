//! msf_file.h: files whole and in pieces, what they are, their locks and mappings.

use crate::guard::{bytes, guard, guard_or, guard_ptr, plain};
use crate::header::{MSF_ERR, MSF_FILE_EXEC, MSF_FILE_WRITE, msf_file, msf_file_mapping};
use msf_core::file::{self, Mapping};
use msf_core::process;
use msf_core::sysinfo::disk;
use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};
use std::ffi::{OsStr, c_char, c_int, c_void};
use std::fs::{self, File, Metadata};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::ptr;
use std::slice;
use std::time::Duration;

as_declared! {
    msf_get_file_info msf_chk_file_exist msf_read_file msf_write_file config_read_file msf_file_load msf_file_replace
    msf_file_lock msf_unlock_fd msf_fs_bsize msf_enable_coredump msf_create_file_mapping msf_close_file_mapping
}

/// # Safety
/// `path` is null or NUL-terminated, `file_out` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_get_file_info(path: *const c_char, file_out: *mut msf_file, mode: u32) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let path = unsafe { path_of(path) }?;
        if file_out.is_null() || mode & !(MSF_FILE_WRITE | MSF_FILE_EXEC) != 0 {
            return Err(Errno::EINVAL);
        }
        let found = look(path, mode);
        // SAFETY: not null, and our caller says that it may be written.
        unsafe { file_out.write(found.unwrap_or(NOTHING)) };
        found.map(drop)
    })
}

/// # Safety
/// `path` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_chk_file_exist(path: *const c_char) -> c_int {
    // SAFETY: the contract is our caller's.
    guard_or(MSF_ERR, || access(unsafe { path_of(path) }?, AccessFlags::R_OK | AccessFlags::W_OK).map(|()| 0))
}

/// # Safety
/// `buffer` is null or has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_read_file(fd: c_int, buffer: *mut u8, size: usize, offset: i64) -> isize {
    guard_or(-1, || {
        let (file, offset) = (file_of(fd)?, u64::try_from(offset).map_err(|_| Errno::EINVAL)?);
        if buffer.is_null() || isize::try_from(size).is_err() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: not null, and our caller says that it has as many bytes.
        let buffer = unsafe { slice::from_raw_parts_mut(buffer, size) };
        Ok(file::read_at(&*file, buffer, offset).map_err(errno)?.cast_signed())
    })
}

/// # Safety
/// `buffer` is null or has `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_write_file(fd: c_int, buffer: *const u8, size: usize, offset: i64) -> isize {
    guard_or(-1, || {
        let (file, offset) = (file_of(fd)?, u64::try_from(offset).map_err(|_| Errno::EINVAL)?);
        // SAFETY: the contract is our caller's.
        let done = file::write_at(&*file, unsafe { given(buffer.cast(), size) }?, offset);
        Ok(done.map_err(errno)?.cast_signed())
    })
}

/// # Safety
/// `path` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn config_read_file(path: *const c_char) -> *mut c_char {
    // SAFETY: the contract is our caller's.
    guard_ptr(|| unsafe { load(path, ptr::null_mut()) }).cast()
}

/// # Safety
/// `path` is null or NUL-terminated, `size_out` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_file_load(path: *const c_char, size_out: *mut usize) -> *mut u8 {
    // SAFETY: the contract is our caller's.
    guard_ptr(|| unsafe { load(path, size_out) })
}

/// # Safety
/// `path` is null or NUL-terminated, `bytes` is null or has `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_file_replace(path: *const c_char, bytes: *const c_void, size: usize, mode: u32) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let (path, bytes) = (unsafe { path_of(path) }?, unsafe { given(bytes, size) }?);
        file::replace(path, bytes, mode).map_err(plain)
    })
}

/// # Safety
/// None: it takes numbers. It is unsafe because every function of the header is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_file_lock(fd: c_int, timeout_ms: c_int) -> c_int {
    guard(|| {
        let patience = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        match file::lock(&*file_of(fd)?, patience).map_err(errno)? {
            true => Ok(()),
            false if timeout_ms == 0 => Err(Errno::EAGAIN),
            false => Err(Errno::ETIMEDOUT),
        }
    })
}

/// # Safety
/// None: it takes a number. It is unsafe because every function of the header is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_unlock_fd(fd: c_int) -> c_int {
    guard(|| {
        file_of(fd)?.unlock().map_err(errno)?;
        // SAFETY: all bits zero is a value: the whole file, from its beginning.
        let mut whole: libc::flock = unsafe { std::mem::zeroed() };
        whole.l_type = libc::F_UNLCK as _;
        // SAFETY: F_SETLK reads one flock.
        Errno::result(unsafe { libc::fcntl(fd, libc::F_SETLK, &raw const whole) }).map(drop)
    })
}

/// # Safety
/// `path` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_fs_bsize(path: *const u8) -> usize {
    guard_or(SECTOR, || {
        // SAFETY: the contract is our caller's.
        let block = disk::usage(unsafe { path_of(path.cast()) }?).map_err(plain)?.block;
        usize::try_from(block).ok().filter(|block| *block > 0).ok_or(Errno::ERANGE)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_enable_coredump() {
    guard(|| process::allow_core_dumps().map_err(plain));
}

/// # Safety
/// `mapping` is null or a mapping whose `name` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_create_file_mapping(mapping: *mut msf_file_mapping) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let mapping = unsafe { mapping.as_mut() }.ok_or(Errno::EINVAL)?;
        (mapping.addr, mapping.fd) = (ptr::null_mut(), -1);
        // SAFETY: as above.
        let Mapping { file, map } =
            Mapping::create(unsafe { path_of(mapping.name.cast()) }?, mapping.size).map_err(plain)?;
        (mapping.addr, mapping.fd) = (map.start().as_ptr().cast(), file.into_raw_fd());
        // Until msf_close_file_mapping unmaps it, by address and size.
        std::mem::forget(map);
        Ok(())
    })
}

/// # Safety
/// `mapping` is null or was given to `msf_create_file_mapping`, and nobody uses its memory any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_close_file_mapping(mapping: *mut msf_file_mapping) {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let mapping = unsafe { mapping.as_mut() }.ok_or(Errno::EINVAL)?;
        if !mapping.addr.is_null() {
            // SAFETY: the mapping that msf_create_file_mapping left to us, whole; our caller says that nobody uses it.
            unsafe { libc::munmap(mapping.addr, mapping.size) };
            // SAFETY: the descriptor was made and left to us together with the mapping.
            drop((mapping.fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(mapping.fd) }));
        }
        (mapping.addr, mapping.fd) = (ptr::null_mut(), -1);
        Ok(())
    });
}

fn look(path: &Path, mode: u32) -> Result<msf_file, Errno> {
    let name = fs::symlink_metadata(path).map_err(errno)?;
    let found = match fs::metadata(path) {
        // A link that leads nowhere is there, too: it is what is told about.
        Err(_) if name.is_symlink() => name.clone(),
        other => other.map_err(errno)?,
    };
    let may = |what| access(path, what).is_ok();
    Ok(msf_file {
        is_exist: 1,
        is_link: name.is_symlink().into(),
        flags_read_only: (mode & MSF_FILE_WRITE != 0 && !may(AccessFlags::W_OK)).into(),
        exec_access: (mode & MSF_FILE_EXEC != 0 && may(AccessFlags::X_OK)).into(),
        read_access: may(AccessFlags::R_OK).into(),
        ..about(&found)
    })
}

fn about(found: &Metadata) -> msf_file {
    msf_file {
        uniq: found.ino(),
        mtime: found.mtime(),
        size: found.size().cast_signed(),
        // A block is 512 bytes there, whatever it is to the file system.
        fs_size: found.blocks().saturating_mul(512).cast_signed(),
        is_dir: found.is_dir().into(),
        is_file: found.is_file().into(),
        is_exec: (found.is_file() && found.permissions().mode() & 0o111 != 0).into(),
        ..NOTHING
    }
}

/// # Safety
/// `path` is null or NUL-terminated, `size_out` is null or may be written.
unsafe fn load(path: *const c_char, size_out: *mut usize) -> Result<*mut u8, Errno> {
    // SAFETY: the contract is our caller's.
    let read = file::read(unsafe { path_of(path) }?, MOST).map_err(plain)?;
    // SAFETY: malloc takes a number.
    let text = unsafe { libc::malloc(read.len() + 1) }.cast::<u8>();
    if text.is_null() {
        return Err(Errno::ENOMEM);
    }
    // SAFETY: there is room for as many bytes, and it is nobody's yet.
    unsafe { ptr::copy_nonoverlapping(read.as_ptr(), text, read.len()) };
    // SAFETY: there is one byte more than was read.
    let end = unsafe { text.add(read.len()) };
    // SAFETY: as above.
    unsafe { end.write(0) };
    if !size_out.is_null() {
        // SAFETY: not null, and our caller says that it may be written.
        unsafe { size_out.write(read.len()) };
    }
    Ok(text)
}

/// # Safety
/// `path` is null or NUL-terminated and stays unchanged for `'a`.
pub(crate) unsafe fn path_of<'a>(path: *const c_char) -> Result<&'a Path, Errno> {
    // SAFETY: the contract is our caller's.
    Ok(Path::new(OsStr::from_bytes(unsafe { bytes(path) }?)))
}

/// # Safety
/// `first` is null or has `size` bytes that stay unchanged for `'a`.
unsafe fn given<'a>(first: *const c_void, size: usize) -> Result<&'a [u8], Errno> {
    match (first.is_null(), size) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Errno::EINVAL),
        (false, _) if isize::try_from(size).is_err() => Err(Errno::EINVAL),
        // SAFETY: not null; the rest is our caller's promise.
        (false, _) => Ok(unsafe { slice::from_raw_parts(first.cast(), size) }),
    }
}

/// The caller's descriptor as a file, which stays his. A number that is not open is refused by whatever call is made.
fn file_of(fd: c_int) -> Result<ManuallyDrop<File>, Errno> {
    if fd < 0 {
        return Err(Errno::EBADF);
    }
    // SAFETY: it is only lent, and never closed here.
    Ok(ManuallyDrop::new(unsafe { File::from_raw_fd(fd) }))
}

fn errno(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// All zero but for the descriptor, which 0 would be.
const NOTHING: msf_file = msf_file {
    fd: -1,
    uniq: 0,
    mtime: 0,
    size: 0,
    fs_size: 0,
    directio: 0,
    read_ahead: 0,
    flags_read_only: 0,
    is_exist: 0,
    is_dir: 0,
    is_file: 0,
    is_link: 0,
    is_exec: 0,
    is_directio: 0,
    exec_access: 0,
    read_access: 0,
};
/// What 2019 answers when it cannot tell.
const SECTOR: usize = 512;
/// A configuration is less.
const MOST: usize = 64 << 20;
