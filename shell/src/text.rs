//! JSON that we write: objects, and bytes, as text where they are text, else in hexadecimal digits.

use msf_conf::tree::{Map, Value};

/// A JSON object of these.
pub fn object<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Object(Map::from_iter(members.into_iter().map(|(key, value)| (key.to_owned(), value))))
}

/// What `request` carries: `text`, `hex`, or nothing.
pub fn from_value(request: &Value) -> Result<Vec<u8>, String> {
    let string = |key: &str| match request.get(key) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| format!("{key}: expected a string")),
    };
    match (string("text")?, string("hex")?) {
        (Some(_), Some(_)) => Err("text and hex exclude each other".to_owned()),
        (Some(text), None) => Ok(text.as_bytes().to_vec()),
        (None, Some(hex)) => bytes(hex),
        (None, None) => Ok(Vec::new()),
    }
}

/// Puts bytes into an answer.
pub fn to_value(bytes: &[u8], answer: &mut Map<String, Value>) {
    let (key, text) = match str::from_utf8(bytes) {
        Ok(text) => ("text", text.to_owned()),
        Err(_) => ("hex", bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
    };
    answer.insert(key.to_owned(), Value::from(text));
}

/// The bytes of hexadecimal digits.
pub fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> =
        hex.chars().map(|digit| digit.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    match digits {
        Some(digits) if digits.len().is_multiple_of(2) => {
            Ok(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
        }
        _ => Err("hex: expected an even number of hexadecimal digits".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut answer = Map::new();
        to_value(bytes, &mut answer);
        let is_text = answer.contains_key("text");
        (from_value(&Value::Object(answer)).unwrap(), is_text)
    }

    #[test]
    fn bytes_come_back_as_they_were() {
        for (given, text) in [(&b""[..], true), (b"{\"a\": 1}\n\0", true), (&[0xff, 0, 0x7f, 0x80], false)] {
            assert_eq!(round(given), (given.to_vec(), text));
        }
    }

    #[test]
    fn what_is_no_hexadecimal_is_refused() {
        for wrong in ["f", "0g", "0 ", "é"] {
            assert!(bytes(wrong).unwrap_err().starts_with("hex: expected"), "{wrong}");
        }
        assert_eq!(bytes("00fF").unwrap(), [0, 255]);
    }
}
