//! What is decided, as pure functions: a process's life, the restart law, the order of starting and stopping, the
//! difference between two configurations. No I/O, no clock, no randomness: all three are arguments.

pub mod alarm;
pub mod difference;
pub mod graph;
pub mod health;
pub mod life;
pub mod limit;
pub mod news;
pub mod outbox;
pub mod tally;
pub mod trend;
pub mod watch;
