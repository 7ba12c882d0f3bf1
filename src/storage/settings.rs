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

impl EncodingSettings {
    /// Sets one by its name; answers whether it is one of these.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> bool {
        let Some(value) = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok()) else { return false };
        match name {
            b"hash-max-listpack-entries" => self.hash_max_listpack_entries = value,
            b"hash-max-listpack-value" => self.hash_max_listpack_value = value,
            _ => return false,
        }
        true
    }
}

/// Longest string, in bytes, that reports the `embstr` encoding. From Redis's object.c.
pub const EMBSTR_MAX_BYTES: usize = 44;
