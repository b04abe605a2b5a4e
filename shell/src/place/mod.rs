//! Where services live: a question to one, who answers it now, and the thread of this process that may.

pub mod footprint;
pub mod routes;
pub mod runner;
pub mod work;
