//! The four payloads of a call: request, job, result, answer; each in both generations.
//!
//! Lengths inside a payload must add up to the payload exactly; whoever sends others has sent nothing.

use super::frame::{append_head, word, words};
use super::{NmidError, conn, handle_type, params_type, pdt};

/// Which generation of payloads a peer speaks.
///
/// A client's is found in each of its requests ([`DoJob::parse`]). A worker's must be known *before* it is sent a job,
/// from how it registered: SET_NAME, a PING or an empty GRAB_JOB is G2, a GRAB_JOB with one byte is G0; a result
/// without a job id is G0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// 2020 to 2022, and the C and PHP libraries to this day: no params type, no job id.
    G0,
    /// Everything since.
    G2,
}

crate::state! { enum Dialect { 0 G0, 2 G2 } }

/// The arguments of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params<'a> {
    /// How they are written, see [`params_type`]. G0 says nothing about it: [`params_type::MSGPACK`].
    pub kind: u32,
    /// See [`handle_type`]; nobody acts on it.
    pub handle: u32,
    /// The arguments themselves.
    pub bytes: &'a [u8],
}

impl<'a> Params<'a> {
    /// What a peer means that cannot say how its arguments are written.
    #[must_use]
    pub const fn untyped(bytes: &'a [u8]) -> Params<'a> {
        Params { kind: params_type::MSGPACK, handle: handle_type::ENCODE, bytes }
    }
}

/// A client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoJob<'a> {
    /// The function asked for.
    pub function: &'a [u8],
    /// Its arguments.
    pub params: Params<'a>,
}

impl<'a> DoJob<'a> {
    /// Reads a request and finds out which generation it is. No real peer's request can be read both ways: a G0 one
    /// read as G2 would need a name that begins with three NUL bytes, and a G2 one read as G0 has such a name.
    ///
    /// # Errors
    /// [`NmidError::Lengths`].
    pub fn parse(body: &'a [u8]) -> Result<(Dialect, DoJob<'a>), NmidError> {
        let second = DoJob::second(body);
        if let Some(job) = second
            && matches!(job.params.kind, params_type::MSGPACK | params_type::JSON)
            && matches!(job.params.handle, handle_type::ENCODE | handle_type::ORIGINAL)
        {
            return Ok((Dialect::G2, job));
        }
        let first = DoJob::first(body);
        let is_sane = |job: &DoJob<'_>| !job.function.is_empty() && !job.function.contains(&0);
        if let Some(job) = first.filter(is_sane) {
            return Ok((Dialect::G0, job));
        }
        let either = second.map(|job| (Dialect::G2, job)).or(first.map(|job| (Dialect::G0, job)));
        either.ok_or(NmidError::Lengths { kind: pdt::C_DO_JOB, len: body.len() as u32 })
    }

    fn second(body: &'a [u8]) -> Option<DoJob<'a>> {
        let ([kind, handle], rest) = words::<2>(body)?;
        let job = DoJob::first(rest)?;
        Some(DoJob { params: Params { kind, handle, ..job.params }, ..job })
    }

    fn first(body: &'a [u8]) -> Option<DoJob<'a>> {
        let (function, rest) = counted(body)?;
        let (params, rest) = counted(rest)?;
        rest.is_empty().then_some(DoJob { function, params: Params::untyped(params) })
    }

    /// Appends the request as a G2 frame.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let lengths = self.function.len() + self.params.bytes.len();
        append_head(out, conn::CLIENT, pdt::C_DO_JOB, 16 + lengths);
        append_words(out, [self.params.kind, self.params.handle]);
        append_counted(out, self.function);
        append_counted(out, self.params.bytes);
    }

    /// Appends the request as a G0 frame.
    pub fn append_first_to(&self, out: &mut Vec<u8>) {
        append_head(out, conn::CLIENT, pdt::C_DO_JOB, 8 + self.function.len() + self.params.bytes.len());
        append_counted(out, self.function);
        append_counted(out, self.params.bytes);
    }
}

/// A request on its way to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job<'a> {
    /// What to do.
    pub function: &'a [u8],
    /// With which arguments, written as the worker expects them.
    pub params: Params<'a>,
    /// Comes back with the result; G0 has none.
    pub id: &'a [u8],
}

impl<'a> Job<'a> {
    /// Reads a job sent to a worker of `dialect`.
    ///
    /// # Errors
    /// [`NmidError::Lengths`].
    pub fn parse(body: &'a [u8], dialect: Dialect) -> Result<Job<'a>, NmidError> {
        let job = match dialect {
            Dialect::G2 => Job::second(body),
            Dialect::G0 => Job::first(body),
        };
        job.ok_or(NmidError::Lengths { kind: pdt::S_GET_DATA, len: body.len() as u32 })
    }

    fn second(body: &'a [u8]) -> Option<Job<'a>> {
        let ([kind, handle, function, params, id], rest) = words::<5>(body)?;
        let (function, rest) = rest.split_at_checked(function as usize)?;
        let (bytes, rest) = rest.split_at_checked(params as usize)?;
        (rest.len() == id as usize).then_some(Job { function, params: Params { kind, handle, bytes }, id: rest })
    }

    fn first(body: &'a [u8]) -> Option<Job<'a>> {
        let ([function, params], rest) = words::<2>(body)?;
        let (function, rest) = rest.split_at_checked(function as usize)?;
        (rest.len() == params as usize).then_some(Job { function, params: Params::untyped(rest), id: b"" })
    }

    /// Appends the job as a frame for a worker of `dialect`.
    pub fn append_to(&self, dialect: Dialect, out: &mut Vec<u8>) {
        let (function, params, id) = (self.function, self.params.bytes, self.id);
        let lengths = [function.len(), params.len()].map(|len| len as u32);
        match dialect {
            Dialect::G2 => {
                append_head(out, conn::SERVER, pdt::S_GET_DATA, 20 + function.len() + params.len() + id.len());
                append_words(out, [self.params.kind, self.params.handle]);
                append_words(out, lengths);
                append_words(out, [id.len() as u32]);
            }
            Dialect::G0 => {
                append_head(out, conn::SERVER, pdt::S_GET_DATA, 8 + function.len() + params.len());
                append_words(out, lengths);
            }
        }
        out.extend_from_slice(function);
        out.extend_from_slice(params);
        if dialect == Dialect::G2 {
            out.extend_from_slice(id);
        }
    }
}

/// A worker's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Return<'a> {
    /// The job's function, as the worker echoes it.
    pub function: &'a [u8],
    /// The job's arguments, as the worker echoes them.
    pub params: &'a [u8],
    /// What came of it; by convention a RetStruct in msgpack.
    pub ret: &'a [u8],
    /// The job's id; `None` from a G0 worker.
    pub id: Option<&'a [u8]>,
}

impl<'a> Return<'a> {
    /// Reads a result; a missing job id means G0.
    ///
    /// # Errors
    /// [`NmidError::Lengths`].
    pub fn parse(body: &'a [u8]) -> Result<Return<'a>, NmidError> {
        Return::read(body).ok_or(NmidError::Lengths { kind: pdt::W_RETURN_DATA, len: body.len() as u32 })
    }

    fn read(body: &'a [u8]) -> Option<Return<'a>> {
        let (function, rest) = counted(body)?;
        let (params, rest) = counted(rest)?;
        let (ret, rest) = counted(rest)?;
        if rest.is_empty() {
            return Some(Return { function, params, ret, id: None });
        }
        let (id, rest) = counted(rest)?;
        rest.is_empty().then_some(Return { function, params, ret, id: Some(id) })
    }

    /// Appends the result as a frame.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let lengths = self.function.len() + self.params.len() + self.ret.len();
        append_head(out, conn::WORKER, pdt::W_RETURN_DATA, 12 + lengths + self.id.map_or(0, |id| 4 + id.len()));
        append_counted(out, self.function);
        append_counted(out, self.params);
        append_counted(out, self.ret);
        if let Some(id) = self.id {
            append_counted(out, id);
        }
    }
}

/// A result on its way to the client; the same in every generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The function, byte for byte as the client asked for it.
    pub function: &'a [u8],
    /// The client's own arguments.
    pub params: &'a [u8],
    /// What came of it.
    pub ret: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`NmidError::Lengths`].
    pub fn parse(body: &'a [u8]) -> Result<Answer<'a>, NmidError> {
        Answer::read(body).ok_or(NmidError::Lengths { kind: pdt::S_RETURN_DATA, len: body.len() as u32 })
    }

    fn read(body: &'a [u8]) -> Option<Answer<'a>> {
        let ([function, params, ret], rest) = words::<3>(body)?;
        let (function, rest) = rest.split_at_checked(function as usize)?;
        let (params, rest) = rest.split_at_checked(params as usize)?;
        (rest.len() == ret as usize).then_some(Answer { function, params, ret: rest })
    }

    /// Appends the answer as a frame.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let lengths = [self.function.len(), self.params.len(), self.ret.len()];
        append_head(out, conn::SERVER, pdt::S_RETURN_DATA, 12 + lengths.iter().sum::<usize>());
        append_words(out, lengths.map(|len| len as u32));
        out.extend_from_slice(self.function);
        out.extend_from_slice(self.params);
        out.extend_from_slice(self.ret);
    }
}

fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = word(bytes)?;
    rest.split_at_checked(len as usize)
}

fn append_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    append_words(out, [bytes.len() as u32]);
    out.extend_from_slice(bytes);
}

fn append_words<const N: usize>(out: &mut Vec<u8>, words: [u32; N]) {
    out.extend(words.into_iter().flat_map(u32::to_be_bytes));
}
