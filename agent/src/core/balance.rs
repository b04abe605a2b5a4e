//! Which of several workers gets a job.

use super::hash::Mix;
use std::hash::BuildHasher;

/// Chance, from a seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Two seeds are two orders of events.
    pub fn new(seed: u64) -> Dice {
        Dice(seed | 1)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound.max(1)
    }
}

/// The candidate with the least load; among equals chance decides.
pub fn least<T>(candidates: impl Iterator<Item = (T, u64)>, dice: &mut Dice) -> Option<T> {
    let mut best: Option<(T, u64)> = None;
    let mut equals = 0;
    for (candidate, load) in candidates {
        let is_better = match &best {
            None => true,
            Some((_, least)) if load < *least => true,
            Some((_, least)) if load == *least => {
                // Each of n equals is kept with the chance of one in n.
                equals += 1;
                dice.below(equals) == 0
            }
            Some(_) => false,
        };
        if best.as_ref().is_none_or(|(_, least)| load < *least) {
            equals = 1;
        }
        if is_better {
            best = Some((candidate, load));
        }
    }
    best.map(|(candidate, _)| candidate)
}

/// One of the candidates, by chance: twice the weight is twice the chance.
pub fn by_weight<T>(candidates: impl Iterator<Item = (T, u64)> + Clone, dice: &mut Dice) -> Option<T> {
    let total: u64 = candidates.clone().map(|(_, weight)| weight).sum();
    let mut lot = dice.below(total);
    let mut candidates = candidates;
    candidates
        .find(|(_, weight)| lot.checked_sub(*weight).inspect(|rest| lot = *rest).is_none())
        .map(|(found, _)| found)
}

/// The candidate that `key` belongs to: of each pair of candidate and key the hash is a lot, and the highest lot wins.
/// When a candidate goes, only its own keys get another one.
pub fn by_key<T>(candidates: impl Iterator<Item = (T, u64)>, key: u64) -> Option<T> {
    candidates.max_by_key(|(_, identity)| LOTS.hash_one((*identity, key))).map(|(candidate, _)| candidate)
}

/// The hash of a key, the same in every reactor and in every process.
pub fn hash_of(key: &[u8]) -> u64 {
    LOTS.hash_one(key)
}

const LOTS: Mix = Mix::fixed();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_load_wins_and_equals_share_evenly() {
        let mut dice = Dice::new(5);
        assert_eq!(least([("a", 3), ("b", 1), ("c", 2)].into_iter(), &mut dice), Some("b"));
        let mut wins = [0; 4];
        for _ in 0..40_000 {
            let winner = least([(0, 7), (1, 1), (2, 1), (3, 1)].into_iter(), &mut dice).unwrap();
            wins[winner] += 1;
        }
        assert_eq!(wins[0], 0);
        assert!(wins[1..].iter().all(|count| (12_500..14_200).contains(count)), "{wins:?}");
        assert_eq!(least(std::iter::empty::<(u8, u64)>(), &mut dice), None);
    }

    #[test]
    fn twice_the_weight_is_twice_the_chance() {
        let mut dice = Dice::new(7);
        let mut wins = [0; 4];
        for _ in 0..60_000 {
            wins[by_weight([(0, 1), (1, 0), (2, 3), (3, 2)].into_iter(), &mut dice).unwrap()] += 1;
        }
        assert_eq!(wins[1], 0);
        for (winner, weight) in [(0, 1), (2, 3), (3, 2)] {
            assert!((9_500 * weight..10_500 * weight).contains(&wins[winner]), "{wins:?}");
        }
        assert_eq!(by_weight(std::iter::empty::<(u8, u64)>(), &mut dice), None);
    }

    #[test]
    fn when_a_candidate_goes_only_its_own_keys_move() {
        let all: Vec<(u64, u64)> = (0..8).map(|worker| (worker, hash_of(&[worker as u8]))).collect();
        let owners: Vec<u64> = (0..4000).map(|key| by_key(all.iter().copied(), key).unwrap()).collect();
        for (key, owner) in owners.iter().enumerate() {
            let left = all.iter().copied().filter(|(worker, _)| *worker != 3);
            let now = by_key(left, key as u64).unwrap();
            assert!(now == *owner || *owner == 3);
        }
        let threes = owners.iter().filter(|owner| **owner == 3).count();
        assert!((400..600).contains(&threes), "{threes} of 4000 keys for one of eight");
    }
}
