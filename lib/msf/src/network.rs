//! msf_network.h: sockets and addresses.
