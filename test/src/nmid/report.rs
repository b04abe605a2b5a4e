//! What a run showed, as one line of JSON, and whether that is good enough.

use super::plan::{Plan, Role};
use super::tally::Tally;
use super::worker::Shift;
use std::fmt;
use std::time::Duration;

/// All that is known when everybody has gone.
#[derive(Debug)]
pub struct Report {
    chaos: bool,
    seconds: f64,
    callers: Vec<(Role, u32, Tally)>,
    workers: Shift,
    kills: u64,
    complaints: Vec<String>,
}

impl Report {
    /// Puts together what callers and workers have seen.
    pub fn new(plan: &Plan, callers: Vec<(Role, Tally)>, workers: Vec<Shift>, kills: u64) -> Report {
        let mut by_role: Vec<(Role, u32, Tally)> = Vec::new();
        for (role, tally) in callers {
            match by_role.iter_mut().find(|(known, ..)| *known == role) {
                Some((_, count, sum)) => {
                    *count += 1;
                    sum.add(tally);
                }
                None => by_role.push((role, 1, tally)),
            }
        }
        let mut sum = Shift::default();
        for shift in workers {
            sum.jobs += shift.jobs;
            sum.cuts += shift.cuts;
            sum.churns += shift.churns;
            sum.moves += shift.moves;
            sum.complaints.extend(shift.complaints);
        }
        let seconds = plan.length.as_secs_f64();
        let mut report =
            Report { chaos: plan.chaos, seconds, callers: by_role, workers: sum, kills, complaints: Vec::new() };
        report.complaints = report.judged();
        report
    }

    /// Nothing wrong, nothing twice, nothing unanswered.
    pub fn passed(&self) -> bool {
        self.complaints.is_empty()
    }

    /// What was wrong, one line each.
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    fn judged(&self) -> Vec<String> {
        let mut complaints = self.workers.complaints.clone();
        for (role, _, tally) in &self.callers {
            complaints.extend(tally.complaints.iter().cloned());
            let mut never = |count: u64, what: &str| {
                if count > 0 {
                    complaints.push(format!("{role:?}: {count} {what}"));
                }
            };
            never(tally.wrong, "wrong answers");
            never(tally.unasked, "answers nobody asked for");
            never(tally.unanswered, "requests without an answer");
            never(u64::from(!tally.adds_up()), "sum that is not the number of requests");
            never(u64::from(tally.right == 0), "right answer only");
            if !self.chaos {
                never(tally.failed, "requests failed though no worker did");
                never(tally.nobody, "requests for a function that nobody has");
                // Who asks on without waiting, and is answered in order, fills its own queue up to the deadline.
                let is_impatient = *role == Role::Impatient;
                never(if is_impatient { 0 } else { tally.left }, "requests whose caller left");
                let may_expire = is_impatient || *role == Role::Mute;
                never(if may_expire { 0 } else { tally.expired }, "requests past their deadline");
            }
            never(if *role == Role::Crowd { 0 } else { tally.limited }, "requests over a limit that was not reached");
            if *role == Role::Mute && tally.expired == 0 {
                complaints.push("nothing has ended at its deadline".to_owned());
            }
        }
        complaints
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passed() { "passed" } else { "FAILED" };
        let Report { chaos, seconds, workers, kills, .. } = self;
        write!(f, "{{\"verdict\":\"{verdict}\",\"chaos\":{chaos},\"seconds\":{seconds},\"callers\":{{")?;
        for (place, (role, count, tally)) in self.callers.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            let name = Role::ALL.iter().find(|(_, known)| known == role).map_or("", |(name, _)| *name);
            write!(f, "{comma}\"{name}\":{{\"count\":{count},")?;
            write_tally(f, tally)?;
            f.write_str("}")?;
        }
        let Shift { jobs, cuts, churns, moves, .. } = workers;
        write!(f, "}},\"workers\":{{\"jobs\":{jobs},\"cuts\":{cuts},\"churns\":{churns},")?;
        write!(f, "\"moves\":{moves},\"kills\":{kills}}}}}")
    }
}

fn write_tally(f: &mut fmt::Formatter<'_>, tally: &Tally) -> fmt::Result {
    let Tally { sent, right, expired, failed, nobody, limited, .. } = tally;
    write!(f, "\"sent\":{sent},\"right\":{right},\"expired\":{expired},\"failed\":{failed},")?;
    write!(f, "\"nobody\":{nobody},\"limited\":{limited},")?;
    let Tally { wrong, unasked, unanswered, given_up, crossed, left, .. } = tally;
    write!(f, "\"wrong\":{wrong},\"unasked\":{unasked},\"unanswered\":{unanswered},")?;
    write!(f, "\"given_up\":{given_up},\"crossed\":{crossed},\"left\":{left},")?;
    let mut times = tally.times.clone();
    times.sort_unstable();
    let millis = |share: usize| {
        let place = (times.len() * share / 1000).min(times.len().saturating_sub(1));
        times.get(place).map_or(0.0, Duration::as_secs_f64) * 1e3
    };
    write!(f, "\"median_ms\":{:.3},\"p99_ms\":{:.3},\"max_ms\":{:.3}", millis(500), millis(990), millis(1000))
}
