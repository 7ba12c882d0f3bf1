//! Digests of data: equal for equal data, whatever engine keeps it and in whatever order.
//!
//! ```text
//! store  := XOR over all live keys of mix(KEY, database | key | value)
//! value  := mix(VALUE, kind | expires | expiry | body)
//! body   := of a string its bytes; of a hash the count of fields, and the XOR over all fields of
//!           mix(FIELD, field length | field | value); of a set the same over its members with empty
//!           values; of a field that expires mix(EXPIRING, field length | field | expiry | value); of a sorted
//!           set with scores as values; of a list the count and a chain:
//!           mix(FIELD, chain so far | element) over its elements in order; of a stream a chain over its
//!           counters, its entries and its groups
//! mix    := 160 bits of XXH3-64 with three seeds each
//! ```
//!
//! A digest finds divergence and damage. It is not cryptographic: who can choose the data can make
//! different data agree.

use twox_hash::XxHash3_64;

use super::store::Store;
use super::{Address, Engine, Object, StorageError, StorageResult};
use crate::types::{Db, UnixMs};

/// 160 bits, as many as Redis's digests have.
pub type Digest = [u8; 20];

/// What a mix is of; tells a key from a value of the same bytes.
#[derive(Clone, Copy)]
enum Domain {
    Key = 1,
    Value = 2,
    Field = 3,
    Expiring = 4,
}

fn mix(domain: Domain, bytes: &[u8]) -> Digest {
    let mut digest = [0; 20];
    for (index, lane) in digest.chunks_mut(8).enumerate() {
        // Unrelated seeds: any odd constant times different numbers will do.
        let seed = (index as u64 * 4 + domain as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = XxHash3_64::oneshot_with_seed(seed, bytes).to_le_bytes();
        lane.copy_from_slice(&hash[..lane.len()]);
    }
    digest
}

fn fold(into: &mut Digest, other: &Digest) {
    into.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
}

/// The body of elements whose order does not matter.
#[derive(Default)]
struct Unordered {
    all: Digest,
    count: u64,
    pair: Vec<u8>,
}

impl Unordered {
    fn add(&mut self, name: &[u8], value: &[u8]) {
        self.pair.clear();
        self.pair.extend_from_slice(&(name.len() as u64).to_le_bytes());
        self.pair.extend_from_slice(name);
        self.pair.extend_from_slice(value);
        fold(&mut self.all, &mix(Domain::Field, &self.pair));
        self.count += 1;
    }

    fn add_expiring(&mut self, name: &[u8], UnixMs(at): UnixMs, value: &[u8]) {
        self.pair.clear();
        self.pair.extend_from_slice(&(name.len() as u64).to_le_bytes());
        self.pair.extend_from_slice(name);
        self.pair.extend_from_slice(&at.to_le_bytes());
        self.pair.extend_from_slice(value);
        fold(&mut self.all, &mix(Domain::Expiring, &self.pair));
        self.count += 1;
    }

    fn finish(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.count.to_le_bytes());
        bytes.extend_from_slice(&self.all);
    }
}

/// The digest of a value with its expiry, without its key (`DEBUG DIGEST-VALUE`).
pub fn digest_value(object: &Object, expires_at: Option<UnixMs>) -> Digest {
    let mut bytes = vec![object.kind() as u8, u8::from(expires_at.is_some())];
    bytes.extend_from_slice(&expires_at.unwrap_or_default().0.to_le_bytes());
    match object {
        Object::String(string) => bytes.extend_from_slice(string),
        Object::Hash(fields) => {
            let mut all = Unordered::default();
            fields.iter().for_each(|(field, value)| all.add(field, value));
            all.finish(&mut bytes);
        }
        Object::ExpiringHash(fields) => {
            let mut all = Unordered::default();
            for field in fields {
                match field.expires_at {
                    Some(at) => all.add_expiring(&field.field, at, &field.value),
                    None => all.add(&field.field, &field.value),
                }
            }
            all.finish(&mut bytes);
        }
        Object::Set(members) => {
            let mut all = Unordered::default();
            members.iter().for_each(|member| all.add(member, b""));
            all.finish(&mut bytes);
        }
        Object::Zset(members) => {
            let mut all = Unordered::default();
            // Adding zero makes the two zeros, which are equal scores, one.
            members.iter().for_each(|(member, score)| all.add(member, &(score + 0.0).to_le_bytes()));
            all.finish(&mut bytes);
        }
        Object::Stream(stream) => {
            let mut before = Digest::default();
            let mut link = Vec::new();
            stream.for_each_part(&mut |part| {
                link.clear();
                link.extend_from_slice(&before);
                link.extend_from_slice(part);
                before = mix(Domain::Field, &link);
            });
            bytes.extend_from_slice(&before);
        }
        Object::List(elements) => {
            let mut before = Digest::default();
            let mut link = Vec::new();
            for element in elements {
                link.clear();
                link.extend_from_slice(&before);
                link.extend_from_slice(element);
                before = mix(Domain::Field, &link);
            }
            bytes.extend_from_slice(&(elements.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&before);
        }
    }
    mix(Domain::Value, &bytes)
}

/// The digest of all keys of one engine in a database that are live at `now`.
///
/// # Errors
/// When the engine cannot be read.
pub fn digest_engine(engine: &dyn Engine, db: Db, now: UnixMs) -> StorageResult<Digest> {
    let mut all = Digest::default();
    let mut failure: Option<StorageError> = None;
    let mut bytes = Vec::new();
    engine.for_each_key(db, b"", now, &mut |key, _| match engine.object(Address::new(db, key), now) {
        Ok(Some((object, expires_at))) => {
            bytes.clear();
            bytes.extend_from_slice(&db.0.to_le_bytes());
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(&digest_value(&object, expires_at));
            fold(&mut all, &mix(Domain::Key, &bytes));
            true
        }
        Ok(None) => true,
        Err(error) => {
            failure = Some(error);
            false
        }
    })?;
    failure.map_or(Ok(all), Err)
}

/// The digest of all keys of a shard that are live at `now` (`DEBUG DIGEST`); zero when there are
/// none.
///
/// # Errors
/// When an engine cannot be read.
pub fn digest_store(store: &Store, now: UnixMs) -> StorageResult<Digest> {
    let mut all = Digest::default();
    for (_, engine) in store.engines() {
        for db in (0..=u16::MAX).map(Db).filter(|&db| engine.len(db) > 0) {
            fold(&mut all, &digest_engine(engine, db, now)?);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::storage::{EncodingSettings, EngineKind, Expiry, KeyspaceRules};

    fn hash(pairs: &[(&str, &str)]) -> Object {
        Object::Hash(
            pairs.iter().map(|(field, value)| (field.as_bytes().to_vec(), value.as_bytes().to_vec())).collect(),
        )
    }

    #[test]
    fn order_of_fields_does_not_matter() {
        let digest = digest_value(&hash(&[("a", "1"), ("b", "2")]), None);
        assert_eq!(digest, digest_value(&hash(&[("b", "2"), ("a", "1")]), None));
        assert_ne!(digest, digest_value(&hash(&[("a", "2"), ("b", "1")]), None));
        assert_ne!(digest, digest_value(&hash(&[("a", "1")]), None));
        assert_ne!(digest_value(&hash(&[("a", "bc")]), None), digest_value(&hash(&[("ab", "c")]), None));
    }

    #[test]
    fn kind_and_expiry_matter() {
        let string = Object::String(b"1".to_vec());
        let digests = [
            digest_value(&string, None),
            digest_value(&string, Some(UnixMs(0))),
            digest_value(&string, Some(UnixMs(1))),
            digest_value(&Object::String(Vec::new()), None),
            digest_value(&hash(&[("1", "")]), None),
        ];
        for (index, digest) in digests.iter().enumerate() {
            assert!(!digests[..index].contains(digest));
        }
    }

    #[test]
    fn is_fixed() {
        let digest = digest_value(&Object::String(b"value".to_vec()), None);
        let text: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, "bf3161561dfc597079fa190303436a2a13c43cd8");
    }

    #[test]
    fn stores_agree_by_content() {
        let rules = Arc::new(KeyspaceRules::new(EngineKind::Hash, Vec::new()));
        let open = || {
            Store::open(Path::new("not used"), Arc::clone(&rules), &EncodingSettings::default(), &Default::default())
                .unwrap()
        };
        let now = UnixMs(1000);
        let set = |store: &mut Store, db: u16, key: &[u8], expiry: Expiry| {
            let at = Address::new(Db(db), key);
            store.engine_mut(at.db, key).set_string(at, b"1", expiry, now).unwrap();
        };
        let (mut one, mut other) = (open(), open());
        assert_eq!(digest_store(&one, now).unwrap(), Digest::default());
        set(&mut one, 0, b"a", Expiry::Clear);
        set(&mut one, 5, b"b", Expiry::At(UnixMs(2000)));
        set(&mut other, 5, b"b", Expiry::At(UnixMs(2000)));
        assert_ne!(digest_store(&one, now).unwrap(), digest_store(&other, now).unwrap());
        set(&mut other, 0, b"a", Expiry::Clear);
        assert_eq!(digest_store(&one, now).unwrap(), digest_store(&other, now).unwrap());
        set(&mut other, 1, b"c", Expiry::At(now));
        assert_ne!(digest_store(&one, now).unwrap(), digest_store(&other, now).unwrap());
        let later = UnixMs(now.0 + 1);
        assert_eq!(digest_store(&one, later).unwrap(), digest_store(&other, later).unwrap());
        set(&mut one, 2, b"same", Expiry::Clear);
        set(&mut other, 3, b"same", Expiry::Clear);
        assert_ne!(digest_store(&one, later).unwrap(), digest_store(&other, later).unwrap(), "the database counts");
    }
}
