//! The numbers of the protocol under the names C knows them by, without the `RPC_` in front.
//!
//! They left the building in 2019: none is ever changed or used again for something else.

/// Who a frame is from or for. Any other `u32` is a legal service id too; 0x01 to 0x10 are reserved.
pub mod id {
    /// The media server.
    pub const DLNA: u32 = 0x11;
    /// The port mapper.
    pub const UPNP: u32 = 0x12;
    /// The web server.
    pub const HTTP: u32 = 0x13;
    /// The dynamic DNS client.
    pub const DDNS: u32 = 0x14;
    /// The mail sender.
    pub const SMTP: u32 = 0x15;
    /// The NAT prober.
    pub const STUN: u32 = 0x16;
    /// The modem.
    pub const MOBILE: u32 = 0x17;
    /// The disks.
    pub const STORAGE: u32 = 0x18;
    /// The data base.
    pub const DATABASE: u32 = 0x19;
    /// The agent itself: login, logout and whatever else is not for a service.
    pub const MSG_SRV: u32 = 0xffff_fff1;
    /// The agent's login server; named by the original, served by nobody.
    pub const LOGIN_SRV: u32 = 0xffff_fff2;
    /// The agent's image server; named by the original, served by nobody.
    pub const IMAGE_SRV: u32 = 0xffff_fff3;
    /// Ours: the agent as the broker of named functions, see [`CallFunction`](super::CallFunction).
    pub const FUNCTION_SRV: u32 = 0xffff_fff4;
    /// Ours: the agent as the place where events are published, see [`Publication`](super::Publication).
    pub const EVENT_SRV: u32 = 0xffff_fff5;
    /// Ours, one of the reserved ones: msf_daemon, where it publishes.
    pub const DAEMON: u32 = 0x10;
}

/// What is asked. Any other `u32` is a command of the user's own.
pub mod cmd {
    /// KALIVE probes and their ACKs carry no command.
    pub const NONE: u32 = 0;
    /// To the agent: this connection is service `srcid`.
    pub const LOGIN: u32 = 1;
    /// To the agent: this service leaves.
    pub const LOGOUT: u32 = 2;
    /// To the agent: reserved by the original.
    pub const TRANSMIT: u32 = 3;
    /// To the agent: reserved by the original.
    pub const DEBUG_ON: u32 = 4;
    /// To the agent: reserved by the original.
    pub const DEBUG_OFF: u32 = 5;
    /// Ours, to [`id::FUNCTION_SRV`](super::id::FUNCTION_SRV): calls a function by its name.
    pub const CALL_FUNCTION: u32 = 6;
    /// Ours, to [`id::EVENT_SRV`](super::id::EVENT_SRV): events of the name that is the payload are wanted.
    pub const SUBSCRIBE: u32 = 7;
    /// Ours, to [`id::EVENT_SRV`](super::id::EVENT_SRV): they are no longer.
    pub const UNSUBSCRIBE: u32 = 8;
    /// Ours, to [`id::EVENT_SRV`](super::id::EVENT_SRV): the payload is a [`Publication`](super::Publication).
    pub const PUBLISH: u32 = 9;
    /// Ours, from [`id::EVENT_SRV`](super::id::EVENT_SRV): the payload is a [`Publication`](super::Publication), or
    /// nothing when there is only to say how many were lost.
    pub const EVENT: u32 = 10;
    /// Modem.
    pub const MOBILE_SET: u32 = 0x10;
    /// Modem.
    pub const MOBILE_GET: u32 = 0x11;
    /// Mail.
    pub const SMTP_SET: u32 = 0x21;
    /// Mail.
    pub const SMTP_GET: u32 = 0x22;
    /// Dynamic DNS.
    pub const DDNS_SET: u32 = 0x23;
    /// Dynamic DNS.
    pub const DDNS_GET: u32 = 0x24;
    /// Port mapper.
    pub const UPNP_SET: u32 = 0x25;
    /// Port mapper.
    pub const UPNP_GET: u32 = 0x26;
    /// Media server.
    pub const DLNA_SET: u32 = 0x27;
    /// Media server.
    pub const DLNA_GET: u32 = 0x28;
    /// NAT prober.
    pub const STUN_SET: u32 = 0x29;
    /// NAT prober.
    pub const STUN_GET: u32 = 0x2a;
}

/// What kind of frame it is.
pub mod opcode {
    /// A request.
    pub const REQ: u32 = 1;
    /// The answer to a request, or to a probe.
    pub const ACK: u32 = 2;
    /// The requester no longer wants the answer; reserved by the original, sent by nobody.
    pub const CANCEL: u32 = 3;
    /// "Are you there?", answered by an ACK with cmd 0 and the same seq.
    pub const KALIVE: u32 = 4;
}

/// How a request ended, as an ACK says it.
pub mod errcode {
    /// Done.
    pub const EXEC_SUCC: u32 = 0;
    /// The id is taken, or the frame's source is not who logged in here.
    pub const LOGIN_FAIL: u32 = 1;
    /// Nobody serves the id asked.
    pub const PEER_OFFLINE: u32 = 2;
    /// Ours: the service cannot take more at the moment (its outbox, or the agent's memory, is full).
    pub const PEER_BUSY: u32 = 3;
    /// Ours: the service's callback refused the request, or the function returned a code that is not 0.
    pub const EXEC_FAIL: u32 = 4;
    /// Ours: nobody answered within the function's deadline.
    pub const DEADLINE: u32 = 5;
}

/// The two values of `timeout` that are not milliseconds.
pub mod timeout {
    /// Asynchronous: nobody waits for the answer.
    pub const NO_WAIT: u32 = 0;
    /// Wait for as long as the connection lives.
    pub const FOREVER: u32 = u32::MAX;
}
