//! Sockets: made, tuned, asked; channels that pass descriptors; links and addresses.
