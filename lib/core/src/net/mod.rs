//! Sockets and what is known of the network: options, addresses and names, listening and connecting, descriptors sent
//! to other processes, interfaces and their changes, ping.
//!
//! std has the sockets themselves; what is here is what std leaves out. Everything gives out std's types or an
//! `OwnedFd`, so that it may be watched by a [`Reactor`](crate::event::Reactor) as it is.

mod channel;
mod connect;
mod drain;
mod host;
mod interest;
mod interface;
mod link;
mod listen;
mod message;
mod netlink;
mod option;
mod ping;
pub mod unix;

pub use channel::Channel;
pub use connect::{connect, connect_udp};
pub use drain::{clear, drain, notify};
pub use host::{Family, hostname, name_servers, resolve};
pub use interest::registered;
pub use interface::{Interface, InterfaceAddress, interface_addresses, interface_index, interfaces};
pub use link::{LinkEvent, Links};
pub use listen::{bind_udp, listen};
pub use message::{Head, Inbound, MOST_DATA, MOST_FDS, Message, Outbound};
pub use option::{Group, KeepAlive, SocketOption};
pub use ping::{Reachable, ping};
