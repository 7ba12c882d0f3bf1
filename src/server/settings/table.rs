//! The table of all settings.
//!
//! Adding a setting is adding a row: the index [`Setting`], `CONFIG GET` and `CONFIG SET`, the
//! configuration file, the command line and its help all read this table. Defaults are Redis
//! 7.0's unless the row says why not.

use super::spec::{Canonical, Group, Kind, SettingSpec, Traits, When};
use super::special;

/// Declares [`Setting`] and [`SETTINGS`] together, so that an index always fits the table.
macro_rules! settings {
    ($($group:ident { $($(#[doc = $doc:literal])+ $setting:ident: $name:literal $(| $alias:literal)*,
        $kind:expr, $default:literal, $traits:expr;)+ })+) => {
        /// Index of a setting: what code names instead of text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Setting {
            $($($(#[doc = $doc])+ $setting,)+)+
        }

        /// All settings, in the order of [`Setting`].
        pub const SETTINGS: &[SettingSpec] = &[
            $($(SettingSpec {
                setting: Setting::$setting,
                name: $name,
                aliases: &[$($alias),*],
                group: Group::$group,
                kind: $kind,
                default: $default,
                doc: concat!($($doc),+).trim_ascii(),
                when: $traits.when,
                compat: $traits.compat,
                hidden: $traits.hidden,
                sensitive: $traits.sensitive,
                protected: $traits.protected,
                cluster_wide: $traits.cluster_wide,
            },)+)+
        ];
    };
}

/// Only before the start.
const START: Traits = Traits::new(When::StartOnly);
/// Also by `CONFIG SET`.
const RUNTIME: Traits = Traits::new(When::Runtime);
/// Also by `CONFIG SET`, which changes it on all nodes of a cluster.
const CLUSTER_WIDE: Traits = RUNTIME.cluster_wide();
/// Stored and reported; changes at run time as in Redis.
const COMPAT: Traits = RUNTIME.compat();
/// Stored and reported; fixed at the start as in Redis.
const COMPAT_START: Traits = START.compat();

const INT_MAX: i64 = i32::MAX as i64;

/// A count from 0 up.
const COUNT: Kind = Kind::Int { min: 0, max: i64::MAX };
/// A count from 0 to the largest C `int`.
const SMALL_COUNT: Kind = Kind::Int { min: 0, max: INT_MAX };
/// A size from 0 up.
const SIZE: Kind = Kind::Bytes { min: 0, max: i64::MAX };
/// Who may use what is dangerous.
const CONSENT: Kind = Kind::Enum(&["no", "yes", "local"]);

/// A structured setting of one word.
const fn one(canonical: Canonical, allowed: &'static str) -> Kind {
    Kind::Special { canonical, allowed, several: false }
}

/// A structured setting of several words.
const fn words(canonical: Canonical, allowed: &'static str) -> Kind {
    Kind::Special { canonical, allowed, several: true }
}

const MIB: i64 = 1 << 20;

settings! {
    Network {
        /// Addresses to listen on, separated by spaces. `*` is every IPv4 address and `::*` every
        /// IPv6 address; an address with a leading `-` may be missing on the machine.
        Bind: "bind", words(special::bind, "up to 16 addresses"),
            "127.0.0.1 -::1", START;
        /// TCP port to listen on; 0 takes any free one.
        Port: "port", Kind::Int { min: 0, max: 65535 }, "6379", START;
        /// Refuses clients from other machines while no password is set.
        ProtectedMode: "protected-mode", Kind::Bool, "yes", RUNTIME;
        /// Connections that the operating system may hold before they are accepted.
        TcpBacklog: "tcp-backlog", SMALL_COUNT, "511", START;
        /// Seconds between probes of idle connections by the operating system; 0 sends none.
        TcpKeepalive: "tcp-keepalive", SMALL_COUNT, "300", RUNTIME;
        /// Threads that serve connections and run commands; 0 is one less than the machine has cores, which leaves
        /// one to the log, the engines and the kernel.
        IoThreads: "io-threads", Kind::Int { min: 0, max: 128 }, "0", START;
        /// Whether this server is a node of a cluster; `kvorum cluster create` makes one of several such nodes.
        ClusterEnabled: "cluster-enabled", Kind::Bool, "no", START;
        /// TCP port for the other nodes of the cluster; 0 is 10000 above `port`.
        ClusterPort: "cluster-port", Kind::Int { min: 0, max: 65535 }, "0", START;
        /// Whether nodes encrypt what they send each other, and let in only nodes with a certificate that the cluster's
        /// authority signed. Needs the three files below, on every node.
        TlsCluster: "tls-cluster", Kind::Bool, "no", START;
        /// This node's certificate, and those between it and the authority's, in PEM. If it names purposes, they
        /// are both server and client. Names in it are not compared with addresses.
        TlsCertFile: "tls-cert-file", Kind::String, "", START;
        /// The private key of this node's certificate, in PEM.
        TlsKeyFile: "tls-key-file", Kind::String, "", START;
        /// The certificates of the authority that signs those of nodes, and of nothing else, in PEM.
        TlsCaCertFile: "tls-ca-cert-file", Kind::String, "", START;
        /// What a node does with commands for keys that another leads: `proxy` has the other execute them, so that
        /// any client sees one server; `redirect` answers MOVED, as Redis Cluster does, for clients that know it.
        ClusterRouting: "cluster-routing", Kind::Enum(&["proxy", "redirect"]), "proxy", CLUSTER_WIDE;
        /// How reads in a cluster make sure that they miss nothing: `lease` (the leader, while its lease lasts),
        /// `read-index` (the leader asks a majority), `follower` (any replica asks the leader and catches up), all
        /// of them linearizable; or `stale` (any replica, as it is). A keyspace, and a connection by READONLY or
        /// CLIENT READ-POLICY, can choose otherwise.
        ReadPolicy: "read-policy", Kind::Enum(&["lease", "read-index", "follower", "stale"]), "lease", CLUSTER_WIDE;
        /// Bytes a second at which a node sends snapshots to replicas that are too far behind for the log, all
        /// together, so that clients are served meanwhile.
        SnapshotBytesPerSecond: "snapshot-bytes-per-second", Kind::Bytes { min: 64 * 1024, max: i64::MAX }, "128mb",
            CLUSTER_WIDE;
    }
    Storage {
        /// Directory of all data. It is created when it is missing, and one process at a time uses it.
        Dir: "dir", one(special::directory, "a directory"), "kvorum-data", START;
        /// Number of databases that SELECT can choose.
        Databases: "databases", Kind::Int { min: 1, max: 16384 }, "16", START;
        /// Number of shards that the keys are divided over; each has a log order of its own, and works in parallel
        /// with the others. It is fixed when the data directory is made.
        Shards: "shards", Kind::Int { min: 1, max: 1024 }, "1", START;
        /// Engine of all keys that no `[[keyspace]]` takes: `hash` in memory, `lsm` (RocksDB) on disk
        /// for much writing, or `btree` (LMDB) on disk and ordered by key.
        DefaultEngine: "default-engine", Kind::Enum(&["hash", "lsm", "btree"]), "hash", START;
        /// Memory for recently read blocks of all LSM engines together.
        LsmBlockCacheBytes: "lsm-block-cache-bytes", Kind::Bytes { min: 0, max: i64::MAX }, "256mb", START;
        /// Memory for writes of all LSM engines together that are not yet in files.
        LsmWriteBufferBytes: "lsm-write-buffer-bytes", Kind::Bytes { min: MIB, max: i64::MAX }, "128mb", START;
        /// Largest size of a B+ tree engine's file. It takes address space, neither memory nor disk, so
        /// it may be far larger than both.
        BtreeMapBytes: "btree-map-bytes", Kind::Bytes { min: 16 * MIB, max: 1 << 46 }, "1024gb", START;
    }
    Durability {
        /// Save points: when more than so many seconds have passed since the last RDB file and so many changes were made, the
        /// next is written, and one at the end of the process. For others to read: writes are durable by the log. (Redis's
        /// default is `3600 1 300 100 60 10000`.)
        Save: "save", words(special::save, "pairs of seconds and changes"), "", RUNTIME;
        /// Name of the RDB file that SAVE and BGSAVE write into `dir`, for Redis and for `kvorum import`. The server
        /// does not read it.
        Dbfilename: "dbfilename", one(special::file_name, "a file name"), "dump.rdb",
            RUNTIME.protected();
        /// Whether an RDB file is written at SIGINT, as with SHUTDOWN: by default if there are save points. Without `force` the
        /// process goes on when it cannot be written.
        ShutdownOnSigint: "shutdown-on-sigint",
            words(special::shutdown_flags, "words of default, save, nosave, now, force"), "default", RUNTIME;
        /// The same at SIGTERM.
        ShutdownOnSigterm: "shutdown-on-sigterm",
            words(special::shutdown_flags, "words of default, save, nosave, now, force"), "default", RUNTIME;
        /// Whether long strings in RDB files are compressed.
        Rdbcompression: "rdbcompression", Kind::Bool, "yes", RUNTIME;
        /// Whether RDB files end with a checksum.
        Rdbchecksum: "rdbchecksum", Kind::Bool, "yes", START;
        /// Whether the log is written to disk. With `no` it stays in memory: a pure cache, empty
        /// after a restart. (Redis's default is `no`.)
        Appendonly: "appendonly", Kind::Bool, "yes", START;
        /// When a write is acknowledged: `always` after it is on disk; `everysec` after the operating
        /// system has it, which syncs within a second; `no` leaves the syncing to the system. In a cluster it is
        /// `always` unless configured.
        Appendfsync: "appendfsync", Kind::Enum(&["everysec", "always", "no"]), "everysec", RUNTIME;
        /// Size at which the log starts a new file.
        LogSegmentBytes: "log-segment-bytes", Kind::Bytes { min: MIB / 16, max: 1 << 30 }, "64mb", START;
        /// Takes a snapshot, and drops the log before it, after so many bytes of log.
        SnapshotLogBytes: "snapshot-log-bytes", Kind::Bytes { min: MIB, max: i64::MAX }, "64mb", RUNTIME;
        /// Takes a snapshot after so many entries of log at the latest; 0 counts bytes only.
        SnapshotLogEntries: "snapshot-log-entries", COUNT, "1000000", RUNTIME;
    }
    Memory {
        /// Bytes of memory for data; 0 sets no limit. Beyond it `maxmemory-policy` decides.
        Maxmemory: "maxmemory", SIZE, "0", RUNTIME;
        /// What happens when `maxmemory` is reached: writes are refused, as with `noeviction`. The other policies
        /// are accepted and stored, and evict nothing in this version.
        MaxmemoryPolicy: "maxmemory-policy", Kind::Enum(&["volatile-lru", "volatile-lfu", "volatile-random",
            "volatile-ttl", "allkeys-lru", "allkeys-lfu", "allkeys-random", "noeviction"]), "noeviction", RUNTIME;
        /// Keys compared to find one to evict.
        MaxmemorySamples: "maxmemory-samples", Kind::Int { min: 1, max: INT_MAX }, "5", RUNTIME;
        /// Effort of an eviction cycle, from 0 to 100.
        MaxmemoryEvictionTenacity: "maxmemory-eviction-tenacity", Kind::Int { min: 0, max: 100 }, "10", COMPAT;
        /// Memory for the buffers of all clients together; 0 sets no limit.
        MaxmemoryClients: "maxmemory-clients", Kind::BytesOrPercent, "0", COMPAT;
        /// Makes the access counters of LFU grow slower the larger it is.
        LfuLogFactor: "lfu-log-factor", SMALL_COUNT, "10", COMPAT;
        /// Minutes after which the access counters of LFU halve.
        LfuDecayTime: "lfu-decay-time", SMALL_COUNT, "1", COMPAT;
    }
    Clients {
        /// Most connections at a time; more are refused with an error.
        Maxclients: "maxclients", Kind::Int { min: 1, max: u32::MAX as i64 }, "10000", RUNTIME;
        /// Seconds after which an idle client is disconnected; 0 never does.
        Timeout: "timeout", SMALL_COUNT, "0", RUNTIME;
        /// Longest argument of a command, and longest string that commands may build.
        ProtoMaxBulkLen: "proto-max-bulk-len", Kind::Bytes { min: MIB, max: i64::MAX }, "512mb", RUNTIME;
        /// Bytes of unprocessed input beyond which a client is disconnected.
        ClientQueryBufferLimit: "client-query-buffer-limit", Kind::Bytes { min: MIB, max: i64::MAX }, "1gb", RUNTIME;
        /// When a client that does not read its replies is disconnected, for each class (`normal`,
        /// `replica`, `pubsub`): a hard limit, a soft limit, and the seconds it may be exceeded.
        ClientOutputBufferLimit: "client-output-buffer-limit",
            words(special::output_buffer_limits, "groups of class, hard limit, soft limit and seconds"),
            "normal 0 0 0 slave 256mb 64mb 60 pubsub 32mb 8mb 60", RUNTIME;
        /// Keys remembered for client-side caching.
        TrackingTableMaxKeys: "tracking-table-max-keys", COUNT, "1000000", COMPAT;
    }
    Security {
        /// Password of the default user; empty asks for none.
        Requirepass: "requirepass", Kind::String, "", RUNTIME.sensitive();
        /// Who may use DEBUG: nobody, everybody, or clients on this machine.
        EnableDebugCommand: "enable-debug-command", CONSENT, "no", START;
        /// Who may change settings that name files: nobody, everybody, or clients on this machine.
        EnableProtectedConfigs: "enable-protected-configs", CONSENT, "no", START;
        /// Who may load modules. There are no modules.
        EnableModuleCommand: "enable-module-command", CONSENT, "no", COMPAT_START;
        /// File of users.
        Aclfile: "aclfile", Kind::String, "", COMPAT_START;
        /// Entries kept by ACL LOG.
        AcllogMaxLen: "acllog-max-len", COUNT, "128", COMPAT;
        /// Channels that a new user may use.
        AclPubsubDefault: "acl-pubsub-default", Kind::Enum(&["allchannels", "resetchannels"]), "resetchannels", COMPAT;
    }
    Observability {
        /// How much is logged.
        Loglevel: "loglevel", Kind::Enum(&["debug", "verbose", "notice", "warning", "nothing"]), "notice", RUNTIME;
        /// File to log to; empty logs to the standard output.
        Logfile: "logfile", Kind::String, "", START;
        /// Microseconds a command takes to enter the slow log; 0 logs every command, -1 none.
        SlowlogLogSlowerThan: "slowlog-log-slower-than", Kind::Int { min: -1, max: i64::MAX }, "10000", RUNTIME;
        /// Entries that the slow log keeps.
        SlowlogMaxLen: "slowlog-max-len", COUNT, "128", RUNTIME;
        /// Milliseconds an event takes to be kept for LATENCY; 0 keeps none.
        LatencyMonitorThreshold: "latency-monitor-threshold", COUNT, "0", RUNTIME;
        /// Whether the latency of each command is tracked.
        LatencyTracking: "latency-tracking", Kind::Bool, "yes", RUNTIME;
        /// Percentiles that INFO latencystats reports.
        LatencyTrackingInfoPercentiles: "latency-tracking-info-percentiles",
            words(special::percentiles, "numbers from 0 to 100"), "50 99 99.9", RUNTIME;
    }
    Encodings {
        /// Fields up to which a hash is kept compactly.
        HashMaxListpackEntries: "hash-max-listpack-entries" | "hash-max-ziplist-entries", COUNT, "512", RUNTIME;
        /// Longest field or value of a hash that is kept compactly.
        HashMaxListpackValue: "hash-max-listpack-value" | "hash-max-ziplist-value", SIZE, "64", RUNTIME;
        /// Entries in a node of a list, or its size when negative: -1 is 4 kB, -2 is 8 kB, to -5.
        ListMaxListpackSize: "list-max-listpack-size" | "list-max-ziplist-size",
            Kind::Int { min: i32::MIN as i64, max: INT_MAX }, "-2", RUNTIME;
        /// Nodes at each end of a list that are not compressed; 0 compresses none.
        ListCompressDepth: "list-compress-depth", SMALL_COUNT, "0", COMPAT;
        /// Members up to which a set of integers is kept compactly.
        SetMaxIntsetEntries: "set-max-intset-entries", COUNT, "512", RUNTIME;
        /// Members up to which a set of other strings is kept compactly.
        SetMaxListpackEntries: "set-max-listpack-entries", COUNT, "128", RUNTIME;
        /// Longest member of a set that is kept compactly.
        SetMaxListpackValue: "set-max-listpack-value", SIZE, "64", RUNTIME;
        /// Members up to which a sorted set is kept compactly.
        ZsetMaxListpackEntries: "zset-max-listpack-entries" | "zset-max-ziplist-entries", COUNT, "128", RUNTIME;
        /// Longest member of a sorted set that is kept compactly.
        ZsetMaxListpackValue: "zset-max-listpack-value" | "zset-max-ziplist-value", SIZE, "64", RUNTIME;
        /// Size of a HyperLogLog up to which it is kept sparse.
        HllSparseMaxBytes: "hll-sparse-max-bytes", SIZE, "3000", RUNTIME;
        /// Size of a node of a stream; 0 sets no limit.
        StreamNodeMaxBytes: "stream-node-max-bytes", SIZE, "4096", RUNTIME;
        /// Entries in a node of a stream; 0 sets no limit.
        StreamNodeMaxEntries: "stream-node-max-entries", COUNT, "100", RUNTIME;
    }
    Other {
        /// Classes of events that are published: `K` and `E` choose the channels, the others the events.
        NotifyKeyspaceEvents: "notify-keyspace-events",
            one(special::keyspace_events, "letters of Ag$lshzxeKEtmdn"), "", COMPAT;
        /// Milliseconds after which a running script makes the server answer BUSY.
        BusyReplyThreshold: "busy-reply-threshold" | "lua-time-limit", COUNT, "5000", COMPAT;
        /// Name of Redis's append-only file. This server's log has its own files.
        Appendfilename: "appendfilename", one(special::file_name, "a file name"),
            "appendonly.aof", COMPAT_START;
        /// Directory of Redis's append-only files.
        Appenddirname: "appenddirname", one(special::file_name, "a file name"),
            "appendonlydir", COMPAT_START;
        /// Growth in percent after which Redis rewrites its append-only file.
        AutoAofRewritePercentage: "auto-aof-rewrite-percentage", SMALL_COUNT, "100", COMPAT;
        /// Size from which Redis rewrites its append-only file.
        AutoAofRewriteMinSize: "auto-aof-rewrite-min-size", SIZE, "64mb", COMPAT;
        /// Whether Redis skips syncing while it rewrites.
        NoAppendfsyncOnRewrite: "no-appendfsync-on-rewrite", Kind::Bool, "no", COMPAT;
        /// Whether Redis accepts a cut append-only file. A torn tail of this server's log is always cut.
        AofLoadTruncated: "aof-load-truncated", Kind::Bool, "yes", COMPAT;
        /// Whether Redis's append-only file starts with a dump.
        AofUseRdbPreamble: "aof-use-rdb-preamble", Kind::Bool, "yes", COMPAT;
        /// Whether Redis's append-only file has timestamps.
        AofTimestampEnabled: "aof-timestamp-enabled", Kind::Bool, "no", COMPAT;
        /// Whether Redis keeps old append-only files.
        AofDisableAutoGc: "aof-disable-auto-gc", Kind::Bool, "no", COMPAT;
        /// Whether Redis syncs a rewritten append-only file in parts.
        AofRewriteIncrementalFsync: "aof-rewrite-incremental-fsync", Kind::Bool, "yes", COMPAT;
        /// Whether Redis syncs a dump in parts.
        RdbSaveIncrementalFsync: "rdb-save-incremental-fsync", Kind::Bool, "yes", COMPAT;
        /// Whether Redis removes dumps used for replication.
        RdbDelSyncFiles: "rdb-del-sync-files", Kind::Bool, "no", COMPAT;
        /// Whether Redis refuses writes after a failed background save. Here the log has them.
        StopWritesOnBgsaveError: "stop-writes-on-bgsave-error", Kind::Bool, "yes", COMPAT;
        /// How deeply RESTORE checks its payload.
        SanitizeDumpPayload: "sanitize-dump-payload", Kind::Enum(&["no", "yes", "clients"]), "no", COMPAT;
        /// Background cycles in a second in Redis.
        Hz: "hz", SMALL_COUNT, "10", COMPAT;
        /// Whether Redis adapts `hz` to the number of clients.
        DynamicHz: "dynamic-hz", Kind::Bool, "yes", COMPAT;
        /// Effort of Redis's search for expired keys. This server knows which keys are due.
        ActiveExpireEffort: "active-expire-effort", Kind::Int { min: 1, max: 10 }, "1", COMPAT;
        /// Whether Redis rehashes in the background.
        Activerehashing: "activerehashing", Kind::Bool, "yes", COMPAT;
        /// Whether eviction frees memory in the background.
        LazyfreeLazyEviction: "lazyfree-lazy-eviction", Kind::Bool, "no", COMPAT;
        /// Whether expiry frees memory in the background.
        LazyfreeLazyExpire: "lazyfree-lazy-expire", Kind::Bool, "no", COMPAT;
        /// Whether replaced values are freed in the background.
        LazyfreeLazyServerDel: "lazyfree-lazy-server-del", Kind::Bool, "no", COMPAT;
        /// Whether DEL frees memory in the background.
        LazyfreeLazyUserDel: "lazyfree-lazy-user-del", Kind::Bool, "no", COMPAT;
        /// Whether FLUSHALL without ASYNC or SYNC frees memory in the background.
        LazyfreeLazyUserFlush: "lazyfree-lazy-user-flush", Kind::Bool, "no", COMPAT;
        /// Whether Redis defragments memory. The allocator here cannot, so only `no` is accepted.
        Activedefrag: "activedefrag", Kind::Enum(&["no"]), "no", COMPAT;
        /// Least share of a processor for defragmentation.
        ActiveDefragCycleMin: "active-defrag-cycle-min", Kind::Int { min: 1, max: 99 }, "1", COMPAT;
        /// Largest share of a processor for defragmentation.
        ActiveDefragCycleMax: "active-defrag-cycle-max", Kind::Int { min: 1, max: 99 }, "25", COMPAT;
        /// Fragmentation from which Redis defragments.
        ActiveDefragThresholdLower: "active-defrag-threshold-lower", Kind::Int { min: 0, max: 1000 }, "10", COMPAT;
        /// Fragmentation at which Redis defragments with all effort.
        ActiveDefragThresholdUpper: "active-defrag-threshold-upper", Kind::Int { min: 0, max: 1000 }, "100", COMPAT;
        /// Fragmented bytes from which Redis defragments.
        ActiveDefragIgnoreBytes: "active-defrag-ignore-bytes", Kind::Bytes { min: 1, max: i64::MAX }, "100mb", COMPAT;
        /// Elements from which Redis defragments a value on its own.
        ActiveDefragMaxScanFields: "active-defrag-max-scan-fields", Kind::Int { min: 1, max: i64::MAX }, "1000", COMPAT;
        /// Whether the allocator purges memory in a thread of its own. It always does here.
        JemallocBgThread: "jemalloc-bg-thread", Kind::Bool, "yes", COMPAT;
        /// Server to replicate. Replication is by raft here, so only the empty text is accepted.
        Replicaof: "replicaof" | "slaveof", words(special::replica_of, "only the empty text"), "", COMPAT_START;
        /// Password for the server to replicate.
        Masterauth: "masterauth", Kind::String, "", COMPAT.sensitive();
        /// User at the server to replicate.
        Masteruser: "masteruser", Kind::String, "", COMPAT.sensitive();
        /// Least number of replicas for writes. Here a quorum decides.
        MinReplicasToWrite: "min-replicas-to-write" | "min-slaves-to-write", SMALL_COUNT, "0", COMPAT;
        /// Seconds a replica counted by `min-replicas-to-write` may lag.
        MinReplicasMaxLag: "min-replicas-max-lag" | "min-slaves-max-lag", SMALL_COUNT, "10", COMPAT;
        /// Size of Redis's replication backlog.
        ReplBacklogSize: "repl-backlog-size", Kind::Bytes { min: 1, max: i64::MAX }, "1mb", COMPAT;
        /// Seconds Redis keeps the backlog without replicas.
        ReplBacklogTtl: "repl-backlog-ttl", COUNT, "3600", COMPAT;
        /// Seconds after which Redis gives up a replication link.
        ReplTimeout: "repl-timeout", Kind::Int { min: 1, max: INT_MAX }, "60", COMPAT;
        /// Seconds between Redis's pings to replicas.
        ReplPingReplicaPeriod: "repl-ping-replica-period" | "repl-ping-slave-period",
            Kind::Int { min: 1, max: INT_MAX }, "10", COMPAT;
        /// Whether Redis sends dumps to replicas without a file.
        ReplDisklessSync: "repl-diskless-sync", Kind::Bool, "yes", COMPAT;
        /// Seconds Redis waits for more replicas before it sends a dump.
        ReplDisklessSyncDelay: "repl-diskless-sync-delay", SMALL_COUNT, "5", COMPAT;
        /// Replicas for which Redis waits before it sends a dump.
        ReplDisklessSyncMaxReplicas: "repl-diskless-sync-max-replicas", SMALL_COUNT, "0", COMPAT;
        /// Whether a Redis replica loads a dump without a file.
        ReplDisklessLoad: "repl-diskless-load", Kind::Enum(&["disabled", "on-empty-db", "swapdb"]), "disabled", COMPAT;
        /// Whether Redis delays small packets to replicas.
        ReplDisableTcpNodelay: "repl-disable-tcp-nodelay", Kind::Bool, "no", COMPAT;
        /// Whether a Redis replica without its master answers reads.
        ReplicaServeStaleData: "replica-serve-stale-data" | "slave-serve-stale-data", Kind::Bool, "yes", COMPAT;
        /// Whether a Redis replica refuses writes.
        ReplicaReadOnly: "replica-read-only" | "slave-read-only", Kind::Bool, "yes", COMPAT;
        /// Whether a Redis replica leaves eviction to its master.
        ReplicaIgnoreMaxmemory: "replica-ignore-maxmemory" | "slave-ignore-maxmemory", Kind::Bool, "yes", COMPAT;
        /// Whether a Redis replica frees its old data in the background.
        ReplicaLazyFlush: "replica-lazy-flush" | "slave-lazy-flush", Kind::Bool, "no", COMPAT;
        /// Preference of a Redis replica in a failover.
        ReplicaPriority: "replica-priority" | "slave-priority", SMALL_COUNT, "100", COMPAT;
        /// Address a Redis replica announces.
        ReplicaAnnounceIp: "replica-announce-ip" | "slave-announce-ip", Kind::String, "", COMPAT;
        /// Port a Redis replica announces.
        ReplicaAnnouncePort: "replica-announce-port" | "slave-announce-port", Kind::Int { min: 0, max: 65535 }, "0",
            COMPAT;
        /// Whether a Redis replica is listed by sentinels.
        ReplicaAnnounced: "replica-announced", Kind::Bool, "yes", COMPAT;
        /// Whether a Redis replica goes on when it cannot write its files.
        ReplicaIgnoreDiskWriteErrors: "replica-ignore-disk-write-errors", Kind::Bool, "no", COMPAT;
        /// What Redis does when a replicated command fails.
        PropagationErrorBehavior: "propagation-error-behavior", Kind::Enum(&["ignore", "panic", "panic-on-replicas"]),
            "ignore", COMPAT;
        /// Milliseconds after which Redis Cluster takes a node for failed.
        ClusterNodeTimeout: "cluster-node-timeout", COUNT, "15000", COMPAT;
        /// Whether Redis Cluster stops when a slot has no owner.
        ClusterRequireFullCoverage: "cluster-require-full-coverage", Kind::Bool, "yes", COMPAT;
        /// Whether Redis Cluster answers reads while it is down.
        ClusterAllowReadsWhenDown: "cluster-allow-reads-when-down", Kind::Bool, "no", COMPAT;
        /// Address a Redis Cluster node announces.
        ClusterAnnounceIp: "cluster-announce-ip", Kind::String, "", COMPAT;
        /// Port a Redis Cluster node announces.
        ClusterAnnouncePort: "cluster-announce-port", Kind::Int { min: 0, max: 65535 }, "0", COMPAT;
        /// Bus port a Redis Cluster node announces.
        ClusterAnnounceBusPort: "cluster-announce-bus-port", Kind::Int { min: 0, max: 65535 }, "0", COMPAT;
        /// Whether to change how soon the kernel kills this process when memory runs out.
        OomScoreAdj: "oom-score-adj", Kind::Enum(&["no", "yes", "relative", "absolute"]), "no", COMPAT;
        /// The scores that `oom-score-adj` sets.
        OomScoreAdjValues: "oom-score-adj-values",
            words(special::oom_scores, "three numbers from -2000 to 2000"), "0 200 800", COMPAT;
        /// Seconds Redis waits for replicas before it ends.
        ShutdownTimeout: "shutdown-timeout", SMALL_COUNT, "10", COMPAT;
        /// Whether to run in the background. This server stays in the foreground: only `no` is accepted.
        Daemonize: "daemonize", Kind::Enum(&["no"]), "no", COMPAT_START;
        /// How a supervisor is told that the server is ready.
        Supervised: "supervised", Kind::Enum(&["upstart", "systemd", "auto", "no"]), "no", COMPAT_START;
        /// File that Redis writes its process id to. Here `LOCK` in the data directory has it.
        Pidfile: "pidfile", Kind::String, "", COMPAT_START;
        /// Unix socket that Redis also listens on.
        Unixsocket: "unixsocket", Kind::String, "", COMPAT_START;
        /// Whether Redis logs to syslog.
        SyslogEnabled: "syslog-enabled", Kind::Enum(&["no"]), "no", COMPAT_START;
        /// Whether Redis reads in its threads. This server does.
        IoThreadsDoReads: "io-threads-do-reads", Kind::Bool, "yes", COMPAT_START;
        /// Whether Redis prints its logo.
        AlwaysShowLogo: "always-show-logo", Kind::Bool, "no", COMPAT_START;
        /// Whether Redis shows its state in the process title.
        SetProcTitle: "set-proc-title", Kind::Bool, "no", COMPAT_START;
        /// Form of the process title in Redis.
        ProcTitleTemplate: "proc-title-template", Kind::String, "{title} {listen-addr} {server-mode}", COMPAT;
        /// Whether Redis logs a report when it crashes.
        CrashLogEnabled: "crash-log-enabled", Kind::Bool, "yes", COMPAT;
        /// Whether Redis tests memory when it crashes.
        CrashMemcheckEnabled: "crash-memcheck-enabled", Kind::Bool, "yes", COMPAT;
        /// Whether Redis turns transparent huge pages off.
        DisableThp: "disable-thp", Kind::Bool, "yes", COMPAT_START;
        /// Warnings that Redis does not let stop its start.
        IgnoreWarnings: "ignore-warnings", Kind::String, "", COMPAT;
        /// Microseconds Redis sleeps after each key it saves, for its tests.
        RdbKeySaveDelay: "rdb-key-save-delay", Kind::Int { min: i32::MIN as i64, max: INT_MAX }, "0", COMPAT.hidden();
        /// Microseconds Redis sleeps after each key it loads, for its tests.
        KeyLoadDelay: "key-load-delay", Kind::Int { min: i32::MIN as i64, max: INT_MAX }, "0", COMPAT.hidden();
        /// Bytes after which Redis looks at its clients while it loads.
        LoadingProcessEventsIntervalBytes: "loading-process-events-interval-bytes",
            Kind::Int { min: 1024, max: INT_MAX }, "2097152", COMPAT.hidden();
        /// Period of Redis's software watchdog.
        WatchdogPeriod: "watchdog-period", SMALL_COUNT, "0", COMPAT.hidden();
    }
}

impl Setting {
    /// The row of the table.
    #[inline]
    pub fn spec(self) -> &'static SettingSpec {
        &SETTINGS[self as usize]
    }

    /// Looks a name or an older name up, in any case.
    pub fn named(name: &str) -> Option<Self> {
        SETTINGS.iter().find(|spec| spec.names().any(|known| known.eq_ignore_ascii_case(name))).map(|spec| spec.setting)
    }
}

impl SettingSpec {
    /// The name and the older names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}
