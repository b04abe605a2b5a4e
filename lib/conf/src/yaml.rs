//! A YAML text as the same tree of values a JSON text is, in which every key is written once. The only file that names
//! saphyr-parser.
//!
//! YAML can say much that no configuration needs, and some of it against its reader: an alias makes ten lines into ten
//! thousand million values. Aliases, tags and second documents are refused with their place, and so is depth.

use crate::ConfError;
use crate::json::Doc;
use crate::tree::{Map, Value};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};
use std::borrow::Cow;
use std::path::Path;

/// The document that `text` is, which complaints will say came from `file`. A text without any value is an empty one.
pub fn parse(file: &Path, text: &str) -> Result<Doc, ConfError> {
    match tree(text) {
        Ok(Value::Null) => Doc::of(file, Value::Object(Map::new())),
        Ok(value) => Doc::of(file, value),
        Err(what) => Err(ConfError::Syntax { file: file.to_owned(), what }),
    }
}

/// The tree of `text`, or what is wrong with it and where.
fn tree(text: &str) -> Result<Value, String> {
    let mut events = Events(Parser::new_from_str(text));
    let mut root = None;
    loop {
        let (event, place) = events.next()?;
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            Event::StreamEnd => return Ok(root.unwrap_or(Value::Null)),
            _ if root.is_some() => return Err(at("a second document; expected one", place)),
            event => root = Some(events.value(event, place, 0)?),
        }
    }
}

struct Events<'a>(Parser<'a, StrInput<'a>>);

impl<'a> Events<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Marker), String> {
        let not_yaml = |e: ScanError| at(&format!("not YAML: {}", e.info()), *e.marker());
        match self.0.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start)),
            Some(Err(e)) => Err(not_yaml(e)),
            None => Ok((Event::StreamEnd, Marker::default())),
        }
    }

    /// The value that begins with `event`.
    fn value(&mut self, event: Event<'a>, place: Marker, depth: usize) -> Result<Value, String> {
        if depth > DEEPEST {
            return Err(at(&format!("more than {DEEPEST} levels deep"), place));
        }
        match event {
            Event::Scalar(text, style, _, tag) => scalar(&text, style, tag, place),
            Event::SequenceStart(_, None) => self.sequence(depth),
            Event::MappingStart(_, None) => self.mapping(depth),
            Event::SequenceStart(..) | Event::MappingStart(..) => Err(at("a tag; expected a plain value", place)),
            Event::Alias(_) => Err(at("an alias; expected the value itself", place)),
            _ => Err(at("expected a value", place)),
        }
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(items)),
                (event, place) => items.push(self.value(event, place, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, String> {
        let mut map = Map::new();
        loop {
            let (key, place) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Value::Object(map)),
                (Event::Scalar(key, _, _, None), place) => (key.into_owned(), place),
                (_, place) => return Err(at("expected a plain key", place)),
            };
            if map.contains_key(&key) {
                return Err(at(&format!("the key {key:?} is written twice"), place));
            }
            let (event, place) = self.next()?;
            let value = self.value(event, place, depth + 1)?;
            map.insert(key, value);
        }
    }
}

/// What a scalar means, by the rules of the YAML that nmid reads: yes and on are truths too. A number that would not be
/// printed as it is written stays a text.
fn scalar(text: &str, style: ScalarStyle, tag: Option<Cow<'_, Tag>>, place: Marker) -> Result<Value, String> {
    if let Some(tag) = tag {
        let string = tag.is_yaml_core_schema() && tag.suffix == "str";
        return if string { Ok(Value::from(text)) } else { Err(at("a tag; expected a plain value", place)) };
    }
    if style != ScalarStyle::Plain {
        return Ok(Value::from(text));
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::from(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::from(false),
        _ => match text.parse::<i64>() {
            Ok(number) if number.to_string() == text => Value::from(number),
            _ => Value::from(text),
        },
    })
}

/// Lines count from 1, columns here too.
fn at(what: &str, place: Marker) -> String {
    format!("{what} at line {} column {}", place.line(), place.col() + 1)
}

/// server.yaml takes three.
const DEEPEST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn json(text: &str) -> Value {
        crate::tree::parse(text).unwrap()
    }

    #[test]
    fn plain_scalars_are_what_they_look_like_and_quoted_ones_are_texts() {
        let text = "a: 6808\nb: \"6808\"\nc: yes\nd: 'yes'\ne:\nf: 0.0.0.0\ng: 06808\nh: !!str 5\ni: -1\nj: /x # y\n";
        let expected = r#"{"a": 6808, "b": "6808", "c": true, "d": "yes", "e": null, "f": "0.0.0.0", "g": "06808",
            "h": "5", "i": -1, "j": "/x"}"#;
        assert_eq!(tree(text).unwrap(), json(expected));
    }

    #[test]
    fn blocks_and_flows_give_the_same_tree() {
        let block = "list:\n  10.0.0.1: true\n  '::1': false\nmask:\n  - 10.0.0.0/8\n  - fe80::/10\n";
        let flow = "{list: {10.0.0.1: true, \"::1\": false}, mask: [10.0.0.0/8, \"fe80::/10\"]}";
        assert_eq!(tree(block).unwrap(), tree(flow).unwrap());
        assert_eq!(tree("---\na: 1\n...\n").unwrap(), json(r#"{"a": 1}"#));
        assert_eq!(tree("# nothing\n").unwrap(), Value::Null);
    }

    #[test]
    fn what_no_configuration_needs_is_refused_with_its_place() {
        for (text, said) in [
            ("a: 1\nb: 2\na: 3\n", "the key \"a\" is written twice at line 3 column 1"),
            ("a: &x 1\nb: *x\n", "an alias; expected the value itself at line 2 column 4"),
            ("a: !!binary aGk=\n", "a tag; expected a plain value at line 1"),
            ("a: !point {x: 1}\n", "a tag; expected a plain value at line 1"),
            ("a: 1\n---\nb: 2\n", "a second document; expected one at line 3 column 1"),
            ("? [a]\n: 1\n", "expected a plain key at line 1"),
            ("a: [1\n", "not YAML: "),
            ("a:\n\t- 1\n", "not YAML: "),
        ] {
            let error = tree(text).unwrap_err();
            assert!(error.starts_with(said), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_billion_laughs_are_refused_at_the_first() {
        let mut text = "a0: &a0 [lol]\n".to_owned();
        for level in 1..40 {
            text += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(","));
        }
        assert!(tree(&text).unwrap_err().starts_with("an alias; "));
    }

    #[test]
    fn neither_depth_nor_length_costs_the_reader() {
        let began = Instant::now();
        let most = 4 << 20;
        for piece in ["[", "{a: ", "- ", "? ", "[{", "&a ", "- - "] {
            assert!(tree(&piece.repeat(most / piece.len())).is_err(), "{piece}");
        }
        let deep: String = (0..2000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert!(tree(&deep).unwrap_err().starts_with("more than 32 levels deep at line "));
        let long: String = (0..100_000).map(|number| format!("key{number}: value\n")).collect();
        assert!(tree(&long).is_ok() && tree(&"x".repeat(most)).is_ok() && tree(&"#\n".repeat(most / 2)).is_ok());
        assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    }
}
