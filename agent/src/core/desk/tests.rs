//! The desk's promises, one by one, without threads and sockets.

use super::super::routes::{self, Tables};
use super::super::rules::Rulebook;
use super::*;
use crate::observe::function::{FunctionTally, Tally};

const ANNA: Caller = Caller { address: Address { reactor: 0, session: 100 }, ticket: 1 };
const BERT: Caller = Caller { address: Address { reactor: 0, session: 101 }, ticket: 1 };
const ONE: u32 = 1;
const TWO: u32 = 2;
/// Milliseconds; so many a job may take here.
const DEADLINE: u64 = 1000;

/// A desk whose function `F` is under these rules, and the routes that say so.
fn desk(change: impl FnOnce(&mut Rules)) -> (Desk, Routes) {
    let mut rules = Rules { deadline: Duration::from_millis(DEADLINE), ..Rules::default() };
    change(&mut rules);
    let rulebook = Rulebook { usual: Arc::new(rules), ..Rulebook::default() };
    let tables = Tables { rulebook: Arc::new(rulebook), ..Default::default() };
    let routes = Routes::none(1).succeed(tables);
    (Desk::new(0, 1, 1, Instant::now()), routes)
}

fn named(name: &str) -> Identity {
    Identity { name: name.as_bytes().to_vec(), host: None }
}

fn hire(desk: &mut Desk, routes: &Routes, session: u32) {
    assert!(desk.offer(session, &named(&format!("W{session}")), b"F", routes));
    desk.ready(session, false);
}

fn submit(desk: &mut Desk, caller: Caller) -> Verdict {
    let call = Call { function: b"F", params: super::super::message::Params::untyped(b"x"), patience: None };
    desk.submit(caller, &call, None, Past::default())
}

/// A call that is given to a worker at once.
fn sent(desk: &mut Desk, caller: Caller) -> (u32, JobId) {
    let Verdict::Send(worker, id) = submit(desk, caller) else { panic!("not sent") };
    (worker, id)
}

fn queued(desk: &mut Desk, caller: Caller) -> JobId {
    let Verdict::Queued(id) = submit(desk, caller) else { panic!("not queued") };
    id
}

fn at(desk: &mut Desk, millis: u64) {
    desk.tell_time(millis * 1000);
    desk.expire();
}

fn result(desk: &mut Desk, id: JobId, session: u32) -> Settled {
    desk.complete(id, Some(session), &named(&format!("W{session}")), true)
}

#[test]
fn a_call_for_which_there_is_nobody_is_refused() {
    let (mut desk, routes) = desk(|_| {});
    assert_eq!(submit(&mut desk, ANNA), Verdict::Refused(Failure::NoWorker));
    hire(&mut desk, &routes, ONE);
    assert!(desk.withdraw(ONE, b"F") && !desk.withdraw(ONE, b"F"));
    assert_eq!(submit(&mut desk, ANNA), Verdict::Refused(Failure::NoWorker));
}

#[test]
fn a_worker_that_is_done_gets_what_waits() {
    let (mut desk, routes) = desk(|rules| rules.queue_limit = 1);
    hire(&mut desk, &routes, ONE);
    let (worker, first) = sent(&mut desk, ANNA);
    let second = queued(&mut desk, BERT);
    assert_eq!(submit(&mut desk, BERT), Verdict::Refused(Failure::Busy));
    assert_eq!(result(&mut desk, first, worker), Settled::Due(ANNA));
    assert_eq!(desk.errands(), [Errand::Send(ONE, second)]);
    assert_eq!(result(&mut desk, first, worker), Settled::Foreign, "once is enough");
    assert_eq!(result(&mut desk, second, worker), Settled::Due(BERT));
    assert!(desk.errands().is_empty() && desk.len() == 0);
}

#[test]
fn at_its_deadline_a_job_fails_and_its_worker_goes_on() {
    let (mut desk, routes) = desk(|_| {});
    hire(&mut desk, &routes, ONE);
    let (_, first) = sent(&mut desk, ANNA);
    at(&mut desk, DEADLINE / 2);
    let second = queued(&mut desk, BERT);
    assert!(desk.errands().is_empty());
    at(&mut desk, DEADLINE + 10);
    assert_eq!(desk.errands(), [Errand::Fail(ANNA, Failure::Deadline), Errand::Send(ONE, second)]);
    assert_eq!(result(&mut desk, first, ONE), Settled::Late);
    assert_eq!(result(&mut desk, second, ONE), Settled::Due(BERT));
}

#[test]
fn a_dead_workers_job_fails_and_what_waited_goes_to_the_next() {
    let (mut desk, routes) = desk(|_| {});
    hire(&mut desk, &routes, ONE);
    let (_, lost) = sent(&mut desk, ANNA);
    let waiting = queued(&mut desk, BERT);
    hire(&mut desk, &routes, TWO);
    assert_eq!(desk.errands(), [Errand::Send(TWO, waiting)]);
    desk.leave(ONE, Moment(500));
    assert_eq!(desk.errands(), [Errand::Fail(ANNA, Failure::Lost)]);
    assert_eq!(result(&mut desk, lost, TWO), Settled::Foreign);
}

#[test]
fn the_last_workers_queue_goes_elsewhere() {
    let (mut desk, routes) = desk(|_| {});
    hire(&mut desk, &routes, ONE);
    sent(&mut desk, ANNA);
    let waiting = queued(&mut desk, BERT);
    desk.leave(ONE, Moment(500));
    assert_eq!(desk.errands(), [Errand::Fail(ANNA, Failure::Lost), Errand::Forward(waiting)]);
    assert_eq!(desk.take(waiting).and_then(|job| job.caller), Some(BERT));
    assert_eq!(desk.len(), 0);
}

#[test]
fn an_idempotent_job_is_tried_again_under_another_id_as_often_as_it_may() {
    let (mut desk, routes) = desk(|rules| (rules.idempotent, rules.retries) = (true, 1));
    hire(&mut desk, &routes, ONE);
    let (_, first) = sent(&mut desk, ANNA);
    hire(&mut desk, &routes, TWO);
    desk.leave(ONE, Moment(500));
    let errands = desk.errands();
    let again = errands.iter().find_map(|errand| match errand {
        Errand::Send(TWO, id) => Some(*id),
        _ => None,
    });
    assert_ne!(again.unwrap(), first);
    assert!(desk.params(again.unwrap()).is_some());
    desk.leave(TWO, Moment(500));
    assert_eq!(desk.errands(), [Errand::Fail(ANNA, Failure::Lost)]);
}

#[test]
fn who_said_goodbye_may_bring_its_job_back_until_its_grace_is_over() {
    for (returns, who, settled) in
        [(400, "W1", Settled::Due(ANNA)), (400, "W2", Settled::Foreign), (510, "W1", Settled::Foreign)]
    {
        let (mut desk, routes) = desk(|_| {});
        hire(&mut desk, &routes, ONE);
        let (_, id) = sent(&mut desk, ANNA);
        desk.withdraw(ONE, b"F");
        desk.leave(ONE, Moment(500));
        assert!(desk.errands().is_empty());
        at(&mut desk, returns);
        assert_eq!(desk.complete(id, None, &named(who), true), settled, "{who} after {returns} ms");
        at(&mut desk, 520);
        let told = if settled == Settled::Due(ANNA) { vec![] } else { vec![Errand::Fail(ANNA, Failure::Lost)] };
        // Who was told when the time was over is told no second time.
        assert!(desk.len() == 0);
        assert_eq!(desk.errands(), told);
    }
}

#[test]
fn a_result_may_come_before_the_old_connections_end() {
    let (mut desk, routes) = desk(|_| {});
    hire(&mut desk, &routes, ONE);
    let (_, id) = sent(&mut desk, ANNA);
    assert_eq!(desk.complete(id, None, &named("W1"), true), Settled::Foreign, "it has not said goodbye");
    desk.withdraw(ONE, b"F");
    assert_eq!(desk.complete(id, None, &named("W1"), true), Settled::Due(ANNA));
    assert_eq!(desk.in_flight(ONE), 0);
}

#[test]
fn what_is_cancelled_never_begins_and_what_has_begun_ends_quietly() {
    let (mut desk, routes) = desk(|_| {});
    hire(&mut desk, &routes, ONE);
    let (_, begun) = sent(&mut desk, ANNA);
    queued(&mut desk, ANNA);
    let other = queued(&mut desk, Caller { ticket: 2, ..ANNA });
    desk.cancel(ANNA.address, Some(ANNA.ticket));
    assert_eq!(desk.len(), 2);
    assert_eq!(result(&mut desk, begun, ONE), Settled::Unwanted);
    assert_eq!(desk.errands(), [Errand::Send(ONE, other)]);
    desk.cancel(ANNA.address, None);
    assert!(!desk.is_awaited());
}

#[test]
fn what_is_given_away_is_in_turn_and_leaves_its_queue() {
    let (mut desk, routes) = desk(|_| {});
    hire(&mut desk, &routes, ONE);
    sent(&mut desk, ANNA);
    let annas = [queued(&mut desk, ANNA), queued(&mut desk, ANNA)];
    let berts = queued(&mut desk, BERT);
    let given: Vec<JobId> = std::iter::from_fn(|| desk.give_away(b"F")).collect();
    assert_eq!(given, [annas[0], berts, annas[1]]);
    assert!(given.iter().all(|id| desk.waiting(*id).is_none() && desk.take(*id).is_some()));
    assert_eq!(desk.len(), 1);
}

#[test]
fn who_mixes_jobs_up_loses_all_and_works_on() {
    let (mut desk, routes) = desk(|rules| rules.in_flight = 2);
    hire(&mut desk, &routes, ONE);
    assert!(desk.may_have_several(ONE));
    let (_, first) = sent(&mut desk, ANNA);
    sent(&mut desk, BERT);
    let waiting = queued(&mut desk, BERT);
    desk.distrust(ONE);
    let lost = [Errand::Fail(ANNA, Failure::Lost), Errand::Fail(BERT, Failure::Lost), Errand::Send(ONE, waiting)];
    assert_eq!(desk.errands(), lost);
    assert_eq!(result(&mut desk, first, ONE), Settled::Late);
}

#[test]
fn who_is_not_ready_or_is_held_gets_nothing() {
    let (mut desk, routes) = desk(|_| {});
    desk.offer(ONE, &named("W1"), b"F", &routes);
    let first = queued(&mut desk, ANNA);
    desk.ready(ONE, true);
    assert_eq!(desk.errands(), [Errand::Send(ONE, first)]);
    assert!(!desk.may_have_several(ONE));
    desk.hold(ONE, true);
    result(&mut desk, first, ONE);
    let second = queued(&mut desk, ANNA);
    assert!(desk.errands().is_empty());
    desk.hold(ONE, false);
    assert_eq!(desk.errands(), [Errand::Send(ONE, second)]);
}

#[test]
fn a_service_answers_by_number_and_its_end_fails_the_rest() {
    let (mut desk, routes) = desk(|_| {});
    desk.adopt(&routes);
    let ask = |desk: &mut Desk, caller| desk.ask(9, caller, b"UPNP/1", None, 3);
    let (first, wait) = ask(&mut desk, ANNA).unwrap();
    let (second, _) = ask(&mut desk, BERT).unwrap();
    assert_eq!(u64::from(wait), DEADLINE);
    ask(&mut desk, BERT).unwrap();
    assert_eq!(ask(&mut desk, ANNA), Err(Failure::Busy));
    assert_eq!(desk.answered(9, second), Settled::Due(BERT));
    assert_eq!(desk.answered(9, second), Settled::Late);
    at(&mut desk, DEADLINE / 2);
    desk.cancel(BERT.address, None);
    desk.service_left(9);
    assert_eq!(desk.errands(), [Errand::Fail(ANNA, Failure::Lost)]);
    assert_eq!((desk.answered(9, first), desk.len()), (Settled::Late, 0));
}

/// The routes with worker `ONE` of `F`, and what is counted for it.
fn counted(routes: &Routes) -> (Routes, Arc<Tally>) {
    let tally = Arc::new(Tally::default());
    let worker = routes::Worker {
        address: Address { reactor: 0, session: ONE },
        identity: 1,
        who: Arc::new(named("W1")),
        tally: Arc::clone(&tally),
    };
    let function = routes::Function {
        name: b"F".as_slice().into(),
        rules: Arc::clone(&routes.rulebook().usual),
        workers: vec![worker],
        tallies: [FunctionTally::default()].into(),
    };
    let rulebook = Arc::new(Rulebook { usual: Arc::clone(&routes.rulebook().usual), ..Rulebook::default() });
    let tables = Tables { functions: vec![Arc::new(function)], rulebook, ..Tables::default() };
    (routes.succeed(tables), tally)
}

#[test]
fn regress_a_result_is_a_success_whatever_its_worker_has_done_meanwhile() {
    for (leaves, back) in [(false, Some(ONE)), (true, None)] {
        let (mut desk, routes) = desk(|_| {});
        hire(&mut desk, &routes, ONE);
        let (routes, tally) = counted(&routes);
        desk.adopt(&routes);
        let (_, id) = sent(&mut desk, ANNA);
        desk.withdraw(ONE, b"F");
        if leaves {
            desk.leave(ONE, Moment(500));
        }
        assert_eq!(tally.sums().in_flight(), 1);
        assert_eq!(desk.complete(id, back, &named("W1"), true), Settled::Due(ANNA));
        let sums = tally.sums();
        assert_eq!((sums.requests, sums.success, sums.fail), (1, 1, 0), "left: {leaves}");
        assert_eq!(Arc::strong_count(&tally), 2, "the routes' and ours: it can be folded when they are others");
    }
}

#[test]
fn what_is_lost_is_counted_once_however_it_is_lost() {
    type Loss = fn(&mut Desk, JobId);
    let losses: [Loss; 6] = [
        |desk, id| desk.give_up(id, Failure::Error),
        |desk, _| at(desk, DEADLINE + 20),
        |desk, _| desk.leave(ONE, Moment(500)),
        |desk, _| desk.distrust(ONE),
        |desk, _| {
            desk.withdraw(ONE, b"F");
            desk.leave(ONE, Moment(500));
            at(desk, 520);
        },
        |desk, _| {
            desk.withdraw(ONE, b"F");
            desk.leave(ONE, Moment(5000));
            at(desk, DEADLINE + 20);
        },
    ];
    for (number, lose) in losses.into_iter().enumerate() {
        let (mut desk, routes) = desk(|_| {});
        hire(&mut desk, &routes, ONE);
        let (routes, tally) = counted(&routes);
        desk.adopt(&routes);
        let (_, id) = sent(&mut desk, ANNA);
        lose(&mut desk, id);
        let sums = tally.sums();
        assert_eq!((sums.requests, sums.success, sums.fail), (1, 0, 1), "{number}");
    }
}
