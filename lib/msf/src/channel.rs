//! msf_channel.h: commands, data and descriptors over a socket.
