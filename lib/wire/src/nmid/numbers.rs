//! The numbers of the protocol under the names nmid knows them by.

/// Who sends a frame: the first word of every header.
pub mod conn {
    /// The broker.
    pub const SERVER: u32 = 1;
    /// A worker.
    pub const WORKER: u32 = 2;
    /// A client.
    pub const CLIENT: u32 = 3;
    /// A sidecar's service; declared by nmid, sent by nobody.
    pub const SERVICE: u32 = 4;
}

/// What a frame is: the second word of every header. Numbers that stand twice are told apart by direction.
pub mod pdt {
    /// Broker to worker: the name or the function is known.
    pub const OK: u32 = 1;
    /// Broker to client: the request cannot be understood, or has failed.
    pub const ERROR: u32 = 2;
    /// Broker to client: nobody offers the function.
    pub const CANT_DO: u32 = 4;
    /// Broker to worker: nothing to do; a worker answers with a GRAB_JOB.
    pub const NO_JOB: u32 = 5;
    /// Broker to worker: pause for two seconds.
    pub const TO_SLEEP: u32 = 7;
    /// Worker to broker: the pause is over.
    pub const WAKEUP: u32 = 8;
    /// Broker to worker: the answer to that.
    pub const WAKEUPED: u32 = 9;
    /// Broker to worker: a job.
    pub const S_GET_DATA: u32 = 10;
    /// Broker to client: a result.
    pub const S_RETURN_DATA: u32 = 11;
    /// Worker to broker: vestige of the time when jobs were asked for.
    pub const W_GRAB_JOB: u32 = 12;
    /// Worker to broker: offers a function.
    pub const W_ADD_FUNC: u32 = 13;
    /// Worker to broker: no longer offers it.
    pub const W_DEL_FUNC: u32 = 14;
    /// Worker to broker: a result.
    pub const W_RETURN_DATA: u32 = 15;
    /// Client to broker: a request.
    pub const C_DO_JOB: u32 = 16;
    /// Broker to client: too much is asked for at the moment.
    pub const RATE_LIMIT: u32 = 18;
    /// Worker to broker: "are you there?".
    pub const W_HEARTBEAT_PING: u32 = 22;
    /// Broker to worker: "yes".
    pub const S_HEARTBEAT_PONG: u32 = 23;
    /// Worker to broker: its name. The same number as the PONG of the other direction.
    pub const W_SET_NAME: u32 = 23;
}

/// How the params of a job are written.
pub mod params_type {
    /// A msgpack map (G0: a msgpack array of `"key:value"` strings).
    pub const MSGPACK: u32 = 5;
    /// A JSON object.
    pub const JSON: u32 = 6;
}

/// A word that nobody acts on; passed through.
pub mod handle_type {
    /// What nmid's own clients send.
    pub const ENCODE: u32 = 10;
    /// Declared by nmid.
    pub const ORIGINAL: u32 = 11;
}
