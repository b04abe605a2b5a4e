//! Which requests are answered, and with what header.
//!
//! A request without payload (a GET) is answered whatever its timeout, as in 2019. One with payload (a SET) is answered
//! when somebody waits for it or wants bytes back; the original never did, so that a SET with a timeout always ran into
//! it. A request that its service refused is answered only when somebody waits, with an errcode instead of the bytes.

use msf_wire::librpc::{Header, errcode, timeout};

/// The header of the answer to a request that was served, or `None` when nobody wants one.
#[must_use]
pub const fn served(request: &Header, datalen: u32) -> Option<Header> {
    let set_into_the_blue = request.datalen > 0 && request.restlen == 0 && request.timeout == timeout::NO_WAIT;
    if set_into_the_blue { None } else { Some(request.ack(errcode::EXEC_SUCC, datalen)) }
}

/// The header of the answer to a request that was not served, or `None` when nobody waits.
#[must_use]
pub const fn refused(request: &Header, errcode: u32) -> Option<Header> {
    if request.timeout == timeout::NO_WAIT { None } else { Some(request.ack(errcode, 0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(datalen: u32, restlen: u32, timeout: u32) -> Header {
        Header { datalen, restlen, timeout, ..Header::request(0x11, 0x12, 0x25, 10) }
    }

    #[test]
    fn a_get_is_answered_even_when_nobody_waits() {
        let get = request(0, 36, 0);
        assert_eq!(served(&get, 36), Some(get.ack(errcode::EXEC_SUCC, 36)));
    }

    #[test]
    fn a_set_is_answered_when_somebody_waits_or_wants_bytes() {
        assert!(served(&request(36, 0, 1000), 0).is_some());
        assert!(served(&request(36, 8, 0), 8).is_some());
        assert_eq!(served(&request(36, 0, 0), 0), None);
    }

    #[test]
    fn a_refusal_is_told_only_to_who_waits() {
        let waiting = request(0, 36, 1000);
        assert_eq!(refused(&waiting, errcode::EXEC_FAIL), Some(waiting.ack(errcode::EXEC_FAIL, 0)));
        assert_eq!(refused(&request(0, 36, 0), errcode::EXEC_FAIL), None);
    }
}
