//! `include/msf_network.h`.

use core::ffi::{CStr, c_int};

pub const LOCAL_HOST_V4: &CStr = c"127.0.0.1";
pub const LOCAL_HOST_V6: &CStr = c"[::1]";
pub const LOCAL_PORT: &CStr = c"9999";
pub const max_epoll_event: c_int = 256;
pub const MAX_IPADDR_LEN: c_int = 64;
pub const DOMAIN_ADDR_LEN: c_int = 64;
pub const INVALID_SOCKET: c_int = -1;
pub const PREFIX_UNIX_PATH: &CStr = c"/var/";
pub const MSF_RPC_UNIX_SERVER: &CStr = c"/var/msf_agent.sock";
pub const MSF_RPC_UNIX_FORMAT: &CStr = c"/var/msf_%s.sock";
pub const MSF_RPC_UNIX_DLNA: &CStr = c"/var/msf_dlna.sock";
pub const MSF_RPC_UNIX_UPNP: &CStr = c"/var/msf_upnp.sock";
