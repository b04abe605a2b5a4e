//! How many lines about peers' misdeeds a reactor may write: enough to see what goes on, too few to fill a disk.

use crate::core::message::Moment;

/// A budget of lines per second.
#[derive(Debug, Default)]
pub struct Chatter {
    since: Moment,
    said: u32,
    unsaid: u64,
}

impl Chatter {
    /// Whether a line may be written now; if so, what to put behind it about those that were not.
    pub fn may_say(&mut self, now: Moment) -> Option<String> {
        if now.0 >= self.since.0 + WINDOW {
            self.since = now;
            self.said = 0;
        }
        if self.said >= LINES {
            self.unsaid += 1;
            return None;
        }
        self.said += 1;
        match std::mem::take(&mut self.unsaid) {
            0 => Some(String::new()),
            count => Some(format!(" ({count} lines like this were left out)")),
        }
    }
}

/// Milliseconds.
const WINDOW: u64 = 1000;
const LINES: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_its_size_is_said_afterwards() {
        let mut chatter = Chatter::default();
        let said = (0..100).filter(|_| chatter.may_say(Moment(5)).is_some()).count();
        assert_eq!(said, LINES as usize);
        assert_eq!(chatter.may_say(Moment(1005)).unwrap(), " (80 lines like this were left out)");
        assert_eq!(chatter.may_say(Moment(1006)).unwrap(), "");
    }
}
