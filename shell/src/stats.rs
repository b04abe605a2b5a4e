//! What each service uses, and how it is.

use crate::keeper::Keeper;
use crate::show::object;
use crate::work::{Work, failure};
use msf_conf::tree::Value;
use msf_sys::service::Answer;

impl Keeper {
    /// A row for each service that is loaded.
    pub fn stats(&mut self) -> Value {
        let rows: Vec<Value> = self.seats().into_iter().filter_map(|seat| self.usage(seat)).collect();
        object([("services", rows.into())])
    }

    fn usage(&mut self, (of, at): (usize, usize)) -> Option<Value> {
        let name = self.name((of, at))?;
        let health = self.health((of, at));
        Some(object([
            ("name", name.as_str().into()),
            ("calls", self.routes.calls(&name).into()),
            ("health", health.into()),
        ]))
    }

    fn health(&mut self, (of, at): (usize, usize)) -> Option<String> {
        let asked = self.generations.get_mut(of)?.ask(&self.house, at, "health", Work::Health);
        Some(match asked {
            Err(why) => why,
            Ok(outcome) if matches!(outcome.answer, Answer::Absent) => return None,
            Ok(outcome) => {
                let words = String::from_utf8_lossy(&outcome.bytes).into_owned();
                match failure("health", &outcome.answer) {
                    Ok(()) if words.is_empty() => "well".to_owned(),
                    Ok(()) => words,
                    Err(why) if words.is_empty() => why,
                    Err(_) => format!("ill: {words}"),
                }
            }
        })
    }
}
