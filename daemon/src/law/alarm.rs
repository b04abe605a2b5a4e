//! Alarms: what is worth telling somebody far away, once when it begins and once when it is over. Pure.
//!
//! [`raised_by`] and [`is_ended_by`] say what a change of a phase raises and what it ends; who looks after a process's health raises and
//! ends what he finds himself. The [`Book`] knows what is open, so that everything is told once.

use super::life::{Event, Next, Phase, Reason};
use std::collections::BTreeMap;

/// Something is wrong with a process, or is no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// What.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// In words, for people.
    pub text: String,
    /// It is over.
    pub recovered: bool,
}

/// What can be wrong. Of one process each is told once until it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It dies as soon as it is started, and its bucket is empty.
    CrashLoop,
    /// It cannot even be executed.
    NotStarted,
    /// It has failed, and is not to be started again.
    Failed,
    /// Something that it waits for is not there.
    Held,
    /// It was not ready in time.
    StartTimeout,
    /// It did not end in time, and was killed.
    StopTimeout,
    /// It runs, and does not do what it is for.
    Health,
    /// It has not said for too long that it is alive.
    Heartbeat,
    /// It uses too much memory.
    Memory,
    /// It will use too much memory.
    MemoryTrend,
    /// It uses too much of the processors.
    Cpu,
    /// It has too many files open.
    Files,
    /// It has too many threads.
    Threads,
    /// Something inside of it is not well, as it says itself.
    Inside,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Somebody should look at it.
    Warning,
    /// What the process is for is not done.
    Critical,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 14] = [
        Kind::CrashLoop,
        Kind::NotStarted,
        Kind::Failed,
        Kind::Held,
        Kind::StartTimeout,
        Kind::StopTimeout,
        Kind::Health,
        Kind::Heartbeat,
        Kind::Memory,
        Kind::MemoryTrend,
        Kind::Cpu,
        Kind::Files,
        Kind::Threads,
        Kind::Inside,
    ];

    /// The one of this word.
    pub fn of(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// As people and programs see it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::CrashLoop => "crash-loop",
            Kind::NotStarted => "not-started",
            Kind::Failed => "failed",
            Kind::Held => "held",
            Kind::StartTimeout => "start-timeout",
            Kind::StopTimeout => "stop-timeout",
            Kind::Health => "health",
            Kind::Heartbeat => "heartbeat",
            Kind::Memory => "memory",
            Kind::MemoryTrend => "memory-trend",
            Kind::Cpu => "cpu",
            Kind::Files => "files",
            Kind::Threads => "threads",
            Kind::Inside => "inside",
        }
    }
}

impl Severity {
    /// The one of this word.
    pub fn of(word: &str) -> Option<Severity> {
        [Severity::Warning, Severity::Critical].into_iter().find(|severity| severity.word() == word)
    }

    /// As people and programs see it.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// What is raised.
pub type Raised = (Kind, Severity);

/// What becoming `to` by `event` raises, if anything.
pub fn raised_by(from: Phase, to: Phase, event: Event) -> Option<Raised> {
    use Severity::{Critical, Warning};
    match (from, to, event) {
        (Phase::Starting, Phase::Stopping(_), Event::Timeout) => Some((Kind::StartTimeout, Warning)),
        (_, Phase::Waiting, Event::Died { .. }) => Some((Kind::CrashLoop, Critical)),
        (_, Phase::Waiting, Event::Unstartable { .. }) => Some((Kind::NotStarted, Critical)),
        (Phase::Starting, Phase::Down, Event::Unstartable { .. }) => Some((Kind::NotStarted, Critical)),
        (Phase::Starting | Phase::Up(_), Phase::Down, Event::Died { clean: false, .. }) => {
            Some((Kind::Failed, Critical))
        }
        // Ended for its own good, however it took that, and its law wants no other.
        (Phase::Stopping(Next::ByLaw(_)), Phase::Down, Event::Died { .. }) => Some((Kind::Failed, Critical)),
        (_, Phase::Held(Reason::Missing), _) => Some((Kind::Held, Warning)),
        _ => None,
    }
}

/// Whether becoming `to` by `event` ends `kind`. That a crash loop is over shows only in the process staying up.
pub fn is_ended_by(kind: Kind, from: Phase, to: Phase, event: Event) -> bool {
    match (kind, to) {
        (Kind::StopTimeout, _) => matches!((from, event), (Phase::Stopping(_), Event::Died { .. })),
        (Kind::CrashLoop, Phase::Up(_)) => false,
        // Its health is the business of whoever has found fault with it.
        // A new one has to say it anew.
        (Kind::NotStarted | Kind::Failed | Kind::Held | Kind::StartTimeout | Kind::Inside, Phase::Up(_)) => true,
        (Kind::Held, _) => !matches!(to, Phase::Held(_)),
        // Who is down because somebody wants it so has nothing wrong with it any more.
        (_, Phase::Down) => raised_by(from, to, event).is_none(),
        _ => false,
    }
}

/// What is open.
#[derive(Debug, Default)]
pub struct Book {
    open: BTreeMap<(u64, Kind), Severity>,
}

impl Book {
    /// Takes an alarm of `service` down; whether it is to be told. One that is open is told again only when it has become
    /// worse.
    pub fn enter(&mut self, service: u64, alarm: &Alarm) -> bool {
        let place = (service, alarm.kind);
        if alarm.recovered {
            return self.open.remove(&place).is_some();
        }
        self.open.insert(place, alarm.severity).is_none_or(|before| before < alarm.severity)
    }

    /// What a daemon before us has told is open: it is not told again before it is worse, and its end is.
    pub fn reopen(&mut self, service: u64, (kind, severity): Raised) {
        self.open.insert((service, kind), severity);
    }

    /// What is open of `service`.
    pub fn of(&self, service: u64) -> Vec<Raised> {
        let all = self.open.iter().filter(|((owner, _), _)| *owner == service);
        all.map(|((_, kind), severity)| (*kind, *severity)).collect()
    }

    /// Whether `kind` is open of `service`.
    pub fn has(&self, service: u64, kind: Kind) -> bool {
        self.open.contains_key(&(service, kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn alarm(severity: Severity, recovered: bool) -> Alarm {
        Alarm { kind: Kind::Memory, severity, text: String::new(), recovered }
    }

    #[test]
    fn an_alarm_is_told_once_until_it_is_worse_or_over() {
        let mut book = Book::default();
        assert!(!book.enter(1, &alarm(Severity::Warning, true)));
        assert!(book.enter(1, &alarm(Severity::Warning, false)));
        assert!(!book.enter(1, &alarm(Severity::Warning, false)));
        assert!(book.enter(2, &alarm(Severity::Warning, false)));
        assert!(book.enter(1, &alarm(Severity::Critical, false)));
        assert!(!book.enter(1, &alarm(Severity::Critical, false)));
        assert!(book.enter(1, &alarm(Severity::Critical, true)));
        assert!(!book.enter(1, &alarm(Severity::Critical, true)));
        assert!(book.enter(1, &alarm(Severity::Warning, false)));
    }

    #[test]
    fn what_was_told_before_us_is_not_told_again_and_its_end_is() {
        let mut book = Book::default();
        book.reopen(1, (Kind::Memory, Severity::Warning));
        assert!(!book.enter(1, &alarm(Severity::Warning, false)));
        assert!(book.enter(1, &alarm(Severity::Critical, false)));
        assert!(book.enter(1, &alarm(Severity::Critical, true)));
        assert_eq!(book.of(1), []);
    }

    #[test]
    fn words_lead_back_to_what_they_stand_for() {
        assert!(Kind::ALL.into_iter().all(|kind| Kind::of(kind.word()) == Some(kind)));
        assert_eq!(
            ["warning", "critical", "?"].map(Severity::of),
            [Some(Severity::Warning), Some(Severity::Critical), None]
        );
        assert_eq!(Kind::of(""), None);
    }

    #[test]
    fn what_goes_wrong_raises_and_what_was_asked_for_does_not() {
        let at = Instant::now();
        let died = |clean| Event::Died { at, clean, chance: 0 };
        let unstartable = Event::Unstartable { chance: 0 };
        let kind = |from, to, event| raised_by(from, to, event).map(|(kind, _)| kind);
        let stopping = Phase::Stopping(Next::ByLaw(std::time::Duration::ZERO));
        assert_eq!(kind(Phase::Up(at), Phase::Waiting, died(true)), Some(Kind::CrashLoop));
        assert_eq!(kind(stopping, Phase::Waiting, died(false)), Some(Kind::CrashLoop));
        assert_eq!(kind(Phase::Up(at), Phase::Held(Reason::Looking), died(false)), None);
        assert_eq!(kind(Phase::Up(at), Phase::Down, died(false)), Some(Kind::Failed));
        assert_eq!(kind(Phase::Up(at), Phase::Down, died(true)), None);
        assert_eq!(kind(Phase::Stopping(Next::Down), Phase::Down, died(false)), None);
        assert_eq!(kind(stopping, Phase::Down, died(true)), Some(Kind::Failed));
        assert_eq!(kind(Phase::Starting, Phase::Waiting, unstartable), Some(Kind::NotStarted));
        assert_eq!(kind(Phase::Starting, Phase::Down, unstartable), Some(Kind::NotStarted));
        assert_eq!(kind(Phase::Starting, stopping, Event::Timeout), Some(Kind::StartTimeout));
        assert_eq!(kind(Phase::Starting, stopping, Event::Restart), None);
        let (looking, missing) = (Phase::Held(Reason::Looking), Phase::Held(Reason::Missing));
        assert_eq!(kind(looking, missing, Event::Absent(Reason::Missing)), Some(Kind::Held));
        let (after, requires) = (Phase::Held(Reason::After), Phase::Held(Reason::Requires));
        assert_eq!(kind(looking, after, Event::Absent(Reason::After)), None);
        assert_eq!(kind(looking, requires, Event::Absent(Reason::Requires)), None);
    }

    #[test]
    fn what_is_over_is_over() {
        let at = Instant::now();
        let died = Event::Died { at, clean: false, chance: 0 };
        let (up, starting, stopping) = (Phase::Up(at), Phase::Starting, Phase::Stopping(Next::Down));
        for kind in [Kind::NotStarted, Kind::Failed, Kind::Held, Kind::StartTimeout, Kind::Inside] {
            assert!(is_ended_by(kind, starting, up, Event::Ready(at)), "{kind:?}");
        }
        // It has only been started.
        assert!(!is_ended_by(Kind::CrashLoop, starting, up, Event::Ready(at)));
        assert!(!is_ended_by(Kind::Memory, starting, up, Event::Ready(at)));
        assert!(is_ended_by(Kind::Memory, stopping, Phase::Down, died));
        assert!(is_ended_by(Kind::CrashLoop, Phase::Waiting, Phase::Down, Event::WantDown));
        assert!(!is_ended_by(Kind::Failed, up, Phase::Down, died));
        // Ill, ended for that, and never to come back: that is no recovery.
        let put_down = Phase::Stopping(Next::ByLaw(std::time::Duration::ZERO));
        assert!(!is_ended_by(Kind::Health, put_down, Phase::Down, died));
        assert!(is_ended_by(Kind::StopTimeout, stopping, Phase::Down, died));
        assert!(!is_ended_by(Kind::StopTimeout, up, stopping, Event::WantDown));
        assert!(is_ended_by(Kind::Held, Phase::Held(Reason::Missing), starting, Event::Present));
        assert!(!is_ended_by(Kind::Held, starting, Phase::Held(Reason::Looking), died));
    }
}
