//! Tables whose tokens others know: they are saved with their tokens, and with the generations that make those unique.

use msf_core::event::{Slots, Token};
use msf_wire::snapshot::{Damage, Reader, State, What, Writer};

/// Appends a table, each value by `save`.
pub fn save<T>(slots: &Slots<T>, out: &mut Writer, mut save: impl FnMut(&T, &mut Writer)) {
    slots.generations().to_vec().save(out);
    out.count(slots.len());
    for (token, value) in slots.iter() {
        token.bits().save(out);
        save(value, out);
    }
}

/// Reads it back, each value by `load`.
///
/// # Errors
/// Whatever is not what [`save`] writes.
pub fn load<T>(
    from: &mut Reader<'_>,
    mut load: impl FnMut(&mut Reader<'_>) -> Result<T, Damage>,
) -> Result<Slots<T>, Damage> {
    let generations = Vec::load(from)?;
    let count = from.count()?;
    let mut values = Vec::new();
    for _ in 0..count {
        values.push((Token::from_bits(u32::load(from)?), load(from)?));
    }
    let damage = from.damage(What::Contradiction("tokens that its table cannot have given out"));
    Slots::restored(generations, values).ok_or(damage)
}
