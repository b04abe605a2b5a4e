//! What a run showed, as one line of JSON, and whether that is good enough.

use super::judge::{Verdict, Victim};
use super::noise::Noise;
use std::fmt;

/// The verdict, and what the machine was like meanwhile.
#[derive(Debug)]
pub struct Report {
    verdict: Verdict,
    noises: usize,
    longest_noise: u64,
}

impl Report {
    /// Puts them together.
    pub fn new(verdict: Verdict, noise: &Noise) -> Report {
        Report { verdict, noises: noise.count(), longest_noise: noise.longest() }
    }

    /// What was wrong in words, some of it.
    pub fn complaints(&self) -> impl Iterator<Item = &str> {
        self.verdict.complaints.iter().map(|(_, what)| what.as_str())
    }

    /// Whether nothing was wrong, hung or late, and at least `share` per cent of the calm calls right.
    pub fn passed(&self, share: usize) -> bool {
        let Verdict { right, wrong, hung, late, calm, calm_right, .. } = &self.verdict;
        *right > 0 && *calm > 0 && [wrong, hung, late] == [&0; 3] && calm_right * 100 >= calm * share
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { calls, right, failed, wrong, hung, late, late_still, calm, calm_right, .. } = &self.verdict;
        write!(
            f,
            "{{\"notice_ms\":{},\"calls\":{calls},\"right\":{right},\"failed\":{failed},\"wrong\":{wrong},\"hung\":{hung},",
            Millis(self.verdict.notice)
        )?;
        write!(f, "\"late\":{late},\"late_still\":{late_still},\"calm\":{calm},")?;
        let share = 100.0 * *calm_right as f64 / (*calm).max(1) as f64;
        write!(f, "\"calm_right_percent\":{share:.4},\"noises\":{},", self.noises)?;
        write!(f, "\"longest_noise_ms\":{},\"victims\":{{", Millis(self.longest_noise))?;
        for (place, victim) in self.verdict.victims.iter().enumerate() {
            f.write_str(if place == 0 { "" } else { "," })?;
            write_victim(f, victim)?;
        }
        f.write_str("}}")
    }
}

fn write_victim(f: &mut fmt::Formatter<'_>, victim: &Victim) -> fmt::Result {
    let Victim { name, deaths, longest_notice, failed, recoveries } = victim;
    let mut recoveries = recoveries.clone();
    recoveries.sort_unstable();
    write!(f, "\"{name}\":{{\"deaths\":{deaths},\"failed_meanwhile\":{failed},")?;
    write!(f, "\"longest_notice_ms\":{},\"recoveries\":{}", Millis(*longest_notice), recoveries.len())?;
    if let Some(longest) = recoveries.last() {
        let median = recoveries[recoveries.len() / 2];
        write!(f, ",\"first_answer_ms\":{{\"median\":{},\"longest\":{}}}", Millis(median), Millis(*longest))?;
    }
    f.write_str("}")
}

struct Millis(u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", self.0 as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(change: impl Fn(&mut Verdict)) -> Report {
        let mut verdict = Verdict { calls: 100, right: 100, calm: 100, calm_right: 99, ..Verdict::default() };
        change(&mut verdict);
        Report::new(verdict, &Noise::default())
    }

    #[test]
    fn one_of_anything_fails_it() {
        assert!(report(|_| {}).passed(99));
        let changes: [fn(&mut Verdict); 5] = [
            |verdict| verdict.wrong = 1,
            |verdict| verdict.hung = 1,
            |verdict| verdict.calm_right = 98,
            |verdict| verdict.right = 0,
            |verdict| verdict.late = 1,
        ];
        for change in changes {
            assert!(!report(change).passed(99));
        }
    }

    #[test]
    fn the_line_is_json() {
        let report = report(|verdict| {
            for name in ["a", "b"] {
                let name = name.to_owned();
                verdict.victims.push(Victim { name, recoveries: vec![3_000_000, 1_000_000], ..Victim::default() });
            }
        });
        let line = report.to_string();
        assert!(line.contains("\"b\":{\"deaths\":0") && line.ends_with("\"median\":3.0,\"longest\":3.0}}}}"), "{line}");
        assert_eq!(line.matches('{').count(), line.matches('}').count());
    }
}
