//! Whether a process uses more of something than it may: so many looks in a row at `warn` or above are a warning, at
//! `act` or above a reason to act, and so many below are the end of it. Pure; what is looked at is a number.

use msf_conf::daemon::Bound;

/// What is remembered between two looks at one thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ladder {
    /// How far it has come.
    pub level: Level,
    at_warn: u32,
    at_act: u32,
    below: u32,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing is the matter.
    #[default]
    Calm,
    /// Somebody has been told.
    Warned,
    /// Something has been done.
    Acted,
}

/// What a look changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Somebody is to be told.
    Warn,
    /// Something is to be done.
    Act,
    /// It is over.
    Calm,
}

impl Ladder {
    /// As of the process that is started in its place: what was said of the old one holds until the new one has been
    /// looked at, and the new one may be acted upon anew.
    pub fn of_successor(self) -> Ladder {
        Ladder { level: self.level.min(Level::Warned), ..Ladder::default() }
    }
}

/// One more look.
pub fn step(bound: &Bound, ladder: Ladder, value: u64) -> (Ladder, Option<Turn>) {
    let reaches = |limit: Option<u64>| limit.is_some_and(|limit| value >= limit);
    let count = |so: bool, before: u32| if so { before.saturating_add(1) } else { 0 };
    let lowest = bound.warn.or(bound.act);
    let ladder = Ladder {
        at_warn: count(reaches(lowest), ladder.at_warn),
        at_act: count(reaches(bound.act), ladder.at_act),
        // A little below, or one that sways about its limit would be reported at every swing.
        below: count(!reaches(lowest.map(slightly_less)), ladder.below),
        ..ladder
    };
    let (level, turn) = match ladder.level {
        Level::Calm | Level::Warned if ladder.at_act >= bound.periods => (Level::Acted, Some(Turn::Act)),
        Level::Calm if ladder.at_warn >= bound.periods => (Level::Warned, Some(Turn::Warn)),
        Level::Warned | Level::Acted if ladder.below >= bound.periods => (Level::Calm, Some(Turn::Calm)),
        level => (level, None),
    };
    (Ladder { level, ..ladder }, turn)
}

fn slightly_less(limit: u64) -> u64 {
    limit - limit / 20
}

#[cfg(test)]
mod tests {
    use super::*;
    use msf_conf::daemon::Act;

    fn bound(warn: Option<u64>, act: Option<u64>, periods: u32) -> Bound {
        Bound { warn, act, deed: Act::Restart, periods }
    }

    fn turns(bound: &Bound, ladder: &mut Ladder, values: &[u64]) -> String {
        let mut one = |value: &u64| {
            let (next, turn) = step(bound, *ladder, *value);
            *ladder = next;
            match turn {
                None => '.',
                Some(Turn::Warn) => 'w',
                Some(Turn::Act) => 'A',
                Some(Turn::Calm) => 'c',
            }
        };
        values.iter().map(&mut one).collect()
    }

    #[test]
    fn a_limit_counts_when_it_is_reached_for_two_periods_and_is_over_after_two_below() {
        let both = bound(Some(100), Some(200), 2);
        let row = |values: &[u64]| turns(&both, &mut Ladder::default(), values);
        assert_eq!(row(&[99, 100, 99, 150, 99, 300, 99]), ".......");
        assert_eq!(row(&[100, 100, 100, 200, 200, 999, 10, 10, 10]), ".w..A..c.");
        assert_eq!(row(&[500, 500]), ".A", "what is to be done is not preceded by a warning");
        assert_eq!(row(&[150, 150, 97, 97, 97, 150, 94, 94]), ".w.....c", "swaying about the limit is one report");
    }

    #[test]
    fn either_limit_may_be_missing() {
        assert_eq!(turns(&bound(None, Some(5), 1), &mut Ladder::default(), &[4, 5, 6, 4]), ".A.c");
        assert_eq!(turns(&bound(Some(5), None, 1), &mut Ladder::default(), &[4, 5, 600, 4]), ".w.c");
        assert_eq!(turns(&bound(Some(1), None, 1), &mut Ladder::default(), &[0, 1, 0]), ".wc");
    }

    #[test]
    fn a_successor_is_acted_upon_anew_and_calms_what_was_said_of_the_one_before() {
        let both = bound(Some(100), Some(200), 2);
        let mut ladder = Ladder::default();
        assert_eq!(turns(&both, &mut ladder, &[200, 200]), ".A");
        let mut again = ladder.of_successor();
        assert_eq!(turns(&both, &mut again, &[200, 200]), ".A");
        let mut well = ladder.of_successor();
        assert_eq!(turns(&both, &mut well, &[10, 10]), ".c");
    }
}
