//! How the answer to one request must look, whatever it says.

use super::verdict::append_code;
use msf_wire::http::{Head, Persistence, Response};
use msf_wire::state;

/// What the request says about its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// What becomes of the connection.
    pub persistence: Persistence,
    /// A HEAD request gets everything but the body.
    pub bodiless: bool,
}

state! { struct Manner { persistence, bodiless } }

impl Manner {
    /// What this request says; whatever it says, the connection `ends` where that is decided already.
    pub fn of(head: &Head<'_>, ends: bool) -> Manner {
        let persistence = if ends { Persistence::Ends } else { head.persistence() };
        Manner { persistence, bodiless: head.method == "HEAD" }
    }

    /// For bytes that were no request.
    pub fn last() -> Manner {
        Manner { persistence: Persistence::Ends, bodiless: false }
    }

    /// Begins an answer.
    pub fn begin(self, out: &mut Vec<u8>, status: u16) -> Response<'_> {
        Response::new(out, status, self.persistence)
    }

    /// Ends it.
    pub fn end(self, response: Response<'_>, body: &[u8]) {
        match self.bodiless {
            true => drop(response.body_of(body.len())),
            false => response.body(body),
        }
    }

    /// A whole answer of the agent's own: a sentence in JSON, under the status with a minus for a code, so that nobody
    /// takes it for a worker's.
    pub fn refuse(self, out: &mut Vec<u8>, status: u16, why: &str, more: &[(&str, &[u8])]) -> u16 {
        let mut body = vec![b'{'];
        append_code(&mut body, -i64::from(status), why);
        body.extend_from_slice(b"}\n");
        let mut response = self.begin(out, status);
        if matches!(status, 429 | 503) {
            response = response.header("Retry-After", b"1");
        }
        for (name, value) in more {
            response = response.header(name, value);
        }
        self.end(response.header("Content-Type", b"application/json"), &body);
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_sentence_in_json() {
        let mut out = Vec::new();
        Manner::last().refuse(&mut out, 405, "only \"POST\"", &[("Allow", b"POST")]);
        let expected = "HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\nAllow: POST\r\n\
            Content-Type: application/json\r\nContent-Length: 36\r\n\r\n{\"code\":-405,\"msg\":\"only \\\"POST\\\"\"}\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
