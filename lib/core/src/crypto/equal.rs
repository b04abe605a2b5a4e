//! Comparing secrets.

use std::hint::black_box;

/// Whether both are the same bytes; the time depends on their length only, not on where they differ.
pub fn equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    // The compiler must not see that the outcome is certain after the first difference.
    black_box(one.iter().zip(other).fold(0, |differences, (a, b)| black_box(differences | (a ^ b)))) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_anywhere_makes_a_difference() {
        let text = [0x5a; 40];
        assert!(equal(&text, &text));
        assert!(equal(&[], &[]));
        assert!(!equal(&text, &text[1..]));
        for at in 0..text.len() * 8 {
            let mut other = text;
            other[at / 8] ^= 1 << (at % 8);
            assert!(!equal(&text, &other), "bit {at}");
        }
    }
}
