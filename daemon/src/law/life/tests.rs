//! The review of `step`: every pair, and the lives that matter.

use super::*;

fn rules() -> Rules {
    Rules {
        restart: Restart::default(),
        start_timeout: Some(Duration::from_secs(3)),
        stop_timeout: Duration::from_secs(5),
        look_again: Duration::from_secs(1),
        upgrade_timeout: Duration::from_secs(7),
    }
}

fn alive(phase: Phase) -> Life {
    Life { phase, ..Life::NEW }
}

/// What becomes of every phase by every event, with a full bucket: the review of `step`.
#[test]
fn every_event_in_every_phase() {
    let at = Instant::now();
    let phases = [
        Phase::Down,
        Phase::Held(Reason::Requires),
        Phase::Starting,
        Phase::Up(at),
        Phase::Waiting,
        Phase::Stopping(Next::Down),
        Phase::Stopping(Next::Fresh),
        Phase::Stopping(Next::ByLaw(Duration::ZERO)),
        Phase::Stopping(Next::Held),
        Phase::Upgrading(at),
    ];
    let row = |row: &str| row.split(", ").map(str::to_owned).collect::<Vec<_>>();
    let events = [
        (Event::WantUp, row("held look, held, starting, up, waiting, again, again, by law, on hold, upgrading")),
        (
            Event::WantDown,
            row("down, down, ending stop arm, ending stop arm, down, ending, ending, ending, ending, \
                 ending disown stop arm"),
        ),
        (
            Event::Restart,
            row("held look, held look, again stop arm, again stop arm, held look, again, again, again, again, \
                 again disown stop arm"),
        ),
        (Event::Look, row("down, held look, starting, up, waiting, ending, again, by law, on hold, upgrading")),
        (Event::Present, row("down, starting spawn, starting, up, waiting, ending, again, by law, on hold, upgrading")),
        (
            Event::Absent(Reason::Missing),
            row("down, held arm, starting, up, waiting, ending, again, by law, on hold, upgrading"),
        ),
        (
            Event::Absent(Reason::After),
            row("down, held, starting, up, waiting, ending, again, by law, on hold, upgrading"),
        ),
        (
            Event::Lost,
            row("down, held, on hold stop arm, on hold stop arm, waiting, ending, again, by law, on hold, \
                 on hold disown stop arm"),
        ),
        (Event::Spawned, row("down, held, starting arm, up, waiting, ending, again, by law, on hold, upgrading arm")),
        (
            Event::Unstartable { chance: 0 },
            row("down, held, waiting arm, up, waiting, ending, again, by law, on hold, up"),
        ),
        (Event::Ready(at), row("down, held, up, up, waiting, ending, again, by law, on hold, up promote")),
        (
            Event::Unhealthy(at),
            row("down, held, by law stop arm, by law stop arm, waiting, ending, again, by law, on hold, \
                 by law disown stop arm"),
        ),
        (
            Event::Died { at, clean: true, chance: 0 },
            row("down, held, held look, held look, waiting, down, held look, held look, held look, \
                 starting promote arm"),
        ),
        (
            Event::Upgrade,
            row("down, held, starting, upgrading heir, waiting, ending, again, by law, on hold, upgrading"),
        ),
        (Event::HeirDied, row("down, held, starting, up, waiting, ending, again, by law, on hold, up")),
        (
            Event::Timeout,
            row("down, held look, by law stop arm, up, held look, ending kill arm, again kill arm, \
                 by law kill arm, on hold kill arm, up disown"),
        ),
    ];
    for (event, row) in events {
        assert_eq!(row.len(), phases.len());
        for (phase, expected) in phases.into_iter().zip(row) {
            let (life, actions) = step(&rules(), alive(phase), event);
            assert_eq!(told(life.phase, &actions), expected, "{phase:?} {event:?}");
        }
    }
}

fn told(phase: Phase, actions: &[Action]) -> String {
    let phase = match phase {
        Phase::Down => "down",
        Phase::Held(_) => "held",
        Phase::Starting => "starting",
        Phase::Up(_) => "up",
        Phase::Upgrading(_) => "upgrading",
        Phase::Waiting => "waiting",
        Phase::Stopping(Next::Down) => "ending",
        Phase::Stopping(Next::Fresh) => "again",
        Phase::Stopping(Next::ByLaw(_)) => "by law",
        Phase::Stopping(Next::Held) => "on hold",
    };
    let word = |action: &Action| match action {
        Action::Look => " look",
        Action::Spawn => " spawn",
        Action::Arm(_) => " arm",
        Action::Terminate => " stop",
        Action::Kill => " kill",
        Action::SpawnHeir => " heir",
        Action::EndHeir => " disown",
        Action::Promote => " promote",
    };
    phase.to_owned() + &actions.iter().map(word).collect::<String>()
}

#[test]
fn who_is_not_to_come_back_stays_down_and_who_failed_may() {
    let at = Instant::now();
    let died = |clean| Event::Died { at, clean, chance: 0 };
    let of = |policy| Rules { restart: Restart { policy, ..Restart::default() }, ..rules() };
    let after = |policy, phase, event| step(&of(policy), alive(phase), event).0.phase;
    let looking = Phase::Held(Reason::Looking);
    for (policy, clean, failed) in [
        (Policy::Always, looking, looking),
        (Policy::OnFailure, Phase::Down, looking),
        (Policy::Never, Phase::Down, Phase::Down),
    ] {
        for phase in [Phase::Starting, Phase::Up(at)] {
            assert_eq!((after(policy, phase, died(true)), after(policy, phase, died(false))), (clean, failed));
        }
        // Ended by us because it was ill: how it ended says nothing.
        assert_eq!(after(policy, Phase::Stopping(Next::ByLaw(Duration::ZERO)), died(true)), failed);
    }
    assert_eq!(after(Policy::Never, Phase::Starting, Event::Unstartable { chance: 0 }), Phase::Down);
    assert_eq!(after(Policy::OnFailure, Phase::Starting, Event::Unstartable { chance: 0 }), Phase::Waiting);
}

#[test]
fn a_program_that_never_runs_waits_longer_and_longer_and_is_never_given_up() {
    let rules = rules();
    let mut life = alive(Phase::Starting);
    let mut waits = Vec::new();
    for _ in 0..40 {
        let (next, actions) = step(&rules, life, Event::Unstartable { chance: 0 });
        let [Action::Arm(delay)] = actions[..] else { panic!("{actions:?}") };
        waits.push(delay);
        life = step(&rules, step(&rules, next, Event::Timeout).0, Event::Present).0;
        assert_eq!(life.phase, Phase::Starting);
    }
    assert_eq!(waits.first(), Some(&rules.restart.delay));
    assert!(waits.is_sorted());
    assert_eq!(waits.last(), Some(&rules.restart.delay_max));
    assert_eq!(life.restarts, 40);
}

#[test]
fn who_is_killed_for_being_ill_after_a_long_life_has_a_full_bucket() {
    let rules = Rules { restart: Restart { immediate: 1, ..Restart::default() }, ..rules() };
    let since = Instant::now();
    let at = since + rules.restart.reset;
    let (ill, _) = step(&rules, alive(Phase::Up(since)), Event::Unhealthy(at));
    let (life, actions) = step(&rules, ill, Event::Died { at, clean: false, chance: 0 });
    assert_eq!((life.phase, &actions[..]), (Phase::Held(Reason::Looking), &[Action::Look][..]));
    let (ill, _) = step(&rules, Life { phase: Phase::Up(at), ..life }, Event::Unhealthy(at));
    assert_eq!(step(&rules, ill, Event::Died { at, clean: false, chance: 0 }).0.phase, Phase::Waiting);
}

/// A driver without a system: a process that may be there, and its heir, a timer that may be armed, needs that may
/// be met.
#[derive(Default)]
struct Toy {
    process: bool,
    heir: bool,
    timer: bool,
    random: u64,
}

impl Toy {
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33
    }

    /// Something that may happen now.
    fn event(&mut self, at: Instant) -> Option<Event> {
        let clean = self.draw() & 1 == 0;
        Some(match self.draw() % 14 {
            0 | 1 => Event::WantUp,
            2 => Event::WantDown,
            3 => Event::Restart,
            4 => Event::Look,
            5 => Event::Lost,
            6 => Event::Ready(at),
            7 => Event::Unhealthy(at),
            8 | 9 if self.process => Event::Died { at, clean, chance: 9 },
            10 | 11 => Event::Upgrade,
            12 if self.heir => Event::HeirDied,
            _ if self.timer => Event::Timeout,
            _ => return None,
        })
    }

    /// What the action answers with.
    fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Look if self.draw() & 1 == 0 => return Some(Event::Present),
            Action::Look => {
                let reasons = [Reason::After, Reason::Requires, Reason::Missing];
                return Some(Event::Absent(reasons[(self.draw() % 3) as usize]));
            }
            Action::Spawn => {
                assert!(!self.process, "a second process");
                self.process = self.draw() & 3 != 0;
                return Some(if self.process { Event::Spawned } else { Event::Unstartable { chance: 9 } });
            }
            Action::Terminate | Action::Kill => assert!(self.process, "nobody to end"),
            Action::Arm(_) => self.timer = true,
            Action::SpawnHeir => {
                assert!(self.process && !self.heir, "a third process");
                self.heir = self.draw() & 3 != 0;
                return Some(if self.heir { Event::Spawned } else { Event::Unstartable { chance: 9 } });
            }
            Action::EndHeir => assert!(std::mem::take(&mut self.heir), "no heir to end"),
            Action::Promote => {
                assert!(std::mem::take(&mut self.heir), "nobody to promote");
                self.process = true;
            }
        }
        None
    }
}

#[test]
fn whatever_happens_there_is_one_process_at_most_and_nobody_who_is_to_run_is_forgotten() {
    for policy in [Policy::Always, Policy::OnFailure, Policy::Never] {
        let rules = Rules { restart: Restart { immediate: 1, policy, ..Restart::default() }, ..rules() };
        let mut at = Instant::now();
        let (mut life, mut toy) = (Life::NEW, Toy::default());
        for _ in 0..100_000 {
            at += Duration::from_millis(toy.draw() & 0xfff);
            let Some(event) = toy.event(at) else { continue };
            toy.process &= !matches!(event, Event::Died { .. });
            toy.heir &= event != Event::HeirDied;
            toy.timer &= event != Event::Timeout;
            let mut events = vec![event];
            while let Some(event) = events.pop() {
                let before = life.phase;
                let (next, actions) = step(&rules, life, event);
                life = next;
                toy.timer &= before.keeps_timer(life.phase);
                let answers: Vec<Event> = actions.into_iter().filter_map(|action| toy.act(action)).collect();
                events.extend(answers);
            }
            match life.phase {
                Phase::Down => assert!(!toy.process && !toy.timer),
                Phase::Held(Reason::Looking) => panic!("looking is over when the driver is done"),
                Phase::Held(Reason::Missing) => assert!(!toy.process && toy.timer),
                Phase::Held(_) => assert!(!toy.process && !toy.timer),
                Phase::Starting => assert!(toy.process && toy.timer),
                Phase::Up(_) => assert!(toy.process && !toy.timer),
                Phase::Upgrading(_) => assert!(toy.process && toy.heir && toy.timer),
                Phase::Waiting => assert!(!toy.process && toy.timer),
                Phase::Stopping(_) => assert!(toy.process && toy.timer),
            }
            assert!(matches!(life.phase, Phase::Upgrading(_)) || !toy.heir, "an heir of nobody");
        }
    }
}

#[test]
fn an_upgrade_is_no_restart_and_costs_nothing_of_the_bucket() {
    let rules = Rules { restart: Restart { immediate: 1, ..Restart::default() }, ..rules() };
    let at = Instant::now();
    let before = Life { restarts: 3, ..alive(Phase::Up(at)) };
    let (coming, _) = step(&rules, before, Event::Upgrade);
    for (event, phase) in [
        (Event::Ready(at), Phase::Up(at)),
        (Event::HeirDied, Phase::Up(at)),
        (Event::Timeout, Phase::Up(at)),
        (Event::Died { at, clean: true, chance: 0 }, Phase::Starting),
        (Event::Died { at, clean: false, chance: 0 }, Phase::Starting),
    ] {
        assert_eq!(step(&rules, coming, event).0, Life { phase, ..before }, "{event:?}");
    }
}

#[test]
fn a_restart_by_hand_forgets_the_deaths() {
    let rules = Rules { restart: Restart { immediate: 0, ..Restart::default() }, ..rules() };
    let died = Event::Died { at: Instant::now(), clean: false, chance: 0 };
    let (life, _) = step(&rules, alive(Phase::Starting), died);
    assert_eq!(life.phase, Phase::Waiting);
    assert_eq!(step(&rules, life, Event::Restart).0, alive(Phase::Held(Reason::Looking)));
}
