//! msf_shmem.h: shared memory and message rings. A `struct msf_shm` is a boxed [`Segment`], a `struct msf_shmring` a boxed
//! [`Ring`].

use crate::guard::{bytes, guard, guard_or, guard_ptr, plain};
use crate::header::{
    MSF_SHMRING_DIED, MSF_SHMRING_EVENTFD, MSF_SHMRING_HERE, MSF_SHMRING_LEFT, MSF_SHMRING_NEVER, msf_shm, msf_shmring,
    msf_shmring_config, ngx_shm_t,
};
use msf_core::shm::{self, Bells, Config, Consumer, Peer, Producer, Refusal, Segment, Wait};
use nix::errno::Errno;
use std::ffi::{c_char, c_int, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::time::Duration;

as_declared! {
    ngx_shm_alloc ngx_shm_free msf_shm_new msf_shm_create msf_shm_open msf_shm_attach msf_shm_unlink msf_shm_addr
    msf_shm_size msf_shm_fd msf_shm_close msf_shmring_size msf_shmring_format msf_shmring_producer msf_shmring_consumer
    msf_shmring_close msf_shmring_send msf_shmring_recv msf_shmring_reserve msf_shmring_commit msf_shmring_peek
    msf_shmring_release msf_shmring_block msf_shmring_send_block msf_shmring_take msf_shmring_free_block
    msf_shmring_peer msf_shmring_sequence msf_shmring_fd
}

enum Ring {
    Producer(Producer),
    Consumer(Consumer),
}

/// # Safety
/// `shm` is null or a segment that is not closed while the result is used.
unsafe fn segment_of<'a>(shm: *const msf_shm) -> Result<&'a Segment, Errno> {
    // SAFETY: not null is checked by `as_ref`, the rest is our caller's promise.
    unsafe { shm.cast::<Segment>().as_ref() }.ok_or(Errno::EINVAL)
}

/// # Safety
/// `ring` is null or a ring that nobody else uses and that is not closed while the result is used.
#[inline]
unsafe fn ring_of<'a>(ring: *mut msf_shmring) -> Result<&'a mut Ring, Errno> {
    // SAFETY: not null is checked by `as_mut`, the rest is our caller's promise.
    unsafe { ring.cast::<Ring>().as_mut() }.ok_or(Errno::EINVAL)
}

/// # Safety
/// As [`ring_of`].
#[inline]
unsafe fn producer_of<'a>(ring: *mut msf_shmring) -> Result<&'a mut Producer, Errno> {
    // SAFETY: our caller's promise is the callee's.
    match unsafe { ring_of(ring) }? {
        Ring::Producer(producer) => Ok(producer),
        Ring::Consumer(_) => Err(Errno::EINVAL),
    }
}

/// # Safety
/// As [`ring_of`].
#[inline]
unsafe fn consumer_of<'a>(ring: *mut msf_shmring) -> Result<&'a mut Consumer, Errno> {
    // SAFETY: our caller's promise is the callee's.
    match unsafe { ring_of(ring) }? {
        Ring::Consumer(consumer) => Ok(consumer),
        Ring::Producer(_) => Err(Errno::EINVAL),
    }
}

/// # Safety
/// `config` is null or points at as many bytes as its first word says.
unsafe fn config_of(config: *const msf_shmring_config) -> Result<Config, Errno> {
    // SAFETY: not null is checked by `as_ref`; the fields read here are those the struct has had from the beginning.
    let config = unsafe { config.as_ref() }.ok_or(Errno::EINVAL)?;
    if (config.size as usize) < size_of::<msf_shmring_config>() || config.flags & !MSF_SHMRING_EVENTFD != 0 {
        return Err(Errno::EINVAL);
    }
    let bells = config.flags & MSF_SHMRING_EVENTFD != 0;
    let (capacity, block_size) = (config.capacity as usize, config.block_size as usize);
    Ok(Config { capacity, blocks: config.blocks, block_size, bells })
}

/// # Safety
/// As [`bytes`].
unsafe fn name_of<'a>(name: *const c_char) -> Result<&'a str, Errno> {
    // SAFETY: our caller's promise is the callee's.
    std::str::from_utf8(unsafe { bytes(name) }?).map_err(|_| Errno::EINVAL)
}

#[inline]
fn wait_of(timeout: c_int) -> Wait {
    match u64::try_from(timeout) {
        Ok(0) => Wait::Try,
        Ok(time) => Wait::AtMost(Duration::from_millis(time)),
        Err(_) => Wait::Forever,
    }
}

fn cloned(fd: c_int) -> Result<OwnedFd, Errno> {
    if fd < 0 {
        return Err(Errno::EBADF);
    }
    // SAFETY: it is not -1; a number that is no descriptor is an error of the one call it is used for.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    fd.try_clone_to_owned().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EBADF)))
}

fn bells_of(data_fd: c_int, space_fd: c_int) -> Result<Option<Bells>, Errno> {
    match (data_fd, space_fd) {
        (-1, -1) => Ok(None),
        _ => Bells::from_fds(cloned(data_fd)?, cloned(space_fd)?).map(Some),
    }
}

fn boxed<T, O>(made: Result<T, msf_core::Error>) -> Result<*mut O, Errno> {
    made.map(|made| Box::into_raw(Box::new(made)).cast()).map_err(plain)
}

/// # Safety
/// `shm` is null or may be read and written; its name is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_shm_alloc(shm: *mut ngx_shm_t) -> c_int {
    guard(|| {
        // SAFETY: not null is checked by `as_mut`, the rest is our caller's promise.
        let shm = unsafe { shm.as_mut() }.ok_or(Errno::EINVAL)?;
        let (segment, existed) = match shm.name.is_null() {
            true => (Segment::sealed("msf_shm", shm.size).map_err(plain)?, false),
            // SAFETY: our caller's promise is the callee's.
            false => Segment::open_or_create(unsafe { name_of(shm.name) }?, shm.size).map_err(plain)?,
        };
        shm.exists = existed.into();
        shm.addr = segment.into_raw().0.as_ptr();
        Ok(())
    })
}

/// # Safety
/// `shm` is null or was given to `ngx_shm_alloc`, and nobody uses its memory any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngx_shm_free(shm: *mut ngx_shm_t) {
    guard(|| {
        // SAFETY: null is told by `as_mut`, the rest is our caller's promise.
        let Some(shm) = (unsafe { shm.as_mut() }) else { return Ok(()) };
        let Some(start) = NonNull::new(shm.addr) else { return Ok(()) };
        shm.addr = ptr::null_mut();
        // SAFETY: the address came from `into_raw` (it is null when it was freed), and our caller gives it up.
        unsafe { Segment::unmap(start, shm.size) }
    });
}

/// # Safety
/// `label` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shm_new(label: *const c_char, size: usize) -> *mut msf_shm {
    // SAFETY: our caller's promise is the callee's.
    guard_ptr(|| boxed(Segment::sealed(unsafe { name_of(label) }?, size)))
}

/// # Safety
/// `name` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shm_create(name: *const c_char, size: usize, mode: u32) -> *mut msf_shm {
    // SAFETY: our caller's promise is the callee's.
    guard_ptr(|| boxed(Segment::create(unsafe { name_of(name) }?, size, mode)))
}

/// # Safety
/// `name` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shm_open(name: *const c_char, mode: u32) -> *mut msf_shm {
    // SAFETY: our caller's promise is the callee's.
    guard_ptr(|| boxed(Segment::open(unsafe { name_of(name) }?, mode)))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_shm_attach(fd: c_int) -> *mut msf_shm {
    guard_ptr(|| boxed(Segment::attach(cloned(fd)?)))
}

/// # Safety
/// `name` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shm_unlink(name: *const c_char) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    guard(|| Segment::unlink(unsafe { name_of(name) }?).map_err(plain))
}

/// # Safety
/// `shm` is null or a segment that is not closed during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shm_addr(shm: *const msf_shm) -> *mut c_void {
    // SAFETY: our caller's promise is the callee's.
    guard_ptr(|| Ok(unsafe { segment_of(shm) }?.start().as_ptr().cast()))
}

/// # Safety
/// `shm` is null or a segment that is not closed during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shm_size(shm: *const msf_shm) -> usize {
    // SAFETY: our caller's promise is the callee's.
    guard_or(0, || unsafe { segment_of(shm) }.map(Segment::size))
}

/// # Safety
/// `shm` is null or a segment that is not closed during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shm_fd(shm: *const msf_shm) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    guard_or(-1, || Ok(unsafe { segment_of(shm) }?.as_fd().as_raw_fd()))
}

/// # Safety
/// `shm` is null or a segment that is not closed twice, nor used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shm_close(shm: *mut msf_shm) {
    guard(|| {
        if !shm.is_null() {
            // SAFETY: it came from `boxed`, and is freed once, as our caller promises.
            drop(unsafe { Box::from_raw(shm.cast::<Segment>()) });
        }
        Ok(())
    });
}

/// # Safety
/// `config` is null or a configuration.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shmring_size(config: *const msf_shmring_config) -> usize {
    // SAFETY: our caller's promise is the callee's.
    guard_or(0, || unsafe { config_of(config) }?.size().map_err(plain))
}

/// # Safety
/// Both are null or what they are called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shmring_format(shm: *mut msf_shm, config: *const msf_shmring_config) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let segment = unsafe { segment_of(shm) }?;
        // SAFETY: our caller's promise is the callee's.
        shm::format(segment, &unsafe { config_of(config) }?).map_err(plain)
    })
}

/// # Safety
/// `shm` is null or a segment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shmring_producer(shm: *mut msf_shm, data_fd: c_int, space_fd: c_int) -> *mut msf_shmring {
    guard_ptr(|| {
        // SAFETY: our caller's promise is the callee's.
        let segment = unsafe { segment_of(shm) }?;
        boxed(Producer::attach(segment, bells_of(data_fd, space_fd)?).map(Ring::Producer))
    })
}

/// # Safety
/// `shm` is null or a segment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shmring_consumer(shm: *mut msf_shm, data_fd: c_int, space_fd: c_int) -> *mut msf_shmring {
    guard_ptr(|| {
        // SAFETY: our caller's promise is the callee's.
        let segment = unsafe { segment_of(shm) }?;
        boxed(Consumer::attach(segment, bells_of(data_fd, space_fd)?).map(Ring::Consumer))
    })
}

/// # Safety
/// `ring` is null or a ring that is not closed twice, nor used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shmring_close(ring: *mut msf_shmring) {
    guard(|| {
        if !ring.is_null() {
            // SAFETY: it came from `boxed`, and is freed once, as our caller promises.
            drop(unsafe { Box::from_raw(ring.cast::<Ring>()) });
        }
        Ok(())
    });
}

/// # Safety
/// `ring` is null or a ring nobody else uses; `data` is null or `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shmring_send(
    ring: *mut msf_shmring,
    data: *const c_void,
    len: u32,
    timeout: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let producer = unsafe { producer_of(ring) }?;
        if data.is_null() && len > 0 {
            return Err(Errno::EINVAL);
        }
        let data = if len == 0 { NonNull::dangling().as_ptr() } else { data.cast::<u8>().cast_mut() };
        // SAFETY: not null, and `len` bytes, as our caller promises; or none at all.
        let message = unsafe { std::slice::from_raw_parts(data, len as usize) };
        producer.send(message, wait_of(timeout)).map_err(Refusal::errno)
    })
}

/// # Safety
/// `ring` is null or a ring nobody else uses; `buf` is null or may be written, `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shmring_recv(ring: *mut msf_shmring, buf: *mut c_void, len: u32, timeout: c_int) -> c_int {
    guard_or(-1, || {
        // SAFETY: our caller's promise is the callee's.
        let message = unsafe { consumer_of(ring) }?.peek(wait_of(timeout)).map_err(Refusal::errno)?;
        let length = message.len();
        if length > len as usize || (buf.is_null() && len > 0) {
            return Err(if length > len as usize { Errno::EMSGSIZE } else { Errno::EINVAL });
        }
        // SAFETY: the message has `length` bytes, the buffer at least as many, and it is no memory of the ring.
        unsafe { ptr::copy_nonoverlapping(message.as_ptr(), buf.cast(), length) };
        message.release();
        Ok(length as c_int)
    })
}

/// # Safety
/// `ring` is null or a ring nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shmring_reserve(ring: *mut msf_shmring, len: u32, timeout: c_int) -> *mut c_void {
    guard_ptr(|| {
        // SAFETY: our caller's promise is the callee's.
        let found = unsafe { producer_of(ring) }?.reserve(len as usize, wait_of(timeout));
        found.map(|mut reservation| reservation.as_mut_ptr().cast()).map_err(Refusal::errno)
    })
}

/// # Safety
/// `ring` is null or a ring nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shmring_commit(ring: *mut msf_shmring, len: u32) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    guard(|| unsafe { producer_of(ring) }?.commit(len as usize).map_err(Refusal::errno))
}

/// # Safety
/// `ring` is null or a ring nobody else uses; `len_out` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shmring_peek(ring: *mut msf_shmring, timeout: c_int, len_out: *mut u32) -> *const c_void {
    guard_ptr(|| {
        // SAFETY: our caller's promise is the callee's.
        let message = unsafe { consumer_of(ring) }?.peek(wait_of(timeout)).map_err(Refusal::errno)?;
        // SAFETY: null is told by `as_mut`, the rest is our caller's promise.
        if let Some(length) = unsafe { len_out.as_mut() } {
            *length = message.len() as u32;
        }
        Ok(message.as_ptr().cast_mut().cast())
    })
}

/// # Safety
/// `ring` is null or a ring nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shmring_release(ring: *mut msf_shmring) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    guard(|| unsafe { consumer_of(ring) }?.release().map_err(Refusal::errno))
}

/// # Safety
/// `ring` is null or a ring nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shmring_block(ring: *mut msf_shmring, timeout: c_int) -> *mut c_void {
    guard_ptr(|| {
        // SAFETY: our caller's promise is the callee's.
        let producer = unsafe { producer_of(ring) }?;
        let block = producer.block(wait_of(timeout)).map_err(Refusal::errno)?;
        producer.block_start(&block).map(|start| start.as_ptr().cast()).ok_or(Errno::EINVAL)
    })
}

/// # Safety
/// `ring` is null or a ring nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shmring_send_block(
    ring: *mut msf_shmring,
    block: *mut c_void,
    len: u32,
    timeout: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let producer = unsafe { producer_of(ring) }?;
        let block = producer.block_at(block.cast()).ok_or(Errno::EINVAL)?;
        producer.send_block(block, len as usize, wait_of(timeout)).map_err(|(refusal, _)| refusal.errno())
    })
}

/// # Safety
/// `ring` is null or a ring nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shmring_take(ring: *mut msf_shmring) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's. C keeps the block by its address.
        let taken = unsafe { consumer_of(ring) }?.take().map_err(Refusal::errno)?;
        taken.map(drop).ok_or(Errno::ENOMSG)
    })
}

/// # Safety
/// `ring` is null or a ring nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shmring_free_block(ring: *mut msf_shmring, block: *mut c_void) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let freed = match unsafe { ring_of(ring) }? {
            Ring::Producer(side) => side.block_at(block.cast()).map(|block| side.put_back(block)),
            Ring::Consumer(side) => side.block_at(block.cast()).map(|block| side.free(block)),
        };
        freed.ok_or(Errno::EINVAL)?.map_err(Refusal::errno)
    })
}

/// # Safety
/// `ring` is null or a ring nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shmring_peer(ring: *mut msf_shmring) -> c_int {
    guard_or(-1, || {
        // SAFETY: our caller's promise is the callee's.
        let peer = match unsafe { ring_of(ring) }? {
            Ring::Producer(side) => side.peer(),
            Ring::Consumer(side) => side.peer(),
        };
        Ok(number(peer))
    })
}

/// # Safety
/// `ring` is null or a ring nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shmring_sequence(ring: *mut msf_shmring) -> u64 {
    guard_or(0, || {
        // SAFETY: our caller's promise is the callee's.
        Ok(match unsafe { ring_of(ring) }? {
            Ring::Producer(side) => side.sent(),
            Ring::Consumer(side) => side.next().unwrap_or(0),
        })
    })
}

/// # Safety
/// `ring` is null or a ring nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_shmring_fd(ring: *mut msf_shmring) -> c_int {
    guard_or(-1, || {
        // SAFETY: our caller's promise is the callee's.
        let fd = match unsafe { ring_of(ring) }? {
            Ring::Producer(side) => side.fd(),
            Ring::Consumer(side) => side.fd(),
        };
        fd.map(|fd| fd.as_raw_fd()).ok_or(Errno::EINVAL)
    })
}

fn number(peer: Peer) -> c_int {
    match peer {
        Peer::Never => MSF_SHMRING_NEVER,
        Peer::Here => MSF_SHMRING_HERE,
        Peer::Left => MSF_SHMRING_LEFT,
        Peer::Died => MSF_SHMRING_DIED,
    }
}
