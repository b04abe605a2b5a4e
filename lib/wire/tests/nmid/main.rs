//! The nmid codec against the vectors of the specification, against every cut of every frame, and against noise.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod bridging;
mod dialects;
mod dice;
mod frames;
mod hostile;
mod noise;
mod rets;
mod vectors;
