//! The rooms behind `include/nmid_client.h` and `include/nmid_worker.h`, and their doors.
//!
//! The work is done by msf-client's drivers; here it is put behind handles that C may hold:
//!
//! - `client`, `worker`: the doors;
//! - `caller`: a client; `errands`: its calls that nobody waits for; `answer`: what C gets of a result;
//! - `server`: a worker; `task`: one of its jobs, lent to a function of the program;
//! - `handle`: what every handle must be before it is used.
//!
//! No lock is held while a callback of the program runs.

mod answer;
mod caller;
mod client;
mod errands;
mod handle;
mod server;
mod task;
mod worker;

pub(crate) use handle::in_the_child;
