//! Thresholds of the compact encodings, under Redis's names.

/// When a value leaves its compact encoding. The defaults are Redis 7's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodingSettings {
    /// `hash-max-listpack-entries`: fields a hash may have as a listpack.
    pub hash_max_listpack_entries: usize,
    /// `hash-max-listpack-value`: bytes of its longest field or value.
    pub hash_max_listpack_value: usize,
}

impl Default for EncodingSettings {
    fn default() -> Self {
        Self { hash_max_listpack_entries: 128, hash_max_listpack_value: 64 }
    }
}

/// Longest string, in bytes, that reports the `embstr` encoding. From Redis's object.c.
pub const EMBSTR_MAX_BYTES: usize = 44;
