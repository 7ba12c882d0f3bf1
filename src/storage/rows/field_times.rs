//! The bytes of rows about fields that expire, and what a hash's own row says of them; [`format`](super::format) draws
//! them.

use super::format::{
    COLLECTION_BYTES, EXPIRY_HEADER_BYTES, Meta, Physical, RowRange, Shape, be_u64, collection_body, corrupt,
    element_prefix, index_name, push_part, push_physical, push_time, row_with,
};
use crate::storage::StorageResult;
use crate::types::UnixMs;

/// The row of a hash with a field that expires, the earliest at this time.
pub(super) fn field_due_row(physical: Physical, at: UnixMs, key: &[u8]) -> Vec<u8> {
    let mut row = field_due_start(physical, at);
    push_part(&mut row, key);
    row
}

/// Start of the rows of hashes with fields that expire.
pub(super) fn field_due_prefix(physical: Physical) -> Vec<u8> {
    let mut row = row_with(b'Y', EXPIRY_HEADER_BYTES);
    push_physical(&mut row, physical);
    row
}

/// The same, of those whose earliest is at this time.
pub(super) fn field_due_start(physical: Physical, at: UnixMs) -> Vec<u8> {
    let mut row = field_due_prefix(physical);
    push_time(&mut row, at);
    row
}

/// The row of a field in the order of expiry.
pub(super) fn field_time_row(times: u64, at: UnixMs, field: &[u8]) -> Vec<u8> {
    let mut row = element_prefix(times);
    push_time(&mut row, at);
    push_part(&mut row, field);
    row
}

/// The rows of fields that expire before a time.
pub(super) fn field_times_before(times: u64, end: UnixMs) -> RowRange {
    let start = element_prefix(times);
    let mut range_end = start.clone();
    push_time(&mut range_end, end);
    RowRange { start, end: range_end }
}

/// Time and field of such a row.
pub(super) fn split_field_time<'r>(row: &'r [u8], value: &'r [u8]) -> StorageResult<(UnixMs, &'r [u8])> {
    const WHAT: &str = "field expiry row";
    let header = element_prefix(0).len();
    let at = be_u64(row.get(header..).unwrap_or_default(), WHAT)? ^ 1 << 63;
    Ok((UnixMs(at.cast_signed()), index_name(&row[header + 8..], value)))
}

/// The expiries that a hash's row tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldTimes {
    /// Version of the elements that hold the expiries.
    pub(super) expiries: u64,
    /// Fields that expire.
    pub(super) count: u64,
    /// The earliest expiry, if there is any.
    pub(super) earliest: UnixMs,
}

impl FieldTimes {
    /// The expiries of a hash's fields, if any ever had one.
    pub(super) fn of(meta: &Meta<'_>) -> StorageResult<Option<Self>> {
        const WHAT: &str = "hash";
        if meta.shape != Shape::Hash || meta.body.len() == COLLECTION_BYTES {
            return Ok(None);
        }
        let rest = meta.body.get(COLLECTION_BYTES..).filter(|rest| rest.len() == 24);
        let rest = rest.ok_or_else(|| corrupt(WHAT, meta.body))?;
        Ok(Some(Self {
            expiries: be_u64(rest, WHAT)?,
            count: be_u64(&rest[8..], WHAT)?,
            earliest: UnixMs(be_u64(&rest[16..], WHAT)?.cast_signed()),
        }))
    }

    /// Version of the rows in order of time.
    pub(super) fn times(&self) -> u64 {
        self.expiries + 1
    }

    /// The earliest expiry.
    pub(super) fn due(&self) -> Option<UnixMs> {
        (self.count > 0).then_some(self.earliest)
    }
}

/// The body of a hash's row.
pub(super) fn hash_body(version: u64, len: u64, times: Option<FieldTimes>) -> Vec<u8> {
    let mut body = collection_body(version, len).to_vec();
    if let Some(times) = times {
        body.extend_from_slice(&times.expiries.to_be_bytes());
        body.extend_from_slice(&times.count.to_be_bytes());
        body.extend_from_slice(&times.earliest.0.to_be_bytes());
    }
    body
}
