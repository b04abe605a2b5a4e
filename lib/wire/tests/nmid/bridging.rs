//! Calls between the generations, byte for byte as the specification has them.

use msf_wire::nmid::{
    Answer, Dialect, DoJob, Job, Params, RetStruct, Return, for_first_generation, to_first, to_second,
};

use crate::vectors::frame;

const ID: &[u8] = b"26dbf8e0-cf1c-4f32-a377-0e29d0312e3c";

/// V8 and its like in JSON, V12, become the same job.
#[test]
fn a_g2_request_is_handed_to_a_g0_worker_as_v27_says() {
    for request in ["V8", "V12"] {
        let request = frame(request);
        let (_, asked) = DoJob::parse(request.body()).unwrap();
        let params = to_first(asked.params).unwrap();
        let mut out = Vec::new();
        Job { function: asked.function, params: Params::untyped(&params), id: b"" }.append_to(Dialect::G0, &mut out);
        assert_eq!(out, frame("V27.1").bytes, "{}", request.name);
    }
}

#[test]
fn the_g0_workers_result_reaches_the_g2_client_as_v28_says_with_his_own_params() {
    let (request, result) = (frame("V8"), frame("V27.2"));
    let (_, asked) = DoJob::parse(request.body()).unwrap();
    let returned = Return::parse(result.body()).unwrap();
    assert_eq!(returned.id, None);
    let mut out = Vec::new();
    Answer { function: asked.function, params: asked.params.bytes, ret: returned.ret }.append_to(&mut out);
    assert_eq!(out, frame("V28").bytes);
    assert_eq!(RetStruct::parse(returned.ret), Some(RetStruct { code: 0, msg: b"OK", data: b"NMID" }));
}

#[test]
fn a_g0_request_is_handed_to_a_g2_worker_as_v29_says() {
    let request = frame("V14");
    let (dialect, asked) = DoJob::parse(request.body()).unwrap();
    assert_eq!(dialect, Dialect::G0);
    let params = to_second(asked.params);
    let mut out = Vec::new();
    let job = Job { function: asked.function, params: Params { bytes: &params, ..asked.params }, id: ID };
    job.append_to(Dialect::G2, &mut out);
    assert_eq!(out, frame("V29").bytes);
}

#[test]
fn a_g0_request_is_handed_to_a_g0_worker_as_v15_says_and_answered_as_v17_says() {
    let (request, result) = (frame("V14"), frame("V16"));
    let (_, asked) = DoJob::parse(request.body()).unwrap();
    let params = to_first(asked.params).unwrap();
    let mut out = Vec::new();
    Job { function: asked.function, params: Params::untyped(&params), id: b"" }.append_to(Dialect::G0, &mut out);
    assert_eq!(out, frame("V15").bytes);

    let returned = Return::parse(result.body()).unwrap();
    let ret = for_first_generation(returned.ret).unwrap();
    let mut out = Vec::new();
    Answer { function: asked.function, params: asked.params.bytes, ret: &ret }.append_to(&mut out);
    assert_eq!(out, frame("V17").bytes);
}

#[test]
fn a_g2_call_passes_without_a_byte_changed() {
    for (request, job, id) in
        [("V8", "V9", ID), ("V12", "V13", ID), ("V26.1", "V26.3", b"000000000000000000000000000000000a0a")]
    {
        let request = frame(request);
        let (_, asked) = DoJob::parse(request.body()).unwrap();
        let expected = frame(job);
        let id = expected.id().unwrap_or(id);
        let mut out = Vec::new();
        Job { function: asked.function, params: asked.params, id }.append_to(Dialect::G2, &mut out);
        assert_eq!(out, expected.bytes, "{job}");
    }
}

/// `sw8` and whatever else tracing puts beside the arguments is the worker's business.
#[test]
fn the_params_of_a_traced_call_pass_untouched() {
    let request = frame("V30");
    let (_, asked) = DoJob::parse(request.body()).unwrap();
    assert_eq!(to_second(asked.params), asked.params.bytes);
    let mut out = Vec::new();
    Job { function: asked.function, params: asked.params, id: ID }.append_to(Dialect::G2, &mut out);
    let job = Job::parse(&out[12..], Dialect::G2).unwrap();
    assert_eq!(job.params.bytes, request.hex("params"));
}

/// A carrier has an empty correlation and colons: a G0 worker would not survive it.
#[test]
fn a_traced_call_is_not_handed_to_a_g0_worker() {
    let request = frame("V30");
    let (_, asked) = DoJob::parse(request.body()).unwrap();
    assert!(to_first(asked.params).is_err());
}

/// Two clients, one worker that answers in the other order: the id finds the client.
#[test]
fn answers_out_of_order_go_by_their_ids() {
    let answers = [("V26.5", "V26.4", "V26.7", "V26.2"), ("V26.6", "V26.3", "V26.8", "V26.1")];
    for (result, job, answer, request) in answers.map(|(a, b, c, d)| (frame(a), frame(b), frame(c), frame(d))) {
        let returned = Return::parse(result.body()).unwrap();
        assert_eq!(returned.id, job.id());
        let (_, asked) = DoJob::parse(request.body()).unwrap();
        let mut out = Vec::new();
        Answer { function: asked.function, params: asked.params.bytes, ret: returned.ret }.append_to(&mut out);
        assert_eq!(out, answer.bytes, "{}", answer.name);
    }
}
