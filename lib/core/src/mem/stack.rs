//! A lock-free stack of numbers.
//!
//! Each number stands for a thing with a link of its own, and is on at most one stack at a time. The head carries a turn that
//! counts every change: a thread that was held up between reading the head and replacing it notices, even when
//! the same number is on top again (2³² changes later it would not, which takes longer than anybody is held up).

use crate::sys::sync::atomic::{AtomicU32, AtomicU64, Ordering};

#[derive(Debug)]
pub(super) struct Stack {
    /// The number on top plus one, 0 when there is none; above it 32 bits of turn.
    head: AtomicU64,
}

impl Stack {
    pub fn new() -> Stack {
        Stack { head: AtomicU64::new(0) }
    }

    /// Puts `number`, whose link this is, on top. What the thread wrote before is seen by whoever pops it.
    pub fn push(&self, number: u32, link: &AtomicU32) {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            link.store(head as u32, Ordering::Relaxed);
            match self.replace(head, number + 1) {
                Ok(()) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes the number on top; `link` finds the link of a number.
    pub fn pop<'a>(&self, link: impl Fn(u32) -> Option<&'a AtomicU32>) -> Option<u32> {
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            let number = (head as u32).checked_sub(1)?;
            // Another thread may pop and push it meanwhile: then this is a wrong link, and the turn another.
            let below = link(number)?.load(Ordering::Relaxed);
            match self.replace(head, below) {
                Ok(()) => return Some(number),
                Err(now) => head = now,
            }
        }
    }

    fn replace(&self, head: u64, top: u32) -> Result<(), u64> {
        let next = ((head >> 32).wrapping_add(1) << 32) | u64::from(top);
        self.head.compare_exchange_weak(head, next, Ordering::AcqRel, Ordering::Acquire).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_in_is_the_first_one_out() {
        let links: [AtomicU32; 3] = std::array::from_fn(|_| AtomicU32::new(0));
        let link = |number: u32| links.get(number as usize);
        let stack = Stack::new();
        assert_eq!(stack.pop(link), None);
        for number in 0..3 {
            stack.push(number, &links[number as usize]);
        }
        assert_eq!([stack.pop(link), stack.pop(link)], [Some(2), Some(1)]);
        stack.push(2, &links[2]);
        assert_eq!([stack.pop(link), stack.pop(link), stack.pop(link)], [Some(2), Some(0), None]);
    }

    #[cfg(feature = "loom")]
    mod model {
        use super::*;
        use loom::sync::Arc;

        struct Shared {
            stack: Stack,
            links: [AtomicU32; 3],
            /// What stands in for the blocks: written by whoever has the number, read by who pops it.
            notes: [loom::cell::UnsafeCell<u32>; 3],
        }

        impl Shared {
            fn new() -> Arc<Shared> {
                let links = std::array::from_fn(|_| AtomicU32::new(0));
                let notes = std::array::from_fn(|_| loom::cell::UnsafeCell::new(0));
                Arc::new(Shared { stack: Stack::new(), links, notes })
            }

            fn push(&self, number: u32) {
                let at = number as usize;
                // SAFETY: the number is this thread's alone, as loom checks.
                self.notes[at].with_mut(|note| unsafe { *note += 1 });
                self.stack.push(number, &self.links[at]);
            }

            fn pop(&self) -> Option<u32> {
                let number = self.stack.pop(|number| self.links.get(number as usize))?;
                // SAFETY: as above.
                self.notes[number as usize].with_mut(|note| unsafe { *note += 1 });
                Some(number)
            }
        }

        /// Two threads pop and push back: nobody gets what another has, nothing is lost, whoever has one sees what the last
        /// owner wrote (loom finds the race if not).
        #[test]
        fn loom_a_number_has_one_owner_and_is_never_lost() {
            loom::model(|| {
                let shared = Shared::new();
                for number in 0..2 {
                    shared.push(number);
                }
                let other = Arc::clone(&shared);
                let thread = loom::thread::spawn(move || {
                    if let Some(first) = other.pop() {
                        other.push(first);
                    }
                });
                let (first, second) = (shared.pop(), shared.pop());
                assert!(first.is_some() && first != second);
                if let Some(number) = first {
                    shared.push(number);
                }
                if let Some(number) = second {
                    shared.push(number);
                }
                thread.join().unwrap();
                let mut left: Vec<u32> = std::iter::from_fn(|| shared.pop()).collect();
                left.sort_unstable();
                assert_eq!(left, [0, 1]);
            });
        }

        /// The case the turn is there for: the top goes, another goes, the first comes back, while a third thread is
        /// between its two steps.
        #[test]
        fn loom_a_top_that_went_and_came_back_is_noticed() {
            loom::model(|| {
                let shared = Shared::new();
                for number in 0..3 {
                    shared.push(number);
                }
                let other = Arc::clone(&shared);
                let thread = loom::thread::spawn(move || {
                    let (top, kept) = (other.pop(), other.pop());
                    if let Some(top) = top {
                        other.push(top);
                    }
                    kept
                });
                let mine = shared.pop();
                let kept = thread.join().unwrap();
                let mut all: Vec<u32> = std::iter::from_fn(|| shared.pop()).chain(mine).chain(kept).collect();
                all.sort_unstable();
                assert_eq!(all, [0, 1, 2]);
            });
        }
    }
}
