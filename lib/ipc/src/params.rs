//! What C hands in, copied out of its structs and checked.

use crate::environment::variable;
use crate::errno::Errno;
use msf_client::{Call, Place};
use msf_sys::ffi::ipc::{MAX_CONN_NAME, RPC_EVENT_SRV_ID, RPC_MSG_SRV_ID, basic_pdu, client_param};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A callback of the program.
pub(crate) type Callback = unsafe extern "C" fn(data: *mut c_char, len: u32, cmd: u32) -> c_int;

/// Who we are and where the agent is, for the life of one client.
pub(crate) struct Settings {
    pub(crate) id: u32,
    pub(crate) name: String,
    /// The name as it was given: C may use any bytes.
    pub(crate) raw_name: Vec<u8>,
    pub(crate) place: Place,
    pub(crate) on_request: Callback,
    pub(crate) on_answer: Callback,
    pub(crate) patience: Duration,
}

/// One call; the payload is lent for as long as the doorway's caller waits.
pub(crate) struct Request<'a> {
    pub(crate) call: Call,
    pub(crate) payload: &'a [u8],
    /// Where the answer goes: null, or room for `call.restlen` bytes.
    pub(crate) answer: *mut u8,
}

/// # Safety
/// `param` is null or points to a `struct client_param` whose strings are null or terminated.
pub(crate) unsafe fn settings(param: *const client_param) -> Result<Settings, Errno> {
    if param.is_null() {
        return Err(Errno::INVAL);
    }
    // SAFETY: not null; the caller vouches for the rest.
    let param = unsafe { ptr::read(param) };
    // SAFETY: the caller vouches for the strings.
    let name = unsafe { text(param.name) }?;
    // SAFETY: the same.
    let host = unsafe { text(param.host) }?;
    // SAFETY: the same.
    let port = unsafe { text(param.port) }?;
    let (Some(on_request), Some(on_answer)) = (param.req_scb, param.ack_scb) else { return Err(Errno::INVAL) };
    let agents_own = (RPC_MSG_SRV_ID..=RPC_EVENT_SRV_ID).contains(&param.cid);
    if agents_own || name.is_empty() || name.len() >= MAX_CONN_NAME {
        return Err(Errno::INVAL);
    }
    let place = Place::of(&String::from_utf8_lossy(host), &String::from_utf8_lossy(port), variable);
    let place = place.ok_or(Errno::INVAL)?;
    Ok(Settings {
        id: param.cid,
        name: String::from_utf8_lossy(name).into_owned(),
        raw_name: name.to_owned(),
        place,
        on_request,
        on_answer,
        patience: patience(),
    })
}

/// # Safety
/// `pdu` is null or points to a `struct basic_pdu` whose pointers are null or good for their lengths during `'a`.
pub(crate) unsafe fn request<'a>(pdu: *const basic_pdu) -> Result<Request<'a>, Errno> {
    if pdu.is_null() {
        return Err(Errno::INVAL);
    }
    // SAFETY: not null, and read without assuming an alignment: the struct is packed.
    let pdu = unsafe { ptr::read_unaligned(pdu) };
    // SAFETY: the caller vouches for the length, and that nobody writes to it meanwhile.
    let payload = unsafe { bytes(pdu.payload.cast(), pdu.paylen) }?;
    let call = Call { dstid: pdu.dstid, cmd: pdu.cmd, datalen: pdu.paylen, restlen: pdu.restlen, timeout: pdu.timeout };
    Ok(Request { call, payload, answer: pdu.restload.cast() })
}

/// # Safety
/// `data` is null or good for `len` bytes, which stay as they are for `'a`.
pub(crate) unsafe fn bytes<'a>(data: *const c_void, len: u32) -> Result<&'a [u8], Errno> {
    match (data.is_null(), len as usize) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Errno::INVAL),
        // SAFETY: not null; the caller vouches for the length.
        (false, len) => Ok(unsafe { slice::from_raw_parts(data.cast(), len) }),
    }
}

/// For the next init.
pub(crate) fn set_patience(ms: u32) {
    PATIENCE.store(ms.into(), Ordering::Relaxed);
}

/// What the program said, else the environment, else five seconds.
fn patience() -> Duration {
    let from_environment = || variable("MSF_AGENT_WAIT_MS")?.to_str()?.trim().parse::<u32>().ok();
    let ms = match PATIENCE.load(Ordering::Relaxed) {
        UNSET => from_environment().map_or(5000, u64::from),
        said => said,
    };
    Duration::from_millis(ms)
}

/// # Safety
/// `text` is null or terminated, and stays as it is for `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char) -> Result<&'a [u8], Errno> {
    if text.is_null() {
        return Err(Errno::INVAL);
    }
    // SAFETY: not null; the caller vouches for the NUL and the lifetime.
    Ok(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// A text that must say something.
///
/// # Safety
/// As for [`text`].
pub(crate) unsafe fn name<'a>(name: *const c_char) -> Result<&'a [u8], Errno> {
    // SAFETY: the contract is our caller's.
    let name = unsafe { text(name) }?;
    if name.is_empty() { Err(Errno::INVAL) } else { Ok(name) }
}

static PATIENCE: AtomicU64 = AtomicU64::new(UNSET);
/// No u32 of the program's is as large.
const UNSET: u64 = u64::MAX;
