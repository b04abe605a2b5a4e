//! One process: how it is made, becomes ready, is replaced and ends.

pub mod cgroup;
pub mod collect;
pub mod crash;
pub mod fit;
pub mod follow;
pub mod heir;
pub mod http;
pub mod kin;
pub mod leaver;
pub mod mark;
pub mod morgue;
pub mod notice;
pub mod probe;
pub mod ready;
pub mod sexton;
pub mod start;
pub mod surroundings;
