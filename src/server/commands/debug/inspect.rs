//! `DEBUG` subcommands that look at data.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::command::CommandError;
use crate::command::error::{NO_SUCH_KEY, NOT_INTEGER};
use crate::server::commands::{CANNOT_READ, Call, DONE, Executed, late_error};
use crate::server::dispatch::database;
use crate::shard::clock;
use crate::storage::{Address, Engine, HashRead, Object, StringValue, digest};
use crate::types::UnixMs;
use crate::types::number::parse_i64;

/// Bits of the clock that Redis's LRU works with.
const LRU_CLOCK_MASK: i64 = (1 << 24) - 1;

/// Looks at a key with its engine.
fn at_key<T>(
    call: &Call<'_>,
    key: &[u8],
    look: impl FnOnce(&dyn Engine, Address<'_>, UnixMs) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let router = call.server.router();
    let shard = router.shard_of_key(key).ok_or(CANNOT_READ)?;
    let store = shard.replica();
    let at = Address::new(call.session.db, key);
    look(store.engine(at.db, at.key), at, shard.read_time(clock::now()))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `DEBUG DIGEST`: walks all data, off the runtime's workers.
pub(super) fn digest(call: &mut Call<'_>) -> Executed {
    let (server, protocol) = (Arc::clone(call.server), call.session.protocol);
    Ok(Some(Box::pin(async move {
        match server.digest().await {
            Ok(digest) => format!("+{}\r\n", hex(&digest)).into_bytes(),
            Err(error) => late_error(&server, protocol, &format!("ERR the digest failed: {error}")),
        }
    })))
}

/// `DEBUG DIGEST REPLICAS`: of each replica that this node has, up to date or not, the shard's number, the last
/// applied entry and the digest.
pub(super) fn replica_digests(call: &mut Call<'_>) -> Executed {
    let (server, protocol) = (Arc::clone(call.server), call.session.protocol);
    Ok(Some(Box::pin(async move {
        let shards: Vec<_> = server.router().shards().cloned().collect();
        let work = move || -> Result<Vec<_>, crate::storage::StorageError> {
            let of = |shard: &Arc<crate::shard::Shard>| {
                let (applied, digest) = shard.replica_digest(clock::now());
                Ok((shard.id().0, applied.0, hex(&digest?)))
            };
            shards.iter().map(of).collect()
        };
        let failed =
            |error: &dyn std::fmt::Display| late_error(&server, protocol, &format!("ERR the digest failed: {error}"));
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(digests)) => {
                let mut out = Vec::new();
                let mut reply = crate::resp::Reply::new(&mut out, protocol);
                reply.array(digests.len());
                for (shard, applied, digest) in digests {
                    reply.array(3);
                    reply.integer(i64::from(shard));
                    reply.integer(i64::try_from(applied).unwrap_or(i64::MAX));
                    reply.bulk(digest.as_bytes());
                }
                out
            }
            Ok(Err(error)) => failed(&error),
            Err(error) => failed(&error),
        }
    })))
}

/// `DEBUG DIGEST-VALUE key …`: zeros for a key that is not there, and for equal values the
/// same, whatever the keys are called.
pub(super) fn digest_value(call: &mut Call<'_>) -> Executed {
    let mut digests = Vec::with_capacity(call.args.len() - 2);
    for key in &call.args[2..] {
        let value = at_key(call, key, |engine, at, now| Ok(engine.object(at, now)?))?;
        digests.push(value.map_or([0; 20], |(object, expires_at)| digest::digest_value(&object, expires_at)));
    }
    let mut reply = call.reply();
    reply.array(digests.len());
    for digest in &digests {
        reply.simple(&hex(digest));
    }
    DONE
}

/// `DEBUG OBJECT key`
pub(super) fn object(call: &mut Call<'_>) -> Executed {
    let text = at_key(call, call.args[2], |engine, at, now| {
        let (object, _) = engine.object(at, now)?.ok_or(NO_SUCH_KEY)?;
        let encoding = engine.encoding(at, now)?.ok_or(NO_SUCH_KEY)?;
        let idle_seconds = engine.idle_seconds(at, now)?.unwrap_or(0);
        let accessed = (now.0 / 1000 - i64::try_from(idle_seconds).unwrap_or(0)) & LRU_CLOCK_MASK;
        Ok(format!(
            "Value at:{:#x} refcount:1 encoding:{encoding} serializedlength:{} lru:{accessed} \
             lru_seconds_idle:{idle_seconds}",
            address_of(at),
            serialized_bytes(&object),
        ))
    })?;
    call.reply().simple(&text);
    DONE
}

/// Values move, but tests compare where they are: a number that stays with the key.
fn address_of(at: Address<'_>) -> u64 {
    const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const FNV_PRIME: u64 = 0x0100_0000_01b3;
    let bytes = at.db.0.to_le_bytes().into_iter().chain(at.key.iter().copied());
    let hash = bytes.fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
    // As large as an address of a user's process, and aligned like one.
    (hash >> 17) & !0xf
}

fn serialized_bytes(object: &Object) -> usize {
    let mut bytes = Vec::new();
    object.encode(&mut bytes);
    bytes.len()
}

/// `DEBUG SDSLEN key`
pub(super) fn sdslen(call: &mut Call<'_>) -> Executed {
    let key = call.args[2];
    let value = at_key(call, key, |engine, at, now| {
        engine.meta(at, now)?.ok_or(NO_SUCH_KEY)?;
        match engine.string(at, now) {
            Ok(Some(StringValue::Bytes(bytes))) => Ok(Some(bytes.len())),
            Ok(_) => Ok(None),
            Err(error) if error.is_deterministic() => Ok(None),
            Err(error) => Err(error.into()),
        }
    })?;
    let length = value.ok_or(CommandError::Static("ERR Not an sds encoded string."))?;
    let (key_length, text) = (key.len(), &mut String::new());
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "key_sds_len:{key_length}, key_sds_avail:0, key_zmalloc: {key_length}, \
         val_sds_len:{length}, val_sds_avail:0, val_zmalloc: {length}"
    );
    call.reply().simple(text);
    DONE
}

/// `DEBUG LISTPACK key`
pub(super) fn listpack(call: &mut Call<'_>) -> Executed {
    let encoding = at_key(call, call.args[2], |engine, at, now| engine.encoding(at, now)?.ok_or(NO_SUCH_KEY))?;
    if encoding != "listpack" {
        return Err(CommandError::Static("ERR Not a listpack encoded object."));
    }
    call.reply().simple("Listpack structure printed on stdout");
    DONE
}

/// `DEBUG HTSTATS dbid`
pub(super) fn htstats(call: &mut Call<'_>) -> Executed {
    let number = parse_i64(call.args[2]).ok_or(NOT_INTEGER)?;
    let databases = call.server.shared().databases;
    let db = database(number, databases).ok_or(CommandError::Static("ERR Out of range database"))?;
    let count = call.server.count_keys(db).map_err(|_| CANNOT_READ)?;
    call.text(&format!("[Dictionary HT]\n{}[Expires HT]\n{}", table_stats(count.keys), table_stats(count.expires)))
}

/// `DEBUG HTSTATS-KEY key`
pub(super) fn htstats_key(call: &mut Call<'_>) -> Executed {
    let fields = at_key(call, call.args[2], |engine, at, now| {
        let encoding = engine.encoding(at, now)?.ok_or(NO_SUCH_KEY)?;
        if encoding != "hashtable" {
            return Err(CommandError::Static(
                "ERR The value stored at the specified key is not represented using an hash table",
            ));
        }
        Ok(engine.hash(at, now)?.map_or(0, |hash: HashRead<'_>| hash.len()))
    })?;
    call.text(&table_stats(fields))
}

/// What is known of a table from its number of elements.
fn table_stats(elements: u64) -> String {
    if elements == 0 {
        return "No stats available for empty dictionaries\n".to_owned();
    }
    format!("Hash table 0 stats (main hash table):\n number of elements: {elements}\n")
}

/// `DEBUG STRUCTSIZE`
pub(super) fn structsize(call: &mut Call<'_>) -> Executed {
    let text = format!(
        "bits:{} client:{} object:{} ",
        usize::BITS,
        size_of::<crate::server::clients::Client>(),
        size_of::<Object>()
    );
    call.reply().bulk(text.as_bytes());
    DONE
}
