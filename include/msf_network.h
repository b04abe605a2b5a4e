/*
 * msf_network.h - names of addresses and places.
 */
#ifndef MSF_NETWORK_H
#define MSF_NETWORK_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "msf_utils.h"

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

#endif /* MSF_NETWORK_H */
