//! Streams: nodes of entries, counters, and groups with what they have delivered.
//!
//! ```text
//! stream   := count | count * (id of the node: string of 16 bytes | listpack: string)
//!             | entries: length | last: id | [first: id | highest removed: id | ever added: length]
//!             | count | count * group
//! group    := name: string | last: id | [entries read: length]
//!             | count | count * (16 bytes | delivered at ms: i64 | deliveries: length)
//!             | count | count * consumer
//! consumer := name: string | seen at ms: i64 | [active at ms: i64] | count | count * 16 bytes
//! id       := ms: length | number: length                       16 bytes are the same, big-endian
//! ```
//! What is in brackets came with the second form, of Redis 7.0, and the third, of 7.2.
//!
//! ```text
//! listpack := live | removed | count | count * field | 0 | entry*
//! entry    := flags | ms after the node's | number after the node's | [count] | fields and values | items so far
//! flags    := 1: it was removed, 2: its fields are those at the beginning, and only its values follow
//! ```

mod load;
mod save;

pub(super) use load::load;
pub(super) use save::save;

const FLAG_REMOVED: i64 = 1;
const FLAG_SAME_FIELDS: i64 = 2;
/// Stands for a number of entries read that is not known.
const READ_UNKNOWN: u64 = u64::MAX;
