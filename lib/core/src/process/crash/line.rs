//! A datagram in the making, on the stack of a signal handler.

/// Up to [`ROOM`] bytes; what does not fit is left out.
pub struct Line {
    bytes: [u8; ROOM],
    length: usize,
}

impl Line {
    pub fn new() -> Line {
        Line { bytes: [0; ROOM], length: 0 }
    }

    pub fn text(&mut self, text: &[u8]) -> &mut Line {
        for byte in text {
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = *byte;
                self.length += 1;
            }
        }
        self
    }

    /// In base 10 or 16.
    pub fn number(&mut self, number: u64, base: u64) -> &mut Line {
        let mut digits = [0; 20];
        let (mut left, mut at) = (number, digits.len());
        while at == digits.len() || left > 0 {
            at -= 1;
            let digit = (left % base) as u8;
            if let Some(place) = digits.get_mut(at) {
                *place = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
            }
            left /= base;
        }
        self.text(digits.get(at..).unwrap_or_default())
    }

    /// Whether so many more bytes fit.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.length + bytes <= ROOM
    }

    /// What it says.
    pub fn text_so_far(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

const ROOM: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_format_does() {
        for number in [0, 9, 10, 255, u64::MAX] {
            let mut line = Line::new();
            line.number(number, 10).text(b" ").number(number, 16);
            assert_eq!(&line.bytes[..line.length], format!("{number} {number:x}").as_bytes());
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut line = Line::new();
        line.text(&[b'x'; ROOM - 1]).number(12345, 10);
        assert_eq!((line.length, line.bytes[ROOM - 1], line.has_room(1)), (ROOM, b'1', false));
    }
}
