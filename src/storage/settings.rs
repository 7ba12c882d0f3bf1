//! Thresholds of the compact encodings, under Redis's names.

/// When a value leaves its compact encoding. The defaults are Redis 7's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodingSettings {
    /// `hash-max-listpack-entries`: fields a hash may have as a listpack.
    pub hash_max_listpack_entries: usize,
    /// `hash-max-listpack-value`: bytes of its longest field or value.
    pub hash_max_listpack_value: usize,
    /// `list-max-listpack-size`: elements of a node of a list, or, negative, its size class: -1 is 4 KiB, each
    /// further one doubles it, down to -5.
    pub list_max_listpack_size: i64,
    /// `set-max-intset-entries`: members a set of integers may have as an intset.
    pub set_max_intset_entries: usize,
    /// `set-max-listpack-entries`: members a set may have as a listpack.
    pub set_max_listpack_entries: usize,
    /// `set-max-listpack-value`: bytes of its longest member.
    pub set_max_listpack_value: usize,
    /// `zset-max-listpack-entries`: members a sorted set may have as a listpack.
    pub zset_max_listpack_entries: usize,
    /// `zset-max-listpack-value`: bytes of its longest member.
    pub zset_max_listpack_value: usize,
    /// `hll-sparse-max-bytes`: bytes up to which a HyperLogLog stays sparse, its header included.
    pub hll_sparse_max_bytes: usize,
    /// `stream-node-max-bytes`: bytes of a node of a stream; 0 is no limit.
    pub stream_node_max_bytes: usize,
    /// `stream-node-max-entries`: entries of a node of a stream; 0 is no limit.
    pub stream_node_max_entries: usize,
}

impl Default for EncodingSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl EncodingSettings {
    /// What holds unless something else is set.
    pub const DEFAULT: Self = Self {
        hash_max_listpack_entries: 128,
        hash_max_listpack_value: 64,
        list_max_listpack_size: -2,
        set_max_intset_entries: 512,
        set_max_listpack_entries: 128,
        set_max_listpack_value: 64,
        zset_max_listpack_entries: 128,
        zset_max_listpack_value: 64,
        hll_sparse_max_bytes: 3000,
        stream_node_max_bytes: 4096,
        stream_node_max_entries: 100,
    };

    /// Sets one by its name; answers whether it is one of these.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> bool {
        let Some(number) = std::str::from_utf8(value).ok().and_then(|value| value.parse::<i64>().ok()) else {
            return false;
        };
        if name == b"list-max-listpack-size" {
            self.list_max_listpack_size = number;
            return true;
        }
        let Ok(value) = usize::try_from(number) else { return false };
        match name {
            b"hash-max-listpack-entries" => self.hash_max_listpack_entries = value,
            b"hash-max-listpack-value" => self.hash_max_listpack_value = value,
            b"set-max-intset-entries" => self.set_max_intset_entries = value,
            b"set-max-listpack-entries" => self.set_max_listpack_entries = value,
            b"set-max-listpack-value" => self.set_max_listpack_value = value,
            b"zset-max-listpack-entries" => self.zset_max_listpack_entries = value,
            b"zset-max-listpack-value" => self.zset_max_listpack_value = value,
            b"hll-sparse-max-bytes" => self.hll_sparse_max_bytes = value,
            b"stream-node-max-bytes" => self.stream_node_max_bytes = value,
            b"stream-node-max-entries" => self.stream_node_max_entries = value,
            _ => return false,
        }
        true
    }
}

impl EncodingSettings {
    /// All, by their names.
    fn all(&self) -> [(&'static str, i64); 11] {
        let number = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        [
            ("hash-max-listpack-entries", number(self.hash_max_listpack_entries)),
            ("hash-max-listpack-value", number(self.hash_max_listpack_value)),
            ("list-max-listpack-size", self.list_max_listpack_size),
            ("set-max-intset-entries", number(self.set_max_intset_entries)),
            ("set-max-listpack-entries", number(self.set_max_listpack_entries)),
            ("set-max-listpack-value", number(self.set_max_listpack_value)),
            ("zset-max-listpack-entries", number(self.zset_max_listpack_entries)),
            ("zset-max-listpack-value", number(self.zset_max_listpack_value)),
            ("hll-sparse-max-bytes", number(self.hll_sparse_max_bytes)),
            ("stream-node-max-bytes", number(self.stream_node_max_bytes)),
            ("stream-node-max-entries", number(self.stream_node_max_entries)),
        ]
    }

    /// Those that are not the default, by their names.
    pub fn changed(&self) -> impl Iterator<Item = (&'static str, i64)> {
        let pairs = self.all().into_iter().zip(Self::DEFAULT.all());
        pairs.filter(|(own, default)| own != default).map(|(own, _)| own)
    }
}

/// Longest string, in bytes, that reports the `embstr` encoding. From Redis's object.c.
pub const EMBSTR_MAX_BYTES: usize = 44;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_makes_the_same_settings() {
        assert_eq!(EncodingSettings::DEFAULT.changed().count(), 0);
        for (name, value) in EncodingSettings::DEFAULT.all() {
            let mut settings = EncodingSettings::DEFAULT;
            assert!(settings.set(name.as_bytes(), (value + 1).to_string().as_bytes()), "{name}");
            assert_eq!(settings.changed().collect::<Vec<_>>(), [(name, value + 1)]);
        }
    }
}
