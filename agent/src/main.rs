//! `msf_agent`: the broker through which a machine's services call each other.
//!
//! The rooms, each using only those before it: `observe, upgrade < core < edge, control < app`; edge and control
//! never name each other.
#![forbid(unsafe_code)]

mod app;
mod control;
mod core;
mod edge;
mod observe;
mod upgrade;

fn main() -> std::process::ExitCode {
    app::main()
}
