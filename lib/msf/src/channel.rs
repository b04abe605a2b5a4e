//! msf_channel.h: a message with descriptors. C sees the members of 2019; what they point at, and who owns which
//! descriptor, is kept behind them.

use crate::guard::{guard, guard_or, guard_ptr};
use crate::header::{msf_channel, msf_channel_hdr};
use crate::network::fd_of;
use msf_core::log::Level;
use msf_core::net::{Head, Inbound, MOST_DATA, MOST_FDS, Message, Outbound};
use nix::errno::Errno;
use std::ffi::{c_int, c_void};
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::ptr;

as_declared! {
    msf_new_channel msf_add_channel msf_channel_put msf_write_channel msf_read_channel msf_channel_data
    msf_channel_take msf_channel_reset msf_free_channel
}

/// What `struct msf_channel *` points at: the struct itself first. C writes into the first two lists through it, so they
/// never grow.
#[repr(C)]
struct Channel {
    seen: msf_channel,
    labels: Vec<u32>,
    fds: Vec<c_int>,
    /// Which of them were read, and are ours to close.
    is_ours: Vec<bool>,
    data: Vec<u8>,
    /// A descriptor was added for which there was no room.
    is_overfull: bool,
    inbound: Inbound,
    outbound: Outbound,
}

impl Channel {
    fn new(room: usize) -> Channel {
        let hdr = msf_channel_hdr { cmd: 0, pid: 0, slot: 0, data_len: 0, fd_num: 0 };
        let flags = libc::MSG_NOSIGNAL as u32;
        let (fd_idx, fd_arr) = (ptr::null_mut(), ptr::null_mut());
        Channel {
            seen: msf_channel { hdr, snd_flag: flags, rcv_flag: flags, cur_pos: 0, fd_idx, fd_arr },
            labels: vec![0; room],
            fds: vec![-1; room],
            is_ours: vec![false; room],
            data: Vec::new(),
            is_overfull: false,
            inbound: Inbound::default(),
            outbound: Outbound::default(),
        }
    }

    /// How many descriptors there are, whatever C has written there.
    fn count(&self) -> usize {
        (self.seen.cur_pos as usize).min(self.fds.len())
    }

    fn add(&mut self, fd: c_int) {
        let at = self.count();
        if at == self.fds.len() {
            self.is_overfull = true;
            return;
        }
        (self.fds[at], self.labels[at], self.is_ours[at]) = (fd, at as u32, false);
        self.seen.cur_pos = at as u32 + 1;
        self.seen.hdr.fd_num = self.seen.cur_pos;
    }

    /// Takes what was read out of the channel; nothing when it is the caller's, or gone.
    fn take(&mut self, at: usize) -> Option<OwnedFd> {
        if at >= self.count() || !std::mem::take(self.is_ours.get_mut(at)?) {
            return None;
        }
        let fd = std::mem::replace(self.fds.get_mut(at)?, -1);
        // SAFETY: msf_read_channel put it there, it is marked as ours and as taken only once; -1 means that C took it.
        (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
    }

    fn reset(&mut self) {
        (0..self.fds.len()).for_each(|at| drop(self.take(at)));
        self.seen.hdr = msf_channel_hdr { cmd: 0, pid: 0, slot: 0, data_len: 0, fd_num: 0 };
        self.seen.cur_pos = 0;
        self.data.clear();
        self.is_overfull = false;
    }

    fn put(&mut self, data: &[u8]) -> Result<(), Errno> {
        if data.len() > MOST_DATA {
            return Err(Errno::EMSGSIZE);
        }
        self.data.clear();
        self.data.extend(data);
        self.seen.hdr.data_len = data.len() as u32;
        Ok(())
    }

    fn write(&mut self, socket: c_int) -> Result<(), Errno> {
        let (socket, flags) = (fd_of(socket)?, self.seen.snd_flag as c_int);
        if !self.outbound.is_idle() {
            return self.outbound.flush(socket, flags);
        }
        if self.is_overfull {
            return Err(Errno::EMSGSIZE);
        }
        let named = self.fds.iter().zip(&self.labels).take(self.count());
        let fds: Vec<_> = named.map(|(fd, label)| Ok((fd_of(*fd)?, *label))).collect::<Result<_, Errno>>()?;
        let hdr = &self.seen.hdr;
        let head = Head { command: hdr.cmd, pid: hdr.pid, slot: hdr.slot };
        self.outbound.send(socket, head, &fds, &self.data, flags)
    }

    fn read(&mut self, socket: c_int) -> Result<c_int, Errno> {
        let (socket, flags) = (fd_of(socket)?, self.seen.rcv_flag as c_int);
        let Some(message) = self.inbound.read(socket, self.fds.len(), flags)? else { return Ok(0) };
        self.reset();
        let length = size_of::<msf_channel_hdr>() + message.labels.len() * size_of::<u32>() + message.data.len();
        self.hold(message);
        Ok(length as c_int)
    }

    fn hold(&mut self, message: Message) {
        for (fd, label) in message.fds.into_iter().zip(message.labels) {
            let at = self.count();
            self.add(fd.into_raw_fd());
            (self.labels[at], self.is_ours[at]) = (label, true);
        }
        self.data = message.data;
        let hdr = &mut self.seen.hdr;
        (hdr.cmd, hdr.pid, hdr.slot) = (message.command, message.pid, message.slot);
        hdr.data_len = self.data.len() as u32;
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.reset();
    }
}

/// # Safety
/// `ch` is null or came from `msf_new_channel`, is not freed, and nobody else is inside it.
unsafe fn channel_of<'a>(ch: *mut msf_channel) -> Result<&'a mut Channel, Errno> {
    // SAFETY: null is checked by `as_mut`; else it is the first member of the box we made, as our caller promises.
    unsafe { ch.cast::<Channel>().as_mut() }.ok_or(Errno::EINVAL)
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_new_channel(fd_num: u32) -> *mut msf_channel {
    guard_ptr(|| {
        if fd_num as usize > MOST_FDS {
            return Err(Errno::EINVAL);
        }
        let mut channel = Box::new(Channel::new(fd_num as usize));
        (channel.seen.fd_idx, channel.seen.fd_arr) = (channel.labels.as_mut_ptr(), channel.fds.as_mut_ptr());
        Ok(Box::into_raw(channel).cast())
    })
}

/// # Safety
/// As [`channel_of`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_add_channel(ch: *mut msf_channel, fd: c_int) {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let channel = unsafe { channel_of(ch) }?;
        channel.add(fd);
        if channel.is_overfull {
            msf_core::log!(Level::Error, "CHANNEL", "there is no room for the descriptor {fd}");
        }
        Ok(())
    });
}

/// # Safety
/// As [`channel_of`]; `data` is null or `len` bytes long.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_channel_put(ch: *mut msf_channel, data: *const c_void, len: u32) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let channel = unsafe { channel_of(ch) }?;
        match (data.is_null(), len) {
            (true, 0) => channel.put(&[]),
            (true, _) => Err(Errno::EINVAL),
            // SAFETY: not null, and `len` bytes long, as our caller promises.
            (false, _) => channel.put(unsafe { std::slice::from_raw_parts(data.cast(), len as usize) }),
        }
    })
}

/// # Safety
/// As [`channel_of`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_write_channel(fd: c_int, ch: *mut msf_channel) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    guard_or(-1, || later(unsafe { channel_of(ch) }?.write(fd).map(|()| 0)))
}

/// # Safety
/// As [`channel_of`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_read_channel(fd: c_int, ch: *mut msf_channel) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    guard_or(-1, || later(unsafe { channel_of(ch) }?.read(fd)))
}

/// "Not now" is 2019's EAGAIN, a number above zero.
fn later(outcome: Result<c_int, Errno>) -> Result<c_int, Errno> {
    match outcome {
        Err(Errno::EAGAIN) => Ok(libc::EAGAIN),
        outcome => outcome,
    }
}

/// # Safety
/// As [`channel_of`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_channel_data(ch: *const msf_channel) -> *const c_void {
    // SAFETY: our caller's promise is the callee's.
    guard_or(ptr::null(), || Ok(unsafe { channel_of(ch.cast_mut()) }?.data.as_ptr().cast()))
}

/// # Safety
/// As [`channel_of`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_channel_take(ch: *mut msf_channel, index: u32) -> c_int {
    guard_or(-1, || {
        // SAFETY: our caller's promise is the callee's.
        let taken = unsafe { channel_of(ch) }?.take(index as usize);
        taken.map(IntoRawFd::into_raw_fd).ok_or(Errno::ENOENT)
    })
}

/// # Safety
/// As [`channel_of`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_channel_reset(ch: *mut msf_channel) {
    // SAFETY: our caller's promise is the callee's.
    guard(|| unsafe { channel_of(ch) }.map(Channel::reset));
}

/// # Safety
/// `ch` is null or came from `msf_new_channel`, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_free_channel(ch: *mut msf_channel) {
    guard(|| {
        if !ch.is_null() {
            // SAFETY: it came from `msf_new_channel`'s box, and is freed once, as our caller promises.
            drop(unsafe { Box::from_raw(ch.cast::<Channel>()) });
        }
        Ok(())
    });
}

const _: () = assert!(MOST_FDS == crate::header::MSF_CHANNEL_MAX_FDS as usize);
const _: () = assert!(MOST_DATA == crate::header::MSF_CHANNEL_MAX_DATA as usize);
