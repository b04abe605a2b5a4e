//! `include/{client,conn,protocol,nmid_client,nmid_worker}.h` seen from Rust: libipc.so.
//!
//! Read as text by `build.rs` and `script/check_abi.py`, like `msf.rs` beside it; included by `#[path]` it
//! needs that file as its sibling module `msf`.
#![allow(non_camel_case_types, non_upper_case_globals, missing_docs, dead_code)]

use core::ffi::{CStr, c_char, c_int, c_void};
use core::marker::{PhantomData, PhantomPinned};

use libc::pthread_t;

use super::msf::{msf_atomic_t, msf_event, msf_event_base};

// protocol.h

pub const RPC_VERSION: u32 = 0x0100;
pub const RPC_VERINFO: &CStr = c"libipc-1.0";
pub const RPC_MAGIC: u32 = 0x1234_5678;

pub const RPC_REQ: u32 = 0x1;
pub const RPC_ACK: u32 = 0x2;
pub const RPC_CANCEL: u32 = 0x3;
pub const RPC_KALIVE: u32 = 0x4;

pub const RPC_DAEMON_ID: u32 = 0x10;
pub const RPC_DLNA_ID: u32 = 0x11;
pub const RPC_UPNP_ID: u32 = 0x12;
pub const RPC_HTTP_ID: u32 = 0x13;
pub const RPC_DDNS_ID: u32 = 0x14;
pub const RPC_SMTP_ID: u32 = 0x15;
pub const RPC_STUN_ID: u32 = 0x16;
pub const RPC_MOBILE_ID: u32 = 0x17;
pub const RPC_STORAGE_ID: u32 = 0x18;
pub const RPC_DATABASE_ID: u32 = 0x19;

pub const RPC_MSG_SRV_ID: u32 = 0xffff_fff1;
pub const RPC_LOGIN_SRV_ID: u32 = 0xffff_fff2;
pub const RPC_IMAGE_SRV_ID: u32 = 0xffff_fff3;
pub const RPC_FUNCTION_SRV_ID: u32 = 0xffff_fff4;
pub const RPC_EVENT_SRV_ID: u32 = 0xffff_fff5;

pub const RPC_KEEP_ALIVE_SECS: u32 = 60;
pub const RPC_KEEP_ALIVE_TIMEOUT_SECS: u32 = 421;

pub const RPC_EXEC_SUCC: c_int = 0;
pub const RPC_LOGIN_FAIL: c_int = 1;
pub const RPC_PEER_OFFLINE: c_int = 2;
pub const RPC_PEER_BUSY: c_int = 3;
pub const RPC_EXEC_FAIL: c_int = 4;
pub const RPC_DEADLINE: c_int = 5;

pub const RPC_LOGIN: u32 = 0x01;
pub const RPC_LOGOUT: u32 = 0x02;
pub const RPC_TRANSMIT: u32 = 0x03;
pub const RPC_DEBUG_ON: u32 = 0x04;
pub const RPC_DEBUG_OFF: u32 = 0x05;
pub const RPC_CALL_FUNCTION: u32 = 0x06;
pub const RPC_SUBSCRIBE: u32 = 0x07;
pub const RPC_UNSUBSCRIBE: u32 = 0x08;
pub const RPC_PUBLISH: u32 = 0x09;
pub const RPC_EVENT: u32 = 0x0a;
pub const RPC_CALL_RAW: u32 = 0x1;
pub const MOBILE_SET_PARAM: u32 = 0x10;
pub const MOBILE_GET_PARAM: u32 = 0x11;
pub const SMTP_SET_PARAM: u32 = 0x21;
pub const SMTP_GET_PARAM: u32 = 0x22;
pub const DDNS_SET_PARAM: u32 = 0x23;
pub const DDNS_GET_PARAM: u32 = 0x24;
pub const UPNP_SET_PARAM: u32 = 0x25;
pub const UPNP_GET_PARAM: u32 = 0x26;
pub const DLNA_SET_PARAM: u32 = 0x27;
pub const DLNA_GET_PARAM: u32 = 0x28;
pub const STUN_SET_PARAM: u32 = 0x29;
pub const STUN_GET_PARAM: u32 = 0x2a;

pub const packet_binary: c_int = 0;
pub const packet_json: c_int = 1;

#[repr(C, packed)]
#[derive(Clone, Copy, Debug)]
pub struct basic_head {
    pub version: u32,
    pub magic: u32,
    pub srcid: u32,
    pub dstid: u32,
    pub opcode: u32,
    pub cmd: u32,
    pub seq: u32,
    pub errcode: u32,
    pub datalen: u32,
    pub restlen: u32,
    pub checksum: u32,
    pub timeout: u32,
    pub reserved: [c_char; 8],
}

#[repr(C, packed)]
#[derive(Clone, Copy, Debug)]
pub struct login_pdu {
    pub name: [c_char; 32],
    pub hash: [c_char; 32],
    pub chap: u32,
}

/// Packed: read it with `ptr::read_unaligned`, its fields by value.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug)]
pub struct basic_pdu {
    pub dstid: u32,
    pub cmd: u32,
    pub timeout: u32,
    pub payload: *mut c_char,
    pub paylen: u32,
    pub restload: *mut c_char,
    pub restlen: u32,
}

// conn.h

pub const MAX_CONN_NAME: usize = 32;
pub const MAX_CONN_IOV_SLOT: c_int = 8;
pub const MAX_CONN_CMD_NUM: c_int = 64;

pub type srvcb = Option<unsafe extern "C" fn(data: *mut c_char, len: u32, cmd: u32) -> c_int>;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct conn {
    pub fd: c_int,
    pub cid: u32,
    pub state: u32,
    pub name: [c_char; MAX_CONN_NAME],
}

// client.h

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct client_param {
    pub cid: u32,
    pub name: *const c_char,
    pub host: *const c_char,
    pub port: *const c_char,
    pub req_scb: srvcb,
    pub ack_scb: srvcb,
}

pub const CLIENT_UNINIT: u32 = 0;
pub const CLIENT_INITED: u32 = 1;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct client {
    pub stop_flag: msf_atomic_t,
    pub state: msf_atomic_t,
    pub evt_conn: conn,
    pub cli_conn: conn,
    pub rx_tid: pthread_t,
    pub tx_tid: pthread_t,
    pub rx_evt_base: *mut msf_event_base,
    pub tx_evt_base: *mut msf_event_base,
    pub rx_evt: *mut msf_event,
    pub tx_evt: *mut msf_event,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct client_event {
    pub size: u32,
    pub from: u32,
    pub lost: u32,
    pub len: u32,
    pub name: *const c_char,
    pub data: *const c_char,
}

pub const CLIENT_EVENTS_UNKNOWN: u32 = 0xffff_ffff;

pub type client_event_cb = Option<unsafe extern "C" fn(event: *const client_event, arg: *mut c_void)>;

// nmid_client.h

pub const NMID_PORT: u32 = 6808;
pub const NMID_MSGPACK: u32 = 5;
pub const NMID_JSON: u32 = 6;

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct nmid_client {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct nmid_params {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nmid_ret {
    pub size: u32,
    pub is_struct: u32,
    pub code: i64,
    pub msg: *const c_char,
    pub data: *const c_void,
    pub raw: *const c_void,
    pub data_len: u32,
    pub raw_len: u32,
}

pub type nmid_answer_cb = Option<unsafe extern "C" fn(error: c_int, ret: *const nmid_ret, arg: *mut c_void)>;

// nmid_worker.h

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct nmid_worker {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct nmid_job {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

pub type nmid_function = Option<unsafe extern "C" fn(job: *mut nmid_job, arg: *mut c_void) -> c_int>;

unsafe extern "C" {
    // client.h
    pub static mut rpc: *mut client;
    pub fn client_agent_init(param: *mut client_param) -> c_int;
    pub fn client_agent_deinit() -> c_int;
    pub fn client_agent_service(pdu: *mut basic_pdu) -> c_int;
    pub fn client_agent_wait(ms: u32) -> c_int;
    pub fn client_agent_hand_over(channel: c_int, ms: u32) -> c_int;
    pub fn client_agent_take_over(param: *mut client_param, channel: c_int, ms: u32) -> c_int;
    pub fn client_agent_subscribe(name: *const c_char, callback: client_event_cb, arg: *mut c_void) -> c_int;
    pub fn client_agent_unsubscribe(name: *const c_char, callback: client_event_cb, arg: *mut c_void) -> c_int;
    pub fn client_agent_publish(name: *const c_char, data: *const c_void, len: u32) -> c_int;

    // nmid_client.h
    pub fn nmid_client_new(host: *const c_char, port: u16) -> *mut nmid_client;
    pub fn nmid_client_timeout(client: *mut nmid_client, ms: u32) -> c_int;
    pub fn nmid_client_call(
        client: *mut nmid_client,
        function: *const c_char,
        params_type: u32,
        params: *const c_void,
        len: u32,
        ret_out: *mut *mut nmid_ret,
    ) -> c_int;
    pub fn nmid_ret_free(ret: *mut nmid_ret);
    pub fn nmid_client_do(
        client: *mut nmid_client,
        function: *const c_char,
        params_type: u32,
        params: *const c_void,
        len: u32,
        done: nmid_answer_cb,
        arg: *mut c_void,
    ) -> c_int;
    pub fn nmid_client_fd(client: *mut nmid_client) -> c_int;
    pub fn nmid_client_process(client: *mut nmid_client) -> c_int;
    pub fn nmid_client_free(client: *mut nmid_client);
    pub fn nmid_params_new() -> *mut nmid_params;
    pub fn nmid_params_add_string(params: *mut nmid_params, key: *const c_char, value: *const c_char) -> c_int;
    pub fn nmid_params_add_int(params: *mut nmid_params, key: *const c_char, value: i64) -> c_int;
    pub fn nmid_params_add_bytes(params: *mut nmid_params, key: *const c_char, data: *const c_void, len: u32) -> c_int;
    pub fn nmid_params_data(params: *mut nmid_params, len_out: *mut u32) -> *const c_void;
    pub fn nmid_params_free(params: *mut nmid_params);

    // nmid_worker.h
    pub fn nmid_worker_new(name: *const c_char) -> *mut nmid_worker;
    pub fn nmid_worker_add_server(worker: *mut nmid_worker, host: *const c_char, port: u16) -> c_int;
    pub fn nmid_worker_add_function(
        worker: *mut nmid_worker,
        name: *const c_char,
        run: nmid_function,
        arg: *mut c_void,
    ) -> c_int;
    pub fn nmid_worker_concurrency(worker: *mut nmid_worker, threads: u32) -> c_int;
    pub fn nmid_worker_start(worker: *mut nmid_worker) -> c_int;
    pub fn nmid_worker_run(worker: *mut nmid_worker) -> c_int;
    pub fn nmid_worker_fd(worker: *mut nmid_worker) -> c_int;
    pub fn nmid_worker_process(worker: *mut nmid_worker) -> c_int;
    pub fn nmid_worker_ready(worker: *mut nmid_worker, ms: u32) -> c_int;
    pub fn nmid_worker_close(worker: *mut nmid_worker, ms: u32) -> c_int;
    pub fn nmid_worker_free(worker: *mut nmid_worker);
    pub fn nmid_job_function(job: *mut nmid_job) -> *const c_char;
    pub fn nmid_job_params(job: *mut nmid_job, len_out: *mut u32) -> *const c_void;
    pub fn nmid_job_params_type(job: *mut nmid_job) -> c_int;
    pub fn nmid_job_string(job: *mut nmid_job, key: *const c_char) -> *const c_char;
    pub fn nmid_job_reply(job: *mut nmid_job, code: i64, msg: *const c_char, data: *const c_void, len: u32) -> c_int;
}
