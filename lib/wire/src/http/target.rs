//! What a request line points at.

use std::borrow::Cow;

/// The path of `/path?query`, of `http://host/path?query`, or `*`.
pub(super) fn path(target: &str) -> &str {
    let path = match target.split_once("://") {
        // A proxy's form, which a server must understand as well. A path may hold `://`, so only a scheme counts.
        Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or("/")
        }
        _ => target,
    };
    match path.split_once(['?', '#']) {
        Some(("", _)) => "/",
        Some((path, _)) => path,
        None => path,
    }
}

/// `text` with each `%41` replaced by its byte; `None` when a per cent sign is not followed by two hex digits.
#[must_use]
pub fn percent_decoded(text: &str) -> Option<Cow<'_, [u8]>> {
    let Some((before, _)) = text.split_once('%') else { return Some(Cow::Borrowed(text.as_bytes())) };
    let mut bytes = before.as_bytes().to_vec();
    let mut rest = text.as_bytes().get(before.len()..)?;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let ([high, low], after) = rest.split_first_chunk::<2>()?;
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        bytes.push((digit(high)? * 16 + digit(low)?) as u8);
        rest = after;
    }
    Some(Cow::Owned(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_in_every_form_of_a_target() {
        for (target, found) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a?b=/c", "/a"),
            ("/a#b", "/a"),
            ("http://host/a/b?c", "/a/b"),
            ("https://host", "/"),
            ("http://host?q", "/"),
            ("/a://b/c", "/a://b/c"),
            ("*", "*"),
            ("host:80", "host:80"),
        ] {
            assert_eq!(path(target), found, "{target}");
        }
    }

    #[test]
    fn per_cent_signs_become_bytes_or_nothing() {
        assert_eq!(percent_decoded("upnp/0x26").as_deref(), Some(&b"upnp/0x26"[..]));
        assert_eq!(percent_decoded("a%2Fb%c3%A4%00").as_deref(), Some(&b"a/b\xc3\xa4\0"[..]));
        assert_eq!(percent_decoded("a+b").as_deref(), Some(&b"a+b"[..]));
        for broken in ["%", "a%4", "%zz", "%+1", "%4\u{e4}"] {
            assert_eq!(percent_decoded(broken), None, "{broken}");
        }
    }
}
