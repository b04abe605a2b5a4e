//! The broker's mind: who serves what, who waits for whom, what is refused.
//!
//! No socket, no clock, no thread: time is an argument, chance a seed, and every rule here runs in a test. Protocols
//! meet the core in [`message`]'s neutral words.

pub mod admit;
pub mod awaiting;
pub mod balance;
pub mod bus;
pub mod component;
pub mod desk;
pub mod dispatch;
pub mod hash;
pub mod job;
pub mod message;
pub mod order;
pub mod pending;
pub mod queue;
pub mod routes;
pub mod rules;

#[cfg(test)]
mod simulation;
