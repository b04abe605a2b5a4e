//! What is counted, for the operator; the lowest room of the agent: it uses none of the others.

pub mod counter;
