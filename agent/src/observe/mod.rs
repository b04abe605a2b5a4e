//! What is counted, for the operator, and how it is shown.
//!
//! The lowest room: it uses none of the others. A number has one writer, the reactor it belongs to, so counting costs a
//! load and a store; whoever reads sees a moment ago. The control thread holds the [`catalog`] and writes the page that
//! Prometheus reads.

pub mod catalog;
pub mod counter;
pub mod exposition;
pub mod function;
pub mod histogram;
mod keeping;
pub mod page;
pub mod process;
pub mod traffic;
