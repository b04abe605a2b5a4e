//! What a run showed, and whether that is good enough.

use super::Kill;
use super::caller::{Call, Outcome};
use std::fmt;
use std::time::Duration;

/// A caller waiting on a killed service must know within this.
const NOTICE: Duration = Duration::from_millis(100);
/// Calls that begin within this after a kill of their service may fail.
const GRACE: Duration = Duration::from_secs(1);

/// The counts of one run.
#[derive(Debug, Default)]
pub struct Report {
    total: usize,
    right: usize,
    wrong: usize,
    lost: usize,
    refused: usize,
    kills: usize,
    late: usize,
    longest_notice: Duration,
    calm: usize,
    calm_right: usize,
    median: Duration,
    p99: Duration,
}

impl Report {
    /// Counts `calls` against `kills`.
    pub fn new(calls: Vec<Call>, kills: Vec<Kill>) -> Report {
        let mut report = Report { total: calls.len(), kills: kills.len(), ..Report::default() };
        let mut times: Vec<Duration> = Vec::with_capacity(calls.len());
        for call in &calls {
            match call.outcome {
                Outcome::Right => report.right += 1,
                Outcome::Wrong => report.wrong += 1,
                Outcome::Refused => report.refused += 1,
                Outcome::Lost => report.lost += 1,
            }
            report.count_kills(call, &kills);
            times.push(call.ended - call.begun);
        }
        times.sort_unstable();
        report.median = times.get(times.len() / 2).copied().unwrap_or_default();
        report.p99 = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
        report
    }

    fn count_kills(&mut self, call: &Call, kills: &[Kill]) {
        let mut calm = true;
        for kill in kills.iter().filter(|kill| kill.service == call.service) {
            if call.begun <= kill.at && kill.at < call.ended {
                let notice = call.ended - kill.at;
                self.longest_notice = self.longest_notice.max(notice);
                self.late += usize::from(notice > NOTICE);
            }
            calm &= !(kill.at <= call.ended && call.begun <= kill.at + GRACE);
        }
        self.calm += usize::from(calm);
        self.calm_right += usize::from(calm && call.answered());
    }

    /// Nothing wrong, nothing lost, nobody waiting on the dead, and nearly all calm calls answered.
    pub fn passed(&self) -> bool {
        let unharmed =
            if self.kills == 0 { self.calm_right == self.calm } else { self.calm_right * 100 >= self.calm * 99 };
        self.right > 0 && self.calm > 0 && self.wrong == 0 && self.lost == 0 && self.late == 0 && unharmed
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { total, right, wrong, lost, refused, .. } = self;
        writeln!(f, "calls {total}: {right} right, {wrong} wrong, {lost} lost, {refused} refused")?;
        writeln!(f, "time per call: median {:?}, p99 {:?}", self.median, self.p99)?;
        if self.kills > 0 {
            writeln!(
                f,
                "kills {}: longest notice {:?}, {} later than {NOTICE:?}",
                self.kills, self.longest_notice, self.late
            )?;
            let share = 100.0 * self.calm_right as f64 / self.calm.max(1) as f64;
            writeln!(f, "calls outside {GRACE:?} after a kill: {share:.3} % of {} answered", self.calm)?;
        }
        writeln!(f, "{}", if self.passed() { "passed" } else { "FAILED" })
    }
}
