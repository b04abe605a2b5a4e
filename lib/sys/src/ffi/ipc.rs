//! `include/{client,conn,protocol}.h` seen from Rust: libipc.so.
//!
//! Read as text by `build.rs` and `script/check_abi.py`, like `msf.rs` beside it; included by `#[path]` it
//! needs that file as its sibling module `msf`.
#![allow(non_camel_case_types, non_upper_case_globals, missing_docs, dead_code)]

use core::ffi::{CStr, c_char, c_int};

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

unsafe extern "C" {
    // client.h
    pub static mut rpc: *mut client;
    pub fn client_agent_init(param: *mut client_param) -> c_int;
    pub fn client_agent_deinit() -> c_int;
    pub fn client_agent_service(pdu: *mut basic_pdu) -> c_int;
    pub fn client_agent_wait(ms: u32) -> c_int;
}
