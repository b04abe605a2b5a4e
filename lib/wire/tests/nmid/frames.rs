//! The frames of the specification: written and read, whole, cut and in pieces.

use msf_wire::nmid::{
    Answer, DEFAULT_PAYLOAD_LIMIT, Dialect, DoJob, Frame, FromClient, FromWorker, HEADER_LEN, Job, NmidError, Return,
    Step, ToClient, ToWorker, append_name, conn, decode, empty, pdt,
};

use crate::vectors::{Vector, frame, frames};

const LIMIT: u32 = DEFAULT_PAYLOAD_LIMIT;

#[test]
fn every_vector_is_written_byte_for_byte() {
    for vector in frames() {
        let mut out = Vec::new();
        let part = |key: &str| vector.hex(key);
        match vector.what.as_str() {
            "empty" => out.extend(empty(vector.conn, vector.kind)),
            "name" => append_name(&mut out, vector.conn, vector.kind, vector.text("text")),
            "do_job" => {
                let bytes = part("params");
                let job = DoJob { function: vector.text("function"), params: vector.params(&bytes) };
                match vector.dialect() {
                    Dialect::G2 => job.append_to(&mut out),
                    Dialect::G0 => job.append_first_to(&mut out),
                }
            }
            "job" => {
                let (bytes, id) = (part("params"), vector.id().unwrap_or_default());
                let job = Job { function: vector.text("function"), params: vector.params(&bytes), id };
                job.append_to(vector.dialect(), &mut out);
            }
            "return" => {
                let (params, ret) = (part("params"), part("ret"));
                let function = vector.text("function");
                Return { function, params: &params, ret: &ret, id: vector.id() }.append_to(&mut out);
            }
            "answer" => {
                let (params, ret) = (part("params"), part("ret"));
                Answer { function: vector.text("function"), params: &params, ret: &ret }.append_to(&mut out);
            }
            "malformed" | "third" => continue,
            other => panic!("{}: nothing is called {other}", vector.name),
        }
        assert_eq!(out, vector.bytes, "{}", vector.name);
    }
}

#[test]
fn every_vector_is_read_field_for_field() {
    for vector in frames() {
        let Ok(Step::Frame(frame, used)) = decode(&vector.bytes, LIMIT) else { panic!("{}", vector.name) };
        assert_eq!((frame.conn, frame.kind, used), (vector.conn, vector.kind, vector.bytes.len()), "{}", vector.name);
        match vector.conn {
            conn::CLIENT => of_a_client(&vector, &frame),
            conn::WORKER => of_a_worker(&vector, &frame),
            conn::SERVER if matches!(vector.kind, pdt::S_GET_DATA | pdt::OK | pdt::S_HEARTBEAT_PONG) => {
                to_a_worker(&vector, &frame);
            }
            conn::SERVER => to_a_client(&vector, &frame),
            other => panic!("{}: nobody is {other}", vector.name),
        }
    }
}

fn of_a_client(vector: &Vector, frame: &Frame<'_>) {
    let read = FromClient::parse(frame);
    if vector.what == "malformed" {
        let len = vector.body().len() as u32;
        assert_eq!(read, Err(NmidError::Lengths { kind: pdt::C_DO_JOB, len }), "{}", vector.name);
        return;
    }
    let bytes = vector.hex("params");
    let job = DoJob { function: vector.text("function"), params: vector.params(&bytes) };
    assert_eq!(read, Ok(FromClient::DoJob(vector.dialect(), job)), "{}", vector.name);
}

fn of_a_worker(vector: &Vector, frame: &Frame<'_>) {
    let (params, ret) = match vector.what.as_str() {
        "return" => (vector.hex("params"), vector.hex("ret")),
        _ => (Vec::new(), Vec::new()),
    };
    let expected = match vector.kind {
        pdt::W_SET_NAME => FromWorker::SetName(vector.text("text")),
        pdt::W_ADD_FUNC => FromWorker::AddFunction(vector.text("text")),
        pdt::W_DEL_FUNC => FromWorker::DelFunction(vector.text("text")),
        pdt::W_GRAB_JOB => FromWorker::Grab(vector.body()),
        pdt::WAKEUP => FromWorker::Wakeup,
        pdt::W_HEARTBEAT_PING => FromWorker::Ping,
        _ => FromWorker::Return(Return {
            function: vector.text("function"),
            params: &params,
            ret: &ret,
            id: vector.id(),
        }),
    };
    assert_eq!(FromWorker::parse(frame), Ok(expected), "{}", vector.name);
}

fn to_a_worker(vector: &Vector, frame: &Frame<'_>) {
    if vector.what == "third" {
        for dialect in [Dialect::G0, Dialect::G2] {
            assert!(ToWorker::parse(frame, dialect).is_err(), "{}", vector.name);
        }
        return;
    }
    let (dialect, bytes) = match vector.kind {
        pdt::S_GET_DATA => (vector.dialect(), vector.hex("params")),
        _ => (Dialect::G2, Vec::new()),
    };
    let expected = match vector.kind {
        pdt::OK => ToWorker::Ok,
        pdt::S_HEARTBEAT_PONG => ToWorker::Pong,
        _ => ToWorker::Job(Job {
            function: vector.text("function"),
            params: vector.params(&bytes),
            id: vector.id().unwrap_or_default(),
        }),
    };
    assert_eq!(ToWorker::parse(frame, dialect), Ok(expected), "{}", vector.name);
}

fn to_a_client(vector: &Vector, frame: &Frame<'_>) {
    let (params, ret) = match vector.what.as_str() {
        "answer" => (vector.hex("params"), vector.hex("ret")),
        _ => (Vec::new(), Vec::new()),
    };
    let expected = match vector.kind {
        pdt::ERROR => ToClient::Error,
        pdt::CANT_DO => ToClient::CantDo,
        pdt::RATE_LIMIT => ToClient::RateLimit,
        _ => ToClient::Answer(Answer { function: vector.text("function"), params: &params, ret: &ret }),
    };
    assert_eq!(ToClient::parse(frame), Ok(expected), "{}", vector.name);
}

#[test]
fn every_truncation_of_every_vector_wants_more_and_says_how_much_at_least() {
    for Vector { name, bytes, .. } in frames() {
        for cut in 0..bytes.len() {
            let Ok(Step::NeedMore(missing)) = decode(&bytes[..cut], LIMIT) else { panic!("{name} cut at {cut}") };
            assert!(missing > 0 && cut + missing <= bytes.len(), "{name} cut at {cut} wants {missing}");
        }
    }
}

/// The header says less than there was: what is inside no longer adds up. Only a result without the four bytes and more
/// of its job id is still one, of a G0 worker.
#[test]
fn every_truncation_of_every_payload_is_an_error_and_not_another_frame() {
    for vector in frames() {
        let whole = vector.body();
        for cut in 0..whole.len() {
            let frame = Frame { conn: vector.conn, kind: vector.kind, body: &whole[..cut] };
            let name = &vector.name;
            match vector.what.as_str() {
                "do_job" => assert!(is_no_request(&frame), "{name} cut at {cut}"),
                "job" => assert!(ToWorker::parse(&frame, vector.dialect()).is_err(), "{name} cut at {cut}"),
                "answer" => assert!(ToClient::parse(&frame).is_err(), "{name} cut at {cut}"),
                "return" => {
                    let without_id = vector.id().map(|id| whole.len() - 4 - id.len());
                    assert_eq!(FromWorker::parse(&frame).is_ok(), without_id == Some(cut), "{name} cut at {cut}");
                }
                _ => {}
            }
        }
    }
}

/// The last resort of the rule, a G0 request whose name no C program can have, is nothing that anybody serves.
fn is_no_request(frame: &Frame<'_>) -> bool {
    match FromClient::parse(frame) {
        Ok(FromClient::DoJob(Dialect::G0, job)) => job.function.contains(&0),
        other => other.is_err(),
    }
}

#[test]
fn a_stream_split_in_two_at_any_byte_yields_the_same_frames() {
    let all = frames();
    let stream: Vec<u8> = all.iter().flat_map(|vector| vector.bytes.clone()).collect();
    for cut in 0..=stream.len() {
        let mut reader = Reader::default();
        reader.feed(&stream[..cut]);
        reader.feed(&stream[cut..]);
        reader.saw_exactly(&all);
    }
}

#[test]
fn a_stream_that_trickles_byte_by_byte_yields_the_same_frames() {
    let all = frames();
    let mut reader = Reader::default();
    for byte in all.iter().flat_map(|vector| vector.bytes.clone()) {
        reader.feed(&[byte]);
    }
    reader.saw_exactly(&all);
}

#[test]
fn a_frame_with_more_behind_it_is_read_alone() {
    let v8 = frame("V8").bytes;
    let three = v8.repeat(3);
    assert!(matches!(decode(&three, LIMIT), Ok(Step::Frame(_, used)) if used == v8.len()));
    for cut in [6, 20] {
        let mut reader = Reader::default();
        reader.feed(&three[..cut]);
        reader.feed(&three[cut..]);
        assert_eq!(reader.bytes, vec![v8.clone(); 3]);
    }
}

#[test]
fn a_stranger_is_refused_from_his_fourth_byte_on() {
    for conn in [0, 5, 9, 0x4745_5420, u32::MAX] {
        let bytes = conn.to_be_bytes();
        assert_eq!(decode(&bytes, LIMIT), Err(NmidError::ConnType(conn)));
        assert_eq!(decode(&bytes[..3], LIMIT), Ok(Step::NeedMore(9)));
    }
}

#[test]
fn four_gigabytes_are_refused_before_they_are_buffered() {
    let head = [&[0, 0, 0, 3, 0, 0, 0, 16][..], &[0xff; 4]].concat();
    let refused = NmidError::Oversized { conn: conn::CLIENT, kind: pdt::C_DO_JOB, len: u32::MAX, limit: LIMIT };
    assert_eq!(decode(&head, LIMIT), Err(refused));
    assert_eq!(decode(&head, u32::MAX), Ok(Step::NeedMore(u32::MAX as usize)));
}

/// A session's receive side at its simplest.
#[derive(Default)]
struct Reader {
    buffer: Vec<u8>,
    bytes: Vec<Vec<u8>>,
}

impl Reader {
    fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        while let Step::Frame(frame, used) = decode(&self.buffer, LIMIT).unwrap() {
            assert_eq!(used, HEADER_LEN + frame.body.len());
            self.bytes.push(self.buffer.drain(..used).collect());
        }
    }

    fn saw_exactly(self, expected: &[Vector]) {
        assert!(self.buffer.is_empty());
        assert!(self.bytes.iter().eq(expected.iter().map(|vector| &vector.bytes)));
    }
}
