//! Hashes whose fields expire, in the forms that Redis 7.4 has for them. Redis 7.0 takes neither.
//!
//! ```text
//! HASH_METADATA     earliest expiry: i64 | count | count * (time: length | field: string | value: string)
//!                   time is 0 for a field that stays, else its expiry less the earliest, plus 1
//! HASH_LISTPACK_EX  earliest expiry: i64 | a listpack of field, value, expiry (0: none), field, …
//! ```

use super::input::Input;
use super::kinds::{HASH_LISTPACK_EX, HASH_METADATA};
use super::listpack;
use super::output::Output;
use crate::codec::DecodeError;
use crate::storage::{ExpiringField, Object};
use crate::types::UnixMs;
use crate::types::number::parse_i64;

/// Latest expiry that Redis takes for a field.
const EXPIRY_MAX_MS: i64 = 1 << 46;

/// Writes the fields, and answers the form.
pub(super) fn save(fields: &[ExpiringField], out: &mut Output<'_>) -> u8 {
    let earliest = fields.iter().filter_map(|field| field.expires_at).min().unwrap_or_default().0;
    out.raw(&earliest.to_le_bytes());
    out.count(fields.len());
    for field in fields {
        out.length(field.expires_at.map_or(0, |at| (at.0 - earliest).unsigned_abs() + 1));
        out.string(&field.field);
        out.string(&field.value);
    }
    HASH_METADATA
}

/// Reads a hash of a form. Names are not checked.
pub(super) fn load(kind: u8, input: &mut Input<'_>) -> Result<Vec<ExpiringField>, DecodeError> {
    let earliest = i64::from_le_bytes(input.array()?);
    if !(0..=EXPIRY_MAX_MS).contains(&earliest) {
        return Err(input.error("an expiry that cannot be"));
    }
    let mut fields = Vec::new();
    if kind == HASH_LISTPACK_EX {
        let packed = input.string()?;
        let items = listpack::decode(&packed)?;
        if items.len() % 3 != 0 {
            return Err(input.error("a field without a value or an expiry"));
        }
        let mut items = items.into_iter().map(|item| item.into_bytes().into_owned());
        while let (Some(field), Some(value), Some(time)) = (items.next(), items.next(), items.next()) {
            let time = parse_i64(&time).filter(|time| (0..=EXPIRY_MAX_MS).contains(time));
            let time = time.ok_or_else(|| input.error("an expiry that is none"))?;
            fields.push(ExpiringField { field, value, expires_at: (time != 0).then_some(UnixMs(time)) });
        }
        return if fields.is_empty() { Err(input.error("a hash without fields")) } else { Ok(fields) };
    }
    debug_assert_eq!(kind, HASH_METADATA);
    for _ in 0..input.count_of_value(3)? {
        let time = input.length()?;
        let expires_at = match time {
            0 => None,
            time if time <= EXPIRY_MAX_MS.unsigned_abs() => Some(UnixMs(earliest + (time.cast_signed() - 1))),
            _ => return Err(input.error("an expiry that cannot be")),
        };
        let field = input.string()?.into_owned();
        fields.push(ExpiringField { field, value: input.string()?.into_owned(), expires_at });
    }
    Ok(fields)
}

/// The object that the fields are: one without expiries is a plain hash.
pub(super) fn object(fields: Vec<ExpiringField>) -> Object {
    if fields.iter().any(|field| field.expires_at.is_some()) {
        Object::ExpiringHash(fields)
    } else {
        Object::Hash(fields.into_iter().map(|field| (field.field, field.value)).collect())
    }
}
