//! What C gets of a call: `struct nmid_ret` with everything it points at in one allocation's keeping.

use crate::errno::Errno;
use msf_client::nmid::CallError;
use msf_client::nmid::wire::RetStruct;
use msf_sys::ffi::ipc::nmid_ret;
use std::io;
use std::mem;
use std::ptr;

/// See the module. C sees its first field.
#[repr(C)]
pub(super) struct Answer {
    face: nmid_ret,
    /// Terminated, and of no fixed length otherwise: what the face points at.
    msg: Vec<u8>,
    data: Vec<u8>,
    raw: Vec<u8>,
}

impl Answer {
    pub(super) fn new(raw: Vec<u8>) -> Box<Answer> {
        let read = RetStruct::parse(&raw);
        let ret = read.unwrap_or(RetStruct { code: -1, msg: b"", data: b"" });
        let (msg, data) = (terminated(ret.msg), terminated(ret.data));
        let face = nmid_ret {
            size: mem::size_of::<nmid_ret>() as u32,
            is_struct: read.is_some().into(),
            code: ret.code,
            msg: msg.as_ptr().cast(),
            data: data.as_ptr().cast(),
            raw: raw.as_ptr().cast(),
            data_len: ret.data.len() as u32,
            raw_len: raw.len() as u32,
        };
        // Moving a Vec does not move what it holds, so the face stays right.
        Box::new(Answer { face, msg, data, raw })
    }

    /// As C sees it, for as long as it lives.
    pub(super) fn face(&self) -> *const nmid_ret {
        ptr::from_ref(&self.face)
    }

    /// Gives it to C, who frees it by [`take_back`](Self::take_back).
    pub(super) fn lend(self: Box<Answer>) -> *mut nmid_ret {
        Box::into_raw(self).cast()
    }

    /// # Safety
    /// `face` is null or came from [`lend`](Self::lend) and was not taken back before.
    pub(super) unsafe fn take_back(face: *mut nmid_ret) {
        if !face.is_null() {
            // SAFETY: it is the first field of an Answer that came out of a Box, by the caller's word.
            let Answer { msg, data, raw, .. } = *unsafe { Box::from_raw(face.cast::<Answer>()) };
            drop((msg, data, raw));
        }
    }
}

/// The number for a call without a result.
pub(super) fn errno(error: &CallError) -> Errno {
    match error {
        CallError::Error => Errno(libc::EIO),
        CallError::NoWorker => Errno(libc::ENOENT),
        CallError::RateLimited => Errno::AGAIN,
        CallError::Timeout => Errno::TIMEDOUT,
        CallError::Lost(source) if source.kind() == io::ErrorKind::InvalidData => Errno::PROTO,
        CallError::Lost(source) if source.kind() == io::ErrorKind::OutOfMemory => Errno::NOMEM,
        CallError::Lost(_) => Errno::CONNRESET,
        CallError::TooLarge(_) => Errno::MSGSIZE,
        CallError::NoBroker { .. } => Errno::NOTCONN,
        CallError::Cancelled => Errno::CANCELED,
    }
}

fn terminated(text: &[u8]) -> Vec<u8> {
    [text, b"\0"].concat()
}
