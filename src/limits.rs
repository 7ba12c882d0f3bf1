//! Every bound of a queue, buffer or message, by name.
//!
//! Relations between limits are checked at compile time at the end of this file.

use std::time::Duration;

/// Longest inline command, and longest line of a multibulk header, in bytes (Redis: 64 KiB).
pub const INLINE_MAX_BYTES: usize = 64 * 1024;
/// Most arguments of one command from an authenticated client, as in Redis. The size of the request bounds them
/// before that.
pub const MULTIBULK_MAX_ARGS: i64 = i32::MAX as i64;
/// Default of `proto-max-bulk-len`: longest argument in bytes.
pub const BULK_MAX_BYTES_DEFAULT: i64 = 512 * 1024 * 1024;
/// Most arguments of one command before authentication (Redis: 10).
pub const UNAUTHENTICATED_MAX_ARGS: i64 = 10;
/// Longest argument before authentication, in bytes (Redis: 16 KiB).
pub const UNAUTHENTICATED_MAX_BULK_BYTES: i64 = 16 * 1024;

/// How long a command waits for a shard to have a leader before its client is told that there is none.
pub const FORWARD_PATIENCE: Duration = Duration::from_secs(5);
/// How long it is waited between two attempts to find a shard's leader.
pub const FORWARD_RETRY: Duration = Duration::from_millis(10);
/// Bytes of commands that may wait for the next log entry of a shard; connections wait above it.
pub const PROPOSAL_QUEUE_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Log entries of one shard that may be on their way through raft at a time. A small number lets
/// commands gather while an entry is under way, which is what makes the log cheap.
pub const PROPOSALS_IN_FLIGHT_MAX: usize = 2;
/// Bytes of commands, with what keeping them costs, that a client may queue between MULTI and EXEC.
pub const TRANSACTION_MAX_BYTES: usize = 512 * 1024 * 1024;
/// Bytes at which a log entry is closed although more commands wait.
pub const ENTRY_TARGET_BYTES: usize = 1024 * 1024;
/// Keys removed by one proposed sweep of expired keys.
pub const EXPIRE_SWEEP_MAX_KEYS: u32 = 1000;
/// Commands that are looked at together, so that the memory their keys are in is read for all at once.
pub const LOOK_AHEAD_COMMANDS_MAX: usize = 16;
/// Rows of dead values that are removed under one hold of the store's lock.
pub const GARBAGE_STEP_ROWS: usize = 512;
/// Such steps in each tick of a shard.
pub const GARBAGE_STEPS_PER_TICK: usize = 8;
/// Bytes of log in memory (`appendonly no`) at which it is let go at the latest.
pub const MEMORY_LOG_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes that the compressed strings of one RDB value may become, all together.
pub const RDB_EXPANDED_MAX_BYTES: usize = 4 << 30;
/// Bytes of unsent replies at which a connection stops to execute commands, sends, and enforces its limit.
pub const OUTPUT_TURN_BYTES: usize = 1024 * 1024;
/// Bytes of replies at which a chunk of unsent ones is closed and the next begun.
pub const OUTPUT_CHUNK_BYTES: usize = 64 * 1024;
/// Chunks of unsent replies that are given to the socket at a time.
pub const OUTPUT_CHUNKS_PER_WRITE: usize = 64;
/// Commands whose replies may be long that one run may have before the size of their replies is known.
pub const RUN_READS_AT_FIRST: usize = 64;
/// Bytes a connection reads from its socket at a time.
pub const READ_CHUNK_BYTES: usize = 16 * 1024;
/// How many times what it has sent of a large argument a client is given room for, at most.
pub const INPUT_ROOM_FACTOR: usize = 8;
/// Capacity above which an idle connection's buffer is given back to the allocator instead of the pool.
pub const POOLED_BUFFER_MAX_BYTES: usize = 64 * 1024;
/// Idle buffers kept by each worker thread.
pub const POOLED_BUFFERS_MAX: usize = 64;
/// Commands of one connection that are executed before other tasks of the worker get a turn.
pub const COMMANDS_PER_TURN_MAX: usize = 4096;

/// Smallest size of a log segment that may be configured, in bytes.
pub const LOG_SEGMENT_MIN_BYTES: u64 = 4 * 1024;
/// Default size at which the shared raft log starts a new segment, in bytes.
pub const LOG_SEGMENT_DEFAULT_BYTES: u64 = 64 * 1024 * 1024;
/// Largest size of a log segment that may be configured, in bytes.
pub const LOG_SEGMENT_MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// Bytes queued for the log's writer above which a group's appends wait.
pub const LOG_QUEUE_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of files that wait for segments to come, at most.
pub const LOG_SPARE_MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// Bytes of a segment that grows, under `always`, at which a file of zeros is made to go on in.
pub const LOG_GROW_MAX_BYTES: u64 = 1024 * 1024;
/// Capacity that the log's buffers keep between batches, in bytes.
pub const LOG_BUFFER_KEEP_BYTES: usize = 1024 * 1024;
/// Bytes of recent entries that a group keeps in memory; older ones are read back from segments.
pub const LOG_CACHE_MAX_BYTES: usize = 1024 * 1024;
/// Distance in a segment between two points of a group's index, in bytes.
pub const LOG_INDEX_STRIDE_BYTES: u64 = 16 * 1024;
/// Bytes that a look-up in a segment reads at a time.
pub const LOG_READ_CHUNK_BYTES: usize = 64 * 1024;
/// Unsynced bytes at which `appendfsync everysec` does not wait for the second to end.
pub const LOG_UNSYNCED_MAX_BYTES: u64 = 8 * 1024 * 1024;
/// Usual length of a sync, in microseconds, up to which a task of the runtime does it itself: two changes of thread cost
/// about as much.
pub const LOG_TASK_SYNC_MAX_US: u64 = 150;
/// Longest payload of one log entry, in bytes.
pub const LOG_PAYLOAD_MAX_BYTES: usize = 2 * 1024 * 1024 * 1024 - 1;
/// Entries that stay in the log behind a snapshot, so that a replica that is a little behind
/// does not need the snapshot.
pub const LOG_TAIL_KEPT_ENTRIES: u64 = 4096;
/// Proposals that wait for one group's raft core; more make their callers wait.
pub const PROPOSAL_QUEUE_MAX: u64 = 16 * 1024;

/// Longest payload of a frame between nodes: a log entry with what the request says about it.
pub const BUS_FRAME_MAX_BYTES: usize = LOG_PAYLOAD_MAX_BYTES + 1024 * 1024;
/// Bytes of frames that wait for one connection's writer; who wants to send more waits.
pub const BUS_QUEUE_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Bytes a bus connection reads from its socket at a time.
pub const BUS_READ_CHUNK_BYTES: usize = 64 * 1024;
/// Longest time that a heartbeat or its answer waits for others to travel with, in microseconds.
pub const BUS_GATHER_US: u64 = 2000;
/// Connections that other nodes may have open to this one.
pub const BUS_CONNECTIONS_MAX: usize = 1024;
/// Requests of one connection that may be handled at a time; the connection is not read above it.
pub const BUS_REQUESTS_IN_FLIGHT_MAX: usize = 4096;
/// Clients of other nodes that may wait at the shards that a node leads; more have to ask again and again.
pub const LOANS_MAX: usize = 2048;
/// Different strangers that are named in the log, each once.
pub const BUS_STRANGERS_LOGGED_MAX: usize = 256;
/// Append requests of one group to one follower that may be unanswered at a time.
pub const APPENDS_IN_FLIGHT_MAX: usize = 64;
/// Bytes of append requests of one group to one follower that may be unanswered before the next is sent.
pub const APPENDS_IN_FLIGHT_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of entries in one append request, unless a single entry is longer.
pub const APPEND_TARGET_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a snapshot in one request.
pub const SNAPSHOT_CHUNK_BYTES: usize = 256 * 1024;
/// Chunks of one snapshot that may be unanswered at a time.
pub const SNAPSHOT_CHUNKS_IN_FLIGHT_MAX: usize = 4;
/// Default of the rate at which a node sends snapshots, all together, in bytes per second.
pub const SNAPSHOT_DEFAULT_BYTES_PER_SECOND: u64 = 128 * 1024 * 1024;

const _: () = {
    assert!(ENTRY_TARGET_BYTES <= PROPOSAL_QUEUE_MAX_BYTES);
    assert!(TRANSACTION_MAX_BYTES < LOG_PAYLOAD_MAX_BYTES, "a transaction is one log entry");
    assert!(READ_CHUNK_BYTES <= POOLED_BUFFER_MAX_BYTES);
    assert!(OUTPUT_CHUNK_BYTES <= POOLED_BUFFER_MAX_BYTES, "a chunk that was sent goes to the pool");
    assert!(OUTPUT_CHUNK_BYTES <= OUTPUT_TURN_BYTES);
    assert!(LOANS_MAX < BUS_REQUESTS_IN_FLIGHT_MAX, "waiting clients leave room for requests");
    assert!(LOG_SEGMENT_MIN_BYTES < LOG_SEGMENT_DEFAULT_BYTES && LOG_SEGMENT_DEFAULT_BYTES <= LOG_SEGMENT_MAX_BYTES);
    assert!(LOG_PAYLOAD_MAX_BYTES < u32::MAX as usize - 1024, "a record's length is a u32");
    assert!(BUS_FRAME_MAX_BYTES < u32::MAX as usize - 1024, "a frame's length is a u32");
    assert!(APPEND_TARGET_BYTES <= APPENDS_IN_FLIGHT_MAX_BYTES && APPENDS_IN_FLIGHT_MAX_BYTES <= BUS_QUEUE_MAX_BYTES);
    assert!(SNAPSHOT_CHUNK_BYTES <= BUS_FRAME_MAX_BYTES);
    assert!(LOG_INDEX_STRIDE_BYTES as usize <= LOG_READ_CHUNK_BYTES);
};
