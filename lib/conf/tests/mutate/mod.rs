//! How a configuration is broken: the same way in every run.

use msf_conf::tree::{Map, Value, json};

/// What breaks readers: ends, depths, numbers at the edge, characters nobody sees, keys and values of the wrong kind.
const PIECES: &[&str] = &[
    "null",
    "true",
    "-0",
    "1e999",
    "-9223372036854775809",
    "18446744073709551616",
    "0.1",
    "1.0",
    "[]",
    "{}",
    "\"\"",
    "[",
    "{",
    "]",
    "}",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\u{0}",
    "\u{feff}",
    "\u{85}",
    "/",
    "..",
    "=",
    " ",
    "\"proc_name\": \"msf_shell\",",
    "\"restart\": {\"delay_ms\": 86400000},",
    "\"env\": {\"\": \"\"},",
    "[[[[[[[[",
    "\n",
    "\"\\u0000\": 1,",
    "86400001",
    "2147483648",
    "- ",
    "\n  ",
    "&a ",
    "*a",
    "!!str ",
    "<<: ",
    "? ",
    "|\n",
    "---\n",
    "'",
    "#",
    "%YAML 1.2\n",
    "\t",
    "10.0.0.0/8",
    "function.a.in_flight=",
];

/// xorshift: the same sequence in every run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    /// With some bytes taken out, doubled, turned or exchanged.
    pub fn broken(&mut self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            let until = (at + self.below(40)).min(bytes.len());
            match self.below(6) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..until)),
                2 => bytes.splice(at..at, bytes[at..until].to_vec()).for_each(drop),
                3 => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << (until % 8)),
                4 => bytes.splice(at..until, PIECES[self.below(PIECES.len())].bytes()).for_each(drop),
                _ => self.swap_value(&mut bytes, at),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Another value for a key: the document stays JSON, so what is checked behind the syntax is reached.
    fn swap_value(&mut self, bytes: &mut Vec<u8>, near: usize) {
        let find = |from: usize, what: &[u8]| bytes[from..].iter().position(|b| what.contains(b)).map(|at| from + at);
        let Some(colon) = find(near, b":") else { return };
        let Some(end) = find(colon, b",}]\n") else { return };
        bytes.splice(colon + 1..end, PIECES[self.below(11)].bytes());
    }
}

/// Values that are none of what is expected, and some that may be.
fn odd_values() -> Vec<Value> {
    let long = "x".repeat(5000);
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1),
        json!(2),
        json!(65536),
        json!(86_400_001u64),
        json!(1.5),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("x"),
        json!("0"),
        json!("-1"),
        json!("/"),
        json!(".."),
        json!("a\u{0}b"),
        json!("\n"),
        json!(long),
        json!("\u{feff}"),
        json!("unlimited"),
        json!("SIGKILL"),
        json!("127.0.0.1:99999"),
        json!("[::1]:80"),
        json!("exec"),
        json!("notify"),
        json!("restart"),
        json!([]),
        json!([null]),
        json!([0, 0]),
        json!([""]),
        json!({}),
        json!({"by": "tcp"}),
        json!({"": 0}),
    ]
}

impl Random {
    /// JSON still, but of another shape: values of other kinds and from other places, keys that are gone, misspelt,
    /// moved, or of somebody else.
    pub fn reshaped(&mut self, tree: &Value) -> Value {
        let (mut tree, values) = (tree.clone(), odd_values());
        for _ in 0..=self.below(3) {
            let mut places = Vec::new();
            places_in(&tree, String::new(), &mut places);
            if places.is_empty() {
                return tree;
            }
            let place = places.swap_remove(self.below(places.len()));
            let other = places.get(self.below(places.len())).and_then(|other| tree.pointer(other)).cloned();
            let (above, key) = place.rsplit_once('/').unwrap();
            let key = key.replace("~1", "/").replace("~0", "~");
            match (self.below(6), tree.pointer_mut(above)) {
                (0, Some(Value::Object(map))) => drop(map.remove(&key)),
                (0, Some(Value::Array(items))) => drop(items.remove(key.parse().unwrap())),
                (1, Some(Value::Object(map))) => {
                    let value = map.remove(&key).unwrap();
                    map.insert(self.misspelt(&key), value);
                }
                (1, Some(Value::Array(items))) => {
                    let item = items[key.parse::<usize>().unwrap()].clone();
                    items.insert(self.below(items.len()), item);
                }
                (2, _) => {
                    let value = other.unwrap_or_default();
                    *tree.pointer_mut(&place).unwrap() = value;
                }
                (3, Some(Value::Object(map))) => self.marry(map, other),
                _ => {
                    let value = tree.pointer_mut(&place).unwrap();
                    *value = match value.as_i64() {
                        Some(number) if self.below(2) == 0 => json!(number.wrapping_add(self.below(3) as i64 - 1)),
                        _ => values[self.below(values.len())].clone(),
                    };
                }
            }
        }
        tree
    }

    fn misspelt(&mut self, key: &str) -> String {
        let mut letters: Vec<char> = key.chars().collect();
        let at = self.below(letters.len());
        match self.below(4) {
            0 if !letters.is_empty() => drop(letters.remove(at)),
            1 => letters.insert(at, ['x', '_', '.', '\u{0}', '\n', 'é'][self.below(6)]),
            2 if letters.len() > 1 => letters.swap(at, (at + 1) % key.chars().count()),
            _ => letters.extend(key.chars()),
        }
        letters.into_iter().collect()
    }

    /// A key of somebody else, with its value.
    fn marry(&mut self, map: &mut Map<String, Value>, other: Option<Value>) {
        if let Some(Value::Object(from)) = other
            && let Some((key, value)) = from.iter().nth(self.below(from.len()))
        {
            map.insert(key.clone(), value.clone());
        }
    }
}

/// Every place below `value`, as serde_json's pointers.
fn places_in(value: &Value, path: String, places: &mut Vec<String>) {
    let mut add = |key: String, value: &Value| {
        let place = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
        places_in(value, place.clone(), places);
        places.push(place);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| add(key.clone(), value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, value)| add(at.to_string(), value)),
        _ => {}
    }
}

/// Whether `path`, as complaints name keys, is a place in `tree`, or a key that is missing in one.
pub fn is_place(tree: &Value, path: &str) -> bool {
    let below = |rest: &str, value: &Value| rest.is_empty() || is_place(value, rest.strip_prefix('.').unwrap_or(rest));
    match tree {
        Value::Object(map) => {
            let shown = |key: &str| match key.is_empty() || key.contains(char::is_control) {
                true => format!("{key:?}"),
                false => key.to_owned(),
            };
            map.iter().any(|(key, value)| path.strip_prefix(&shown(key)).is_some_and(|rest| below(rest, value)))
                || !path.is_empty() && !path.contains(['.', '['])
        }
        Value::Array(items) => {
            let part = path.strip_prefix('[').and_then(|path| path.split_once(']'));
            part.is_some_and(|(at, rest)| {
                at.parse().is_ok_and(|at: usize| items.get(at).is_some_and(|item| below(rest, item)))
            })
        }
        _ => false,
    }
}
