//! The sockets: bytes of peers into the core's words and back. One [`broker::Broker`] per reactor thread.
//!
//! The edge never names the control thread; they talk in [`core::message`](crate::core::message)'s orders and reports.

pub mod broker;
mod chatter;
mod delivery;
mod functions;
mod gateway;
mod handover;
mod inspect;
mod intake;
pub mod lane;
mod leaving;
pub mod librpc;
mod nmid;
mod note;
mod orders;
mod outbox;
mod relay;
mod retiring;
mod session;

#[cfg(test)]
mod by_hand;
