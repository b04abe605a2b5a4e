//! What can be asked of the running daemon, as words of a command line and as the line that goes over the socket.
//!
//! The line is a word and its options with blanks between them; behind each tab comes a name, which holds anything but
//! control characters: `stop no-wait timeout=5000<TAB>one<TAB>two`.

use msf_conf::args::Args;
use nix::sys::signal::Signal;
use std::fmt;
use std::time::Duration;

/// The word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// The table of processes, or the document.
    Status,
    /// Read the configuration again.
    Reload,
    /// Open the log anew.
    Rotate,
    /// Stop everything and end.
    Shutdown,
    /// These are to run.
    Start,
    /// These are to stop, and to stay so.
    Stop,
    /// These are to be started anew.
    Restart,
    /// Send these a signal.
    Signal,
    /// What one of them has said last.
    Tail,
    /// What has happened.
    Events,
    /// Wait until these are up, or down.
    Wait,
    /// The programs that are installed now are to take the places of these.
    Upgrade,
}

/// A word with everything that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub verb: Verb,
    /// `json`: the answer is for a program.
    pub json: bool,
    /// `follow`: go on with what comes.
    pub follow: bool,
    /// `no-wait`: do not wait until it is so.
    pub no_wait: bool,
    /// `down`: until they are down instead of up.
    pub down: bool,
    /// `restart`: stop and start who cannot be upgraded otherwise.
    pub restart: bool,
    /// `drain`: who is replaced may keep its connections, if they cannot pass.
    pub drain: bool,
    /// `lines=N`: how many of the last ones.
    pub lines: Option<usize>,
    /// `since=N`: what comes behind this one.
    pub since: Option<u64>,
    /// `timeout=MS`: how long to wait.
    pub timeout: Option<Duration>,
    /// `signal=N`.
    pub signal: Option<i32>,
    /// Whom it is about; nobody may mean everybody.
    pub names: Vec<String>,
}

/// What belongs to a word.
struct Grammar {
    word: &'static str,
    verb: Verb,
    options: &'static [&'static str],
    least: usize,
    most: usize,
}

impl Request {
    /// The word alone.
    pub fn new(verb: Verb) -> Request {
        Request {
            verb,
            json: false,
            follow: false,
            no_wait: false,
            down: false,
            restart: false,
            drain: false,
            lines: None,
            since: None,
            timeout: None,
            signal: None,
            names: Vec::new(),
        }
    }

    /// The request a line stands for, or what is wrong with it.
    pub fn from_line(line: &str) -> Result<Request, String> {
        let mut parts = line.split('\t');
        let mut words = parts.next().unwrap_or_default().split(' ');
        let mut request = Request::named(words.next().unwrap_or_default())?;
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            request.take(name, value)?;
        }
        request.names = parts.map(str::to_owned).collect();
        request.checked()
    }

    /// The request a command line stands for; its word is one of ours.
    pub fn from_args(args: &Args) -> Result<Request, String> {
        let mut request = Request::named(args.word.as_deref().unwrap_or_default())?;
        request.names = args.rest.clone();
        if args.json {
            request.take("json", "")?;
        }
        for (option, value) in &args.options {
            match *option {
                "f" | "follow" => request.take("follow", "")?,
                "n" | "lines" => request.take("lines", value)?,
                "since" => request.take("since", value)?,
                "timeout" => request.take("timeout", &millis(value)?.to_string())?,
                other => request.take(other, "")?,
            }
        }
        if args.options.contains_key("ready") && args.options.contains_key("down") {
            return Err("--ready and --down exclude each other".to_owned());
        }
        if request.verb == Verb::Signal {
            let word = request.names.pop().unwrap_or_default();
            request.signal = Some(number_of(&word)?);
        }
        request.checked()
    }

    /// The line that stands for it.
    pub fn line(&self) -> String {
        let mut line = self.grammar().map_or("", |grammar| grammar.word).to_owned();
        let flags = [
            (self.json, "json"),
            (self.follow, "follow"),
            (self.no_wait, "no-wait"),
            (self.down, "down"),
            (self.restart, "restart"),
            (self.drain, "drain"),
        ];
        let numbers = [
            ("lines", self.lines.map(|lines| lines as u128)),
            ("since", self.since.map(u128::from)),
            ("timeout", self.timeout.map(|timeout| timeout.as_millis())),
            ("signal", self.signal.and_then(|signal| u128::try_from(signal).ok())),
        ];
        line.extend(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, word)| format!(" {word}")));
        line.extend(numbers.iter().filter_map(|(word, number)| Some(format!(" {word}={}", (*number)?))));
        line.extend(self.names.iter().map(|name| format!("\t{name}")));
        line
    }

    /// Whether the answer comes only when something has happened, or goes on and on.
    pub fn takes_time(&self) -> bool {
        match self.verb {
            Verb::Wait | Verb::Shutdown => true,
            Verb::Start | Verb::Stop | Verb::Restart | Verb::Upgrade => !self.no_wait,
            Verb::Tail | Verb::Events => self.follow,
            Verb::Status | Verb::Reload | Verb::Rotate | Verb::Signal => false,
        }
    }

    fn named(word: &str) -> Result<Request, String> {
        let grammar = GRAMMAR.iter().find(|grammar| grammar.word == word);
        grammar.map(|grammar| Request::new(grammar.verb)).ok_or_else(|| format!("not understood: {word:?}"))
    }

    fn grammar(&self) -> Option<&'static Grammar> {
        GRAMMAR.iter().find(|grammar| grammar.verb == self.verb)
    }

    fn take(&mut self, option: &str, value: &str) -> Result<(), String> {
        let grammar = self.grammar();
        let word = grammar.map_or("", |grammar| grammar.word);
        if !grammar.is_some_and(|grammar| grammar.options.contains(&option)) {
            return Err(format!("\"{option}\" is not for {word}"));
        }
        let number = |most: u64| match value.parse() {
            Ok(number) if number <= most => Ok(number),
            _ => Err(format!("{option}: expected a whole number up to {most}, found {value:?}")),
        };
        match option {
            "json" => self.json = true,
            "follow" => self.follow = true,
            "no-wait" => self.no_wait = true,
            "down" => self.down = true,
            "restart" => self.restart = true,
            "drain" => self.drain = true,
            "lines" => self.lines = usize::try_from(number(MOST_LINES)?).ok(),
            "since" => self.since = Some(number(u64::MAX)?),
            "timeout" => self.timeout = Some(Duration::from_millis(number(LONGEST_WAIT)?)),
            "signal" => self.signal = i32::try_from(number(LAST_SIGNAL)?).ok(),
            _ => {}
        }
        Ok(())
    }

    fn checked(self) -> Result<Request, String> {
        let Some(Grammar { word, least, most, .. }) = self.grammar() else { return Err("not understood".to_owned()) };
        match self.names.len() {
            count if count < *least => Err(format!("{word}: the name of a process is missing")),
            count if count > *most => Err(format!("unexpected argument {:?}", self.names[*most])),
            _ if self.verb == Verb::Signal && self.signal.is_none_or(|number| number < 1) => {
                Err("signal: which one is missing".to_owned())
            }
            _ if self.since.is_some() && self.lines.is_some() => {
                Err("--since and --lines exclude each other".to_owned())
            }
            _ if self.no_wait && self.timeout.is_some() => Err("who does not wait has no use for a timeout".to_owned()),
            _ => Ok(self),
        }
    }
}

/// By name, with or without `SIG`, or by number.
fn number_of(word: &str) -> Result<i32, String> {
    let named = || [word.to_owned(), format!("SIG{word}")].iter().find_map(|name| name.parse::<Signal>().ok());
    match word.parse::<i32>() {
        Ok(number) if (1..=LAST_SIGNAL as i32).contains(&number) => Ok(number),
        Err(_) if let Some(signal) = named() => Ok(signal as i32),
        _ => Err(format!("expected NAME... SIGNAL, the signal by name or number, such as HUP; found {word:?}")),
    }
}

/// Seconds, with a fraction if need be, in milliseconds.
fn millis(seconds: &str) -> Result<u64, String> {
    match seconds.parse::<f64>() {
        Ok(time) if (0.0..=LONGEST_WAIT as f64 / 1000.0).contains(&time) => Ok((time * 1000.0).ceil() as u64),
        _ => Err(format!("--timeout: expected seconds up to {}, found {seconds:?}", LONGEST_WAIT / 1000)),
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())
    }
}

const GRAMMAR: &[Grammar] = &[
    Grammar { word: "status", verb: Verb::Status, options: &["json"], least: 0, most: usize::MAX },
    Grammar { word: "reload", verb: Verb::Reload, options: &[], least: 0, most: 0 },
    Grammar { word: "rotate", verb: Verb::Rotate, options: &[], least: 0, most: 0 },
    Grammar { word: "shutdown", verb: Verb::Shutdown, options: &[], least: 0, most: 0 },
    Grammar { word: "start", verb: Verb::Start, options: &["no-wait", "timeout"], least: 1, most: usize::MAX },
    Grammar { word: "stop", verb: Verb::Stop, options: &["no-wait", "timeout"], least: 1, most: usize::MAX },
    Grammar { word: "restart", verb: Verb::Restart, options: &["no-wait", "timeout"], least: 1, most: usize::MAX },
    Grammar { word: "signal", verb: Verb::Signal, options: &["signal"], least: 1, most: usize::MAX },
    Grammar { word: "tail", verb: Verb::Tail, options: &["lines", "follow"], least: 1, most: 1 },
    Grammar { word: "events", verb: Verb::Events, options: &["json", "lines", "since", "follow"], least: 0, most: 0 },
    Grammar {
        word: "upgrade",
        verb: Verb::Upgrade,
        options: &["json", "no-wait", "timeout", "restart", "drain"],
        least: 1,
        most: usize::MAX,
    },
    Grammar { word: "wait", verb: Verb::Wait, options: &["ready", "down", "timeout"], least: 1, most: usize::MAX },
];
const MOST_LINES: u64 = 100_000;
/// A week.
const LONGEST_WAIT: u64 = 7 * 86_400_000;
const LAST_SIGNAL: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_found_by_its_line_and_nothing_else_is() {
        let names = vec!["a b".to_owned(), "c=d".to_owned()];
        let plain = GRAMMAR.iter().map(|grammar| Request {
            names: names.iter().take(grammar.least).cloned().collect(),
            signal: (grammar.verb == Verb::Signal).then_some(9),
            ..Request::new(grammar.verb)
        });
        let rich = [
            Request { json: true, names: names.clone(), ..Request::new(Verb::Status) },
            Request { no_wait: true, names: names.clone(), ..Request::new(Verb::Stop) },
            Request { restart: true, drain: true, json: true, names: names.clone(), ..Request::new(Verb::Upgrade) },
            Request {
                down: true,
                timeout: Some(Duration::from_millis(7)),
                names: names.clone(),
                ..Request::new(Verb::Wait)
            },
            Request { since: Some(u64::MAX), json: true, follow: true, ..Request::new(Verb::Events) },
            Request { follow: true, lines: Some(3), names: vec!["x".to_owned()], ..Request::new(Verb::Tail) },
        ];
        for request in plain.chain(rich) {
            assert_eq!(Request::from_line(&request.line()), Ok(request));
        }
        for wrong in [
            "stat",
            "",
            "status ",
            "reload\tone",
            "stop",
            "stop json\tone",
            "tail\ta\tb",
            "tail lines=x\ta",
            "events since=-1",
            "events since=1 lines=2",
        ] {
            assert!(Request::from_line(wrong).is_err(), "{wrong}");
        }
        for wrong in ["signal\tone", "signal signal=0\tone", "signal signal=65\tone", "stop no-wait timeout=1\tone"] {
            assert!(Request::from_line(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn signals_have_names_and_numbers() {
        assert_eq!((number_of("HUP"), number_of("SIGUSR1"), number_of("64")), (Ok(1), Ok(10), Ok(64)));
        for wrong in ["", "0", "65", "SIGNOTHING", "hup"] {
            assert!(number_of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_timeout_is_seconds_and_never_less_than_was_said() {
        assert_eq!((millis("2"), millis("0.0001"), millis("0")), (Ok(2000), Ok(1), Ok(0)));
        for wrong in ["-1", "x", "NaN", "inf", "604801"] {
            assert!(millis(wrong).is_err(), "{wrong}");
        }
    }
}
