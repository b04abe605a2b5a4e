//! The control thread: who may connect, who is who, and that every reactor knows it.
//!
//! It touches no frame. It never names the edge: the two talk in [`core::message`](crate::core::message)'s orders and
//! reports, through bounded mailboxes that block neither.

mod acceptor;
pub mod admin;
mod answers;
mod guests;
pub mod listener;
mod liveness;
pub mod metrics;
mod offers;
mod order_line;
mod publish;
mod registry;
pub mod thread;
