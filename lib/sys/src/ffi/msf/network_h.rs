//! `include/msf_network.h`.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::marker::{PhantomData, PhantomPinned};
use libc::{gid_t, iovec, msghdr, pid_t, sockaddr, sockaddr_storage, socklen_t, uid_t};

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
pub const MSF_LINK_ADDED: c_int = 1;
pub const MSF_LINK_UP: c_int = 2;
pub const MSF_LINK_DOWN: c_int = 3;
pub const MSF_LINK_CHANGED: c_int = 4;
pub const MSF_LINK_REMOVED: c_int = 5;
pub const MSF_LINK_ADDRESS_ADDED: c_int = 6;
pub const MSF_LINK_ADDRESS_REMOVED: c_int = 7;
pub const MSF_LINK_LOST: c_int = 8;

#[derive(Clone, Copy)]
#[repr(C)]
pub struct msf_interface {
    pub index: u32,
    pub flags: u32,
    pub is_up: u32,
    pub name: [c_char; 16],
    pub mac: [u8; 8],
    pub reserved: [u32; 4],
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct msf_interface_address {
    pub index: u32,
    pub family: c_int,
    pub prefix: u32,
    pub name: [c_char; 16],
    pub address: [c_char; 64],
    pub reserved: [u32; 4],
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct msf_netlink_event {
    pub size: u32,
    pub kind: u32,
    pub index: u32,
    pub flags: u32,
    pub name: [c_char; 16],
    pub prefix: u32,
    pub family: c_int,
    pub address: [c_char; 64],
}

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct msf_netlink {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

unsafe extern "C" {
    pub fn msf_socket_nonblocking(fd: c_int) -> c_int;
    pub fn msf_socket_blocking(fd: c_int) -> c_int;
    pub fn msf_socket_closeonexec(fd: c_int) -> c_int;
    pub fn msf_socket_reuseaddr(fd: c_int) -> c_int;
    pub fn msf_socket_reuseport(fd: c_int) -> c_int;
    pub fn msf_socket_linger(fd: c_int) -> c_int;
    pub fn msf_socket_timeout(fd: c_int, ms: u32) -> c_int;
    pub fn msf_socket_alive(fd: c_int) -> c_int;
    pub fn msf_socket_keepalive(fd: c_int, idle: u32, interval: u32, count: u32) -> c_int;
    pub fn msf_socket_tcp_nodelay(fd: c_int) -> c_int;
    pub fn msf_socket_tcp_fastopen(fd: c_int) -> c_int;
    pub fn msf_socket_tcp_defer_accept(fd: c_int) -> c_int;
    pub fn msf_socket_cork_flag(fd: c_int, state: u32) -> c_int;
    pub fn msf_socket_buffers(fd: c_int, send: u32, receive: u32) -> c_int;
    pub fn msf_socket_maximize_sndbuf(fd: c_int);
    pub fn msf_socket_v6only(fd: c_int, state: u32) -> c_int;
    pub fn msf_socket_device(fd: c_int, interf: *const c_char) -> c_int;
    pub fn msf_set_dscp(fd: c_int, family: u32, dscp: u8) -> c_int;
    pub fn msf_multicast_join(fd: c_int, group: *const c_char, interf: *const c_char) -> c_int;
    pub fn msf_multicast_leave(fd: c_int, group: *const c_char, interf: *const c_char) -> c_int;
    pub fn msf_multicast_send(fd: c_int, interf: *const c_char, hops: u32, loopback: u32) -> c_int;
    pub fn msf_socket_create(domain: u32, kind: u32, protocol: u32) -> c_int;
    pub fn msf_socket_bind(fd: c_int, addr: *const sockaddr, addrlen: socklen_t, backlog: u32) -> c_int;
    pub fn msf_socket_listen(fd: c_int, backlog: c_int) -> c_int;
    pub fn msf_socket_accept(fd: c_int, addr: *mut sockaddr, addrlen: *mut socklen_t) -> c_int;
    pub fn msf_server_socket(interf: *const c_char, protocol: c_int, port: c_int, backlog: c_int) -> c_int;
    pub fn msf_server_unix_socket(backlog: c_int, path: *const c_char, access_mask: c_int) -> c_int;
    pub fn msf_connect_unix_socket(cname: *const c_char, sname: *const c_char) -> c_int;
    pub fn msf_connect_host(host: *const c_char, port: *const c_char) -> c_int;
    pub fn msf_connect_host_within(host: *const c_char, port: *const c_char, timeout_ms: c_int) -> c_int;
    pub fn msf_socket_peer(fd: c_int, pid_out: *mut pid_t, uid_out: *mut uid_t, gid_out: *mut gid_t) -> c_int;
    pub fn msf_socket_debug(fd: c_int);
    pub fn msf_sendto(fd: c_int, buf: *const c_void, len: u32, addr: *const sockaddr, addrlen: socklen_t) -> c_int;
    pub fn msf_recvfrom(fd: c_int, buf: *mut c_void, len: u32, addr: *mut sockaddr, addrlen: *mut socklen_t) -> c_int;
    pub fn msf_sendmsg_v1(fd: c_int, iov: *mut iovec, count: u32, flag: c_int) -> c_int;
    pub fn msf_recvmsg_v1(fd: c_int, iov: *mut iovec, count: u32, flag: c_int) -> c_int;
    pub fn msf_sendmsg_v2(fd: c_int, msg: *mut msghdr, flag: c_int) -> c_int;
    pub fn msf_recvmsg_v2(fd: c_int, msg: *mut msghdr, flag: c_int) -> c_int;
    pub fn msf_drain_fd(fd: c_int, n: u32);
    pub fn msf_eventfd(initval: u32, flags: c_int) -> c_int;
    pub fn msf_eventfd_notify(efd: c_int) -> c_int;
    pub fn msf_eventfd_clear(efd: c_int) -> c_int;
    pub fn msf_epoll_create() -> c_int;
    pub fn msf_add_event(epfd: c_int, fd: c_int, events: u32, p: *mut c_void) -> c_int;
    pub fn msf_mod_event(epfd: c_int, fd: c_int, events: u32) -> c_int;
    pub fn msf_mod_event_ptr(epfd: c_int, fd: c_int, events: u32, p: *mut c_void) -> c_int;
    pub fn msf_del_event(epfd: c_int, fd: c_int) -> c_int;
    pub fn msf_isipaddr(ip: *const c_char, af_type: u32) -> c_int;
    pub fn msf_sockaddr_cmp(sa1: *const sockaddr, sa2: *const sockaddr) -> c_int;
    pub fn msf_sockaddr_port(addr: *const sockaddr_storage) -> u16;
    pub fn msf_get_sockaddr_by_host(host: *const c_char, addr: *mut sockaddr) -> c_int;
    pub fn msf_get_ipaddr_by_host(host: *const c_char, ip: *mut c_char, len: c_int) -> c_int;
    pub fn msf_host_addresses(
        host: *const c_char,
        service: *const c_char,
        list_out: *mut sockaddr_storage,
        count: u32,
    ) -> c_int;
    pub fn msf_get_hostname(host: *mut c_char, len: c_int) -> c_int;
    pub fn msf_get_dns(primary_dns: *mut c_char, second_dns: *mut c_char) -> c_int;
    pub fn get_ipaddr_by_intf(interf: *const c_char, ip: *mut c_char, len: c_int) -> c_int;
    pub fn msf_interface_list(list_out: *mut msf_interface, count: u32) -> c_int;
    pub fn msf_interface_addresses(interf: *const c_char, list_out: *mut msf_interface_address, count: u32) -> c_int;
    pub fn msf_netlink_open() -> *mut msf_netlink;
    pub fn msf_netlink_fd(links: *const msf_netlink) -> c_int;
    pub fn msf_netlink_next(links: *mut msf_netlink, event_out: *mut msf_netlink_event) -> c_int;
    pub fn msf_netlink_close(links: *mut msf_netlink);
    pub fn msf_ping(host: *const c_char) -> c_int;
    pub fn msf_ping_host(host: *const c_char, timeout_ms: u32, us_out: *mut u32) -> c_int;
}
