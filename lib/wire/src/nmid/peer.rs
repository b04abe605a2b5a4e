//! What a frame says, by who sends it to whom.

use super::{Answer, Dialect, DoJob, Frame, Job, NmidError, Return, pdt};

/// From a client to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromClient<'a> {
    /// A request, and the generation it is written in.
    DoJob(Dialect, DoJob<'a>),
    /// A type that clients do not send; to be ignored.
    Other(u32),
}

impl<'a> FromClient<'a> {
    /// Reads a client's frame.
    ///
    /// # Errors
    /// [`NmidError::Lengths`].
    pub fn parse(frame: &Frame<'a>) -> Result<FromClient<'a>, NmidError> {
        match frame.kind {
            pdt::C_DO_JOB => DoJob::parse(frame.body).map(|(dialect, job)| FromClient::DoJob(dialect, job)),
            other => Ok(FromClient::Other(other)),
        }
    }
}

/// From a worker to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromWorker<'a> {
    /// Its name, perhaps empty; to be answered OK.
    SetName(&'a [u8]),
    /// Offers a function; to be answered OK.
    AddFunction(&'a [u8]),
    /// No longer offers it; no answer.
    DelFunction(&'a [u8]),
    /// Vestigial, no answer. The body tells the generation: one byte is G0, empty is not.
    Grab(&'a [u8]),
    /// After a pause; no answer.
    Wakeup,
    /// To be answered with a PONG.
    Ping,
    /// A result.
    Return(Return<'a>),
    /// A type that workers do not send; to be ignored.
    Other(u32),
}

impl<'a> FromWorker<'a> {
    /// Reads a worker's frame.
    ///
    /// # Errors
    /// [`NmidError::Lengths`].
    pub fn parse(frame: &Frame<'a>) -> Result<FromWorker<'a>, NmidError> {
        Ok(match frame.kind {
            pdt::W_SET_NAME => FromWorker::SetName(frame.body),
            pdt::W_ADD_FUNC => FromWorker::AddFunction(frame.body),
            pdt::W_DEL_FUNC => FromWorker::DelFunction(frame.body),
            pdt::W_GRAB_JOB => FromWorker::Grab(frame.body),
            pdt::WAKEUP => FromWorker::Wakeup,
            pdt::W_HEARTBEAT_PING => FromWorker::Ping,
            pdt::W_RETURN_DATA => FromWorker::Return(Return::parse(frame.body)?),
            other => FromWorker::Other(other),
        })
    }
}

/// From the broker to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToClient<'a> {
    /// The result.
    Answer(Answer<'a>),
    /// The request could not be understood, or has failed, or nobody answered in time.
    Error,
    /// Nobody offers the function.
    CantDo,
    /// Too much is asked for at the moment.
    RateLimit,
    /// A type of another broker.
    Other(u32),
}

impl<'a> ToClient<'a> {
    /// Reads a frame sent to a client.
    ///
    /// # Errors
    /// [`NmidError::Lengths`].
    pub fn parse(frame: &Frame<'a>) -> Result<ToClient<'a>, NmidError> {
        Ok(match frame.kind {
            pdt::S_RETURN_DATA => ToClient::Answer(Answer::parse(frame.body)?),
            pdt::ERROR => ToClient::Error,
            pdt::CANT_DO => ToClient::CantDo,
            pdt::RATE_LIMIT => ToClient::RateLimit,
            other => ToClient::Other(other),
        })
    }
}

/// From the broker to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToWorker<'a> {
    /// Something to do.
    Job(Job<'a>),
    /// The name or function is known.
    Ok,
    /// The answer to a PING.
    Pong,
    /// Asks for a GRAB_JOB.
    NoJob,
    /// Asks for a pause of two seconds and a WAKEUP.
    ToSleep,
    /// A type of another broker.
    Other(u32),
}

impl<'a> ToWorker<'a> {
    /// Reads a frame sent to a worker of `dialect`.
    ///
    /// # Errors
    /// [`NmidError::Lengths`].
    pub fn parse(frame: &Frame<'a>, dialect: Dialect) -> Result<ToWorker<'a>, NmidError> {
        Ok(match frame.kind {
            pdt::S_GET_DATA => ToWorker::Job(Job::parse(frame.body, dialect)?),
            pdt::OK => ToWorker::Ok,
            pdt::S_HEARTBEAT_PONG => ToWorker::Pong,
            pdt::NO_JOB => ToWorker::NoJob,
            pdt::TO_SLEEP => ToWorker::ToSleep,
            other => ToWorker::Other(other),
        })
    }
}
