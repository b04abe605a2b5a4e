/*
 * msf_network.h - sockets: made, set, named, listened on, connected; epoll; interfaces and how they change; ping.
 *
 * Any function may be called from any thread; two threads that use one descriptor or one msf_netlink agree among
 * themselves. Descriptors that are made here are the caller's, and are closed on exec. Timeouts are milliseconds.
 * Names of hosts are looked up in the calling thread, which may wait for name servers. A link-local IPv6 address is a host
 * together with its interface, fe80::1%eth0; without, listening and connecting there are EINVAL.
 */
#ifndef MSF_NETWORK_H
#define MSF_NETWORK_H

/* What came with this header in 2019. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "msf_log.h"
#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

/* As client_param.host these two mean "the agent's unix socket on this machine". */
#define LOCAL_HOST_V4 "127.0.0.1"
#define LOCAL_HOST_V6 "[::1]"
#define LOCAL_PORT "9999"

#define max_epoll_event 256
#define MAX_IPADDR_LEN 64
#define DOMAIN_ADDR_LEN 64

#define INVALID_SOCKET (-1)

#define SIN(x) ((struct sockaddr_in *)(x))
#define SIN6(x) ((struct sockaddr_in6 *)(x))
#define SINU(x) ((struct sockaddr_un *)(x))
#define PADDR(x) ((struct sockaddr *)(x))

/*
 * Where the agent's socket was in 2019. It is still tried, last; the agent now listens in its run
 * directory (msf_run_dir) or where MSF_AGENT_SOCK says, and clients need no socket file of their own.
 */
#define PREFIX_UNIX_PATH "/var/"
#define MSF_RPC_UNIX_SERVER "/var/msf_agent.sock"
#define MSF_RPC_UNIX_FORMAT "/var/msf_%s.sock"
#define MSF_RPC_UNIX_DLNA "/var/msf_dlna.sock"
#define MSF_RPC_UNIX_UPNP "/var/msf_upnp.sock"

/* ---- Options. ---- */

/* 0; -1 and errno: EBADF no open descriptor. */
MSF_EXPORT s32 msf_socket_nonblocking(s32 fd);
MSF_EXPORT s32 msf_socket_blocking(s32 fd);
MSF_EXPORT s32 msf_socket_closeonexec(s32 fd);

/* 0; -1 and errno: EBADF, ENOTSOCK. The port of a listener that has just ended is free; several sockets share one port. */
MSF_EXPORT s32 msf_socket_reuseaddr(s32 fd);
MSF_EXPORT s32 msf_socket_reuseport(s32 fd);

/* Closing throws unsent data away and resets the connection (l_linger 0). 0; -1 and errno: EBADF, ENOTSOCK. */
MSF_EXPORT s32 msf_socket_linger(s32 fd);

/* How long one send or receive may wait; 0 is no limit. 0; -1 and errno: EBADF, ENOTSOCK. */
MSF_EXPORT s32 msf_socket_timeout(s32 fd, u32 ms);

/*
 * A silent TCP peer is asked after 1 s, every second, and given up after 3 questions; the second function takes these
 * numbers (seconds, seconds, questions). 0; -1 and errno: EBADF, EOPNOTSUPP not TCP; EINVAL a number of 0 or above 32767,
 * or more than 127 questions.
 */
MSF_EXPORT s32 msf_socket_alive(s32 fd);
MSF_EXPORT s32 msf_socket_keepalive(s32 fd, u32 idle, u32 interval, u32 count);

/*
 * TCP: small segments at once; data with the first packet (a listener's queue is 5); connections are given out when data has
 * come, or after a second; only whole segments while state is not 0. 0; -1 and errno: EBADF, EOPNOTSUPP not TCP.
 */
MSF_EXPORT s32 msf_socket_tcp_nodelay(s32 fd);
MSF_EXPORT s32 msf_socket_tcp_fastopen(s32 fd);
MSF_EXPORT s32 msf_socket_tcp_defer_accept(s32 fd);
MSF_EXPORT s32 msf_socket_cork_flag(s32 fd, u32 state);

/* Room for what is sent and received, in bytes; 0 leaves it. The kernel doubles it and has limits. 0; -1 and errno: EBADF. */
MSF_EXPORT s32 msf_socket_buffers(s32 fd, u32 send, u32 receive);

/* As much room for sending as the system's limit allows. */
MSF_EXPORT void msf_socket_maximize_sndbuf(s32 fd);

/* Whether an IPv6 socket leaves IPv4 alone; before bind. 0; -1 and errno: EBADF, EINVAL bound already. */
MSF_EXPORT s32 msf_socket_v6only(s32 fd, u32 state);

/* Only packets through this interface; NULL or "" for all. 0; -1 and errno: EBADF, ENODEV no such interface. */
MSF_EXPORT s32 msf_socket_device(s32 fd, const s8 *interf);

/*
 * The class of service of what is sent, 0 to 63. The family is AF_INET or AF_INET6; an IPv6 socket that serves IPv4 too gets
 * it for both. 0; -1 and errno: EBADF, EINVAL above 63, EAFNOSUPPORT neither family.
 */
MSF_EXPORT s32 msf_set_dscp(s32 fd, u32 family, u8 dscp);

/*
 * Takes part in a multicast group ("239.1.2.3", "ff05::7") on an interface; NULL: where the routes lead. 0; -1 and errno:
 * EINVAL no multicast address, ENODEV no such interface, EADDRINUSE joined already; leaving what was not joined is EADDRNOTAVAIL.
 */
MSF_EXPORT s32 msf_multicast_join(s32 fd, const s8 *group, const s8 *interf);
MSF_EXPORT s32 msf_multicast_leave(s32 fd, const s8 *group, const s8 *interf);

/*
 * How multicast goes out: through which interface (NULL: where the routes lead), past how many routers (0 to 255; 1 is this
 * network), and whether listeners on this machine get it. 0; -1 and errno: EINVAL hops above 255, ENODEV no such interface,
 * EAFNOSUPPORT no IP socket.
 */
MSF_EXPORT s32 msf_multicast_send(s32 fd, const s8 *interf, u32 hops, u32 loopback);

/* ---- Made, bound, listened on, connected. ---- */

/* A socket; -1 and errno: EAFNOSUPPORT no such family, and others of socket(2). */
MSF_EXPORT s32 msf_socket_create(u32 domain, u32 type, u32 protocol);

/* Binds; a stream socket listens then. 0; -1 and errno: EINVAL NULL, EADDRINUSE, EADDRNOTAVAIL, and others of bind(2). */
MSF_EXPORT s32 msf_socket_bind(s32 fd, const struct sockaddr *addr, socklen_t addrlen, u32 backlog);

/* 0; -1 and errno: EBADF, EOPNOTSUPP not a stream socket. A backlog below 1 is as much as the system takes. */
MSF_EXPORT s32 msf_socket_listen(s32 fd, s32 backlog);

/* accept(2) for a connection that does not block and is closed on exec. The descriptor; -1 and errno: EAGAIN, EBADF. */
MSF_EXPORT s32 msf_socket_accept(s32 fd, struct sockaddr *addr, socklen_t *addrlen);
#define msf_accept(fd, addr, addrlen) accept((fd), (addr), (addrlen))
#define msf_accept4(fd, addr, addrlen) msf_socket_accept((fd), (addr), (addrlen))

/*
 * Listens for TCP, or with protocol SOCK_DGRAM receives UDP. interf is an address, a name, an interface, or NULL for
 * everywhere, IPv6 and IPv4 in one socket. Port 0 is one the kernel chooses: getsockname(2). The descriptor, non-blocking;
 * -1 and errno: EINVAL a port outside 0..65535, EADDRINUSE, EADDRNOTAVAIL not an address of this machine, ENOENT no such name.
 */
MSF_EXPORT s32 msf_server_socket(const s8 *interf, s32 protocol, s32 port, s32 backlog);

/*
 * Listens at a path, with the permissions access_mask (0600, 0666...). A dead socket of ours at the path is replaced; nothing
 * else is ever removed. The descriptor, non-blocking; -1 and errno: EINVAL NULL, ENAMETOOLONG more than 107 bytes, EADDRINUSE
 * somebody lives there, EPERM the dead socket is another user's, EEXIST it is no socket, EBUSY another process is replacing it.
 */
MSF_EXPORT s32 msf_server_unix_socket(s32 backlog, const s8 *path, s32 access_mask);

/*
 * Connects to the socket at sname. Unless cname is NULL or "", our end gets a file at cname (0700), as above; the caller
 * removes it. The descriptor, non-blocking; -1 and errno: EINVAL sname is NULL, ENOENT, ECONNREFUSED, EADDRINUSE a living
 * socket at cname, EEXIST something else at cname.
 */
MSF_EXPORT s32 msf_connect_unix_socket(const s8 *cname, const s8 *sname);

/*
 * Connects by TCP to host (a name or an address, also in brackets) and port (a number or a service's name), trying each of the
 * host's addresses, within timeout_ms in all (-1: as long as the system tries). The descriptor, non-blocking, with
 * nodelay, linger 0 and keepalive as above; -1 and errno: EINVAL NULL or no such service, ENOENT no such host, EAGAIN no
 * answer of the name server, ECONNREFUSED, ETIMEDOUT, and others of connect(2).
 */
MSF_EXPORT s32 msf_connect_host(const s8 *host, const s8 *port);
MSF_EXPORT s32 msf_connect_host_within(const s8 *host, const s8 *port, s32 timeout_ms);

/*
 * Who is at the other end of a unix socket, as the kernel saw him when he connected. Each out-parameter may be NULL. 0; -1
 * and errno: EBADF, ENOTCONN no unix socket, or nobody there.
 */
MSF_EXPORT s32 msf_socket_peer(s32 fd, pid_t *pid_out, uid_t *uid_out, gid_t *gid_out);

/* Logs the local address of a socket, at level DEBUG. */
MSF_EXPORT void msf_socket_debug(s32 fd);

/* ---- Sent and received. Interrupted calls go on; nothing raises SIGPIPE. ---- */

/*
 * As the calls of the C library: a count of bytes, for streams perhaps fewer than given; 0 from a receiver is the end. -1 and
 * errno: EINVAL NULL, EBADF, EAGAIN, EPIPE, ECONNRESET, EMSGSIZE a datagram or an array too long, and others.
 */
MSF_EXPORT s32 msf_sendto(s32 fd, const void *buf, u32 len, const struct sockaddr *addr, socklen_t addrlen);
MSF_EXPORT s32 msf_recvfrom(s32 fd, void *buf, u32 len, struct sockaddr *addr, socklen_t *addrlen);
MSF_EXPORT s32 msf_sendmsg_v1(s32 fd, struct iovec *iov, u32 count, s32 flag);
MSF_EXPORT s32 msf_recvmsg_v1(s32 fd, struct iovec *iov, u32 count, s32 flag);
MSF_EXPORT s32 msf_sendmsg_v2(s32 fd, struct msghdr *msg, s32 flag);
MSF_EXPORT s32 msf_recvmsg_v2(s32 fd, struct msghdr *msg, s32 flag);

/* The June 2019 names. */
#define msf_sendmsg(fd, msg) msf_sendmsg_v2((fd), (msg), 0)
#define msf_recvmsg(fd, msg) msf_recvmsg_v2((fd), (msg), 0)

/* Throws away what waits in a socket or pipe, at most n reads' worth, and never waits for more. */
MSF_EXPORT void msf_drain_fd(s32 fd, u32 n);

/* ---- eventfd and epoll. ---- */

/* A counter in a descriptor; flags are EFD_NONBLOCK and EFD_SEMAPHORE. -1 and errno: EINVAL other flags. */
MSF_EXPORT s32 msf_eventfd(u32 initval, s32 flags);

/* Makes it readable; makes it unreadable. Neither waits, and neither fails when it is so already. 0; -1 and errno: EBADF. */
MSF_EXPORT s32 msf_eventfd_notify(s32 efd);
MSF_EXPORT s32 msf_eventfd_clear(s32 efd);

/* An epoll descriptor, or -1 and errno. */
MSF_EXPORT s32 msf_epoll_create(void);

/*
 * Watches fd for events (EPOLLIN, EPOLLET...: all 32 bits count); p comes back as data.ptr. 0; -1 and errno: EBADF, EEXIST
 * it is watched already, EPERM it cannot be watched (a file).
 */
MSF_EXPORT s32 msf_add_event(s32 epfd, s32 fd, u32 events, void *p);

/*
 * Changes the events and keeps the pointer. The kernel gives the pointer out in /proc only, which costs microseconds, more
 * with many descriptors: where it matters use msf_mod_event_ptr. 0; -1 and errno: EBADF, ENOENT it is not watched, ENOTSUP there
 * is no /proc.
 */
MSF_EXPORT s32 msf_mod_event(s32 epfd, s32 fd, u32 events);

/* Changes the events and the pointer, in one system call. 0; -1 and errno: EBADF, ENOENT it is not watched. */
MSF_EXPORT s32 msf_mod_event_ptr(s32 epfd, s32 fd, u32 events, void *p);

/* Watches it no longer. 0; -1 and errno: EBADF, ENOENT it is not watched. */
MSF_EXPORT s32 msf_del_event(s32 epfd, s32 fd);

/* ---- Addresses and names. ---- */

/* 1 when the text is an address of the family (AF_INET, AF_INET6, AF_UNSPEC for either), without interface, else 0. NULL is none. */
MSF_EXPORT s32 msf_isipaddr(const s8 *ip, u32 af_type);

/*
 * 0 when both are the same family, address, port and (IPv6) scope, or the same unix path; 1 when not. -1 and errno: EINVAL
 * NULL, EAFNOSUPPORT another family.
 */
MSF_EXPORT s32 msf_sockaddr_cmp(const struct sockaddr *sa1, const struct sockaddr *sa2);

/* The port, in network order; 0 for NULL and for families without ports. */
MSF_EXPORT u16 msf_sockaddr_port(const struct sockaddr_storage *addr);

/*
 * An address of a host, IPv4 if it has one; addr has room for a struct sockaddr_in6. AF_INET or AF_INET6; -1 and errno: EINVAL
 * NULL, ENOENT no such host, EAGAIN no answer of the name server.
 */
MSF_EXPORT s32 msf_get_sockaddr_by_host(const s8 *host, struct sockaddr *addr);

/* The same as text, a scoped one with the number of its interface behind %. 0; -1 and errno: EINVAL NULL, ENOENT no such host,
 * EAGAIN no answer, ENOSPC ip is too short. */
MSF_EXPORT s32 msf_get_ipaddr_by_host(const s8 *host, s8 *ip, s32 len);

/*
 * All addresses of a host at a service (NULL: port 0), in the order in which to try them. Writes up to count and returns how
 * many there are. -1 and errno: EINVAL NULL or no such service, ENOENT no such host, EAGAIN no answer.
 */
MSF_EXPORT s32 msf_host_addresses(const s8 *host, const s8 *service, struct sockaddr_storage *list_out, u32 count);

/* The name of this machine. 0; -1 and errno: EINVAL NULL, ENOSPC host is too short. */
MSF_EXPORT s32 msf_get_hostname(s8 *host, s32 len);

/*
 * The first two name servers of /etc/resolv.conf, as text, into MAX_IPADDR_LEN bytes each; "" where there is no second. 0; -1
 * and errno: EINVAL NULL, ENOENT there is no server, or no such file.
 */
MSF_EXPORT s32 msf_get_dns(s8 *primary_dns, s8 *second_dns);

/* ---- Interfaces. ---- */

/*
 * The first address of an interface, IPv4 if it has one, as text. 0; -1 and errno: EINVAL NULL, ENODEV no such interface,
 * EADDRNOTAVAIL it has no address, ENOSPC ip is too short.
 */
MSF_EXPORT s32 get_ipaddr_by_intf(const s8 *interf, s8 *ip, s32 len);

struct msf_interface {
    u32 index;       /* its number */
    u32 flags;       /* IFF_ bits */
    u32 is_up;       /* 1: switched on, and the carrier is there */
    s8 name[16];
    u8 mac[8];       /* the first 6; zeros when it has none */
    u32 reserved[4]; /* 0 */
};

struct msf_interface_address {
    u32 index;       /* of the interface */
    s32 family;      /* AF_INET or AF_INET6 */
    u32 prefix;      /* leading bits of its network */
    s8 name[16];
    s8 address[MAX_IPADDR_LEN];
    u32 reserved[4]; /* 0 */
};

/*
 * All interfaces; all addresses of one interface, or of all (NULL). Writes up to count and returns how many there are. -1 and
 * errno: EINVAL list_out is NULL and count is not 0; ENODEV no such interface.
 */
MSF_EXPORT s32 msf_interface_list(struct msf_interface *list_out, u32 count);
MSF_EXPORT s32 msf_interface_addresses(const s8 *interf, struct msf_interface_address *list_out, u32 count);

/* Changes of interfaces. */
#define MSF_LINK_ADDED 1
#define MSF_LINK_UP 2      /* packets can pass: switched on, and the carrier is there */
#define MSF_LINK_DOWN 3    /* packets cannot pass any more */
#define MSF_LINK_CHANGED 4 /* name, hardware address or flags */
#define MSF_LINK_REMOVED 5
#define MSF_LINK_ADDRESS_ADDED 6
#define MSF_LINK_ADDRESS_REMOVED 7
#define MSF_LINK_LOST 8    /* changes came faster than they were read; what they came to follows */

struct msf_netlink_event {
    u32 size;                   /* sizeof(struct msf_netlink_event), set by the caller */
    u32 kind;                   /* MSF_LINK_... */
    u32 index;                  /* of the interface */
    u32 flags;                  /* IFF_ bits; links only */
    s8 name[16];
    u32 prefix;                 /* the rest: addresses only */
    s32 family;
    s8 address[MAX_IPADDR_LEN];
};

struct msf_netlink;

/* Hears of every change from here on. NULL and errno. */
MSF_EXPORT struct msf_netlink *msf_netlink_open(void);

/* Its descriptor, for msf_event_new or poll: readable when there is something to be read. -1 and errno: EINVAL NULL. */
MSF_EXPORT s32 msf_netlink_fd(const struct msf_netlink *links);

/*
 * The next change. Never waits; call it until it returns 0, the descriptor tells only of what was not read. 1 and the change; 0
 * when there is none. -1 and errno: EINVAL NULL or a size below that of the first four members.
 */
MSF_EXPORT s32 msf_netlink_next(struct msf_netlink *links, struct msf_netlink_event *event_out);

/* Frees it. NULL is allowed. */
MSF_EXPORT void msf_netlink_close(struct msf_netlink *links);

/*
 * Asks a host by ICMP whether it is there; how long the answer took, in microseconds, goes to us_out, which may be NULL. The
 * first function waits a second. 0 when it answered; -1 and errno: EINVAL NULL, ETIMEDOUT no answer, EPERM this process may not
 * ask (net.ipv4.ping_group_range or CAP_NET_RAW), ENOENT no such host, ENETUNREACH, EHOSTUNREACH.
 */
MSF_EXPORT s32 msf_ping(const s8 *host);
MSF_EXPORT s32 msf_ping_host(const s8 *host, u32 timeout_ms, u32 *us_out);

#ifdef __cplusplus
}
#endif

#endif /* MSF_NETWORK_H */
