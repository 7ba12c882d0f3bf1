//! A shard from the outside: runs in, replies out, restarts, snapshots, engines that recover apart.

use std::path::Path;
use std::sync::Arc;

use kvorum::command::{Shared, find};
use kvorum::raft::{FsyncPolicy, LogOptions, SharedLog};
use kvorum::resp::{Protocol, ReplyBuffer};
use kvorum::shard::{Blocked, CallOff, Executed, Mailbox, Manner, Run, Shard, ShardOptions, Watched, clock, wait_done};
use kvorum::storage::{EncodingSettings, EngineKind, KeyspaceRule, KeyspaceRules};
use kvorum::types::{Db, NodeId, ReadPolicy, ShardId, UnixMs};

struct Node {
    shard: Arc<Shard>,
    log: Arc<SharedLog>,
}

async fn open(dir: &Path, rules: KeyspaceRules) -> Node {
    let options = LogOptions { segment_bytes: 1 << 20, ..LogOptions::new(FsyncPolicy::EverySec) };
    let log = SharedLog::open(&dir.join("log"), options).expect("the log opens");
    let shard = Shard::open(ShardOptions {
        id: ShardId(1),
        node: NodeId(1),
        dir: dir.join("shard-1"),
        log: Arc::clone(&log),
        rules: Arc::new(rules),
        encoding: EncodingSettings::default(),
        rows: Default::default(),
        shared: Shared { databases: 16, bulk_max_bytes: 1 << 29, one_shard: true },
        snapshot_log_bytes: u64::MAX,
        snapshot_log_entries: u64::MAX,
        counters: Arc::default(),
        cluster: None,
    })
    .await
    .expect("the shard opens");
    Node { shard, log }
}

const MANNER: Manner = Manner { protocol: Protocol::Resp2, touch: true, policy: ReadPolicy::Lease, count: true };

impl Node {
    /// Stops as SIGTERM does.
    async fn close(self) {
        self.shard.shutdown().await;
        self.log.close().expect("the log closes");
    }

    /// Executes a run whatever it is, and returns the replies.
    async fn execute(&self, run: &mut Run) -> String {
        match self.shard.execute(run, &Mailbox::new(), MANNER).await {
            Executed::Done(replies, _) => String::from_utf8(replies.to_vec()).expect("replies are text here"),
            other => panic!("{other:?}"),
        }
    }

    /// Sends commands as one run and returns the replies.
    async fn run(&self, db: u16, commands: &[&[&str]]) -> String {
        let mailbox = Mailbox::new();
        let mut run = Run::default();
        for command in commands {
            let args: Vec<&[u8]> = command.iter().map(|arg| arg.as_bytes()).collect();
            let spec = find(args[0]).expect("the command exists");
            if self.shard.spans_engines(spec, Db(db), &args) {
                assert_eq!(commands.len(), 1, "commands across engines go alone");
                run.push_write(spec, Db(db), &args);
                return self.execute(&mut run).await;
            }
            match spec.handler {
                kvorum::command::Handler::Write(_) => run.push_write(spec, Db(db), &args),
                _ => run.push_read(spec, Db(db), &args),
            }
        }
        self.shard.submit(&run, &mailbox, Protocol::Resp2, true).expect("the shard takes writes");
        let mut out = ReplyBuffer::default();
        wait_done(&mailbox, &mut out).await;
        String::from_utf8(out.to_vec()).expect("replies are text here")
    }

    /// Number of keys of a database, those included that are due and not yet removed.
    fn len(&self, db: u16) -> u64 {
        self.shard.read().expect("the shard serves reads").len(Db(db))
    }

    fn digest(&self) -> [u8; 20] {
        self.shard.digest(clock::now()).expect("the engines can be read")
    }
}

fn one_engine(engine: EngineKind) -> KeyspaceRules {
    KeyspaceRules::new(engine, Vec::new())
}

/// Keys that begin with `lsm:` and `tree:` go to the row engines, all others to the hash engine.
fn three_engines() -> KeyspaceRules {
    let rule = |name: &str, prefix: &str, engine| KeyspaceRule {
        name: name.to_owned(),
        db: Db(0),
        prefix: prefix.as_bytes().to_vec(),
        engine,
        read_policy: None,
    };
    KeyspaceRules::new(
        EngineKind::Hash,
        vec![rule("rows", "lsm:", EngineKind::Lsm), rule("ordered", "tree:", EngineKind::BTree)],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_come_in_order_and_reads_see_the_writes_before_them() {
    for engine in EngineKind::ALL {
        let dir = tempfile::tempdir().expect("a directory");
        let node = open(dir.path(), one_engine(engine)).await;
        let replies = node
            .run(
                0,
                &[
                    &["SET", "a", "1"],
                    &["GET", "a"],
                    &["INCR", "a"],
                    &["GET", "a"],
                    &["INCR", "missing"],
                    &["DEL", "a"],
                ],
            )
            .await;
        assert_eq!(replies, "+OK\r\n$1\r\n1\r\n:2\r\n$1\r\n2\r\n:1\r\n:1\r\n", "{engine}");
        node.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_a_restart_with_and_without_a_snapshot() {
    for engine in EngineKind::ALL {
        let dir = tempfile::tempdir().expect("a directory");
        let node = open(dir.path(), one_engine(engine)).await;
        for index in 0..500 {
            let (key, value) = (format!("key:{index}"), format!("value:{index}"));
            node.run(index % 3, &[&["SET", &key, &value], &["HSET", "hash", &key, &value]]).await;
        }
        node.run(1, &[&["PEXPIREAT", "key:1", "99999999999999"], &["DEL", "key:4"]]).await;
        let digest = node.digest();
        node.close().await;

        let node = open(dir.path(), one_engine(engine)).await;
        assert_eq!(node.digest(), digest, "{engine}: replayed from the log");
        node.shard.snapshot().await.expect("the snapshot is written");
        node.run(2, &[&["SET", "after", "the snapshot"]]).await;
        let digest = node.digest();
        node.close().await;

        let node = open(dir.path(), one_engine(engine)).await;
        assert_eq!(node.digest(), digest, "{engine}: restored from the snapshot and the log");
        assert_eq!(node.run(2, &[&["GET", "after"]]).await, "$12\r\nthe snapshot\r\n");
        node.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_move_between_engines_and_survive_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = open(dir.path(), three_engines()).await;
    node.run(0, &[&["SET", "a", "1"], &["HSET", "lsm:h", "f", "v"], &["SET", "tree:x", "y"]]).await;
    assert_eq!(node.run(0, &[&["RENAME", "a", "lsm:a"]]).await, "+OK\r\n");
    assert_eq!(node.run(0, &[&["RENAME", "missing", "lsm:a"]]).await, "-ERR no such key\r\n");
    assert_eq!(node.run(0, &[&["COPY", "lsm:h", "tree:h"]]).await, ":1\r\n");
    assert_eq!(node.run(0, &[&["COPY", "lsm:h", "tree:h"]]).await, ":0\r\n");
    assert_eq!(node.run(0, &[&["RENAMENX", "tree:x", "x"]]).await, ":1\r\n");
    assert_eq!(node.run(0, &[&["MSETNX", "n", "1", "lsm:n", "2"]]).await, ":1\r\n");
    assert_eq!(node.run(0, &[&["MSETNX", "m", "1", "lsm:n", "2"]]).await, ":0\r\n");
    assert_eq!(node.run(0, &[&["MSET", "p", "1", "lsm:p", "2", "tree:p", "3"]]).await, "+OK\r\n");
    assert_eq!(node.run(0, &[&["EXISTS", "a", "lsm:a", "tree:x", "x", "m", "p", "lsm:p", "tree:p"]]).await, ":5\r\n");
    assert_eq!(node.run(0, &[&["HGET", "tree:h", "f"]]).await, "$1\r\nv\r\n");
    let digest = node.digest();
    node.close().await;
    let node = open(dir.path(), three_engines()).await;
    assert_eq!(node.digest(), digest);
    node.close().await;
}

/// A transaction of commands in database 0.
fn transaction(commands: &[&[&str]]) -> Run {
    let mut run = Run::default();
    run.push_transaction(commands.len());
    for command in commands {
        let args: Vec<&[u8]> = command.iter().map(|arg| arg.as_bytes()).collect();
        let spec = find(args[0]).expect("the command exists");
        match spec.handler {
            kvorum::command::Handler::Write(_) => run.push_write(spec, Db(0), &args),
            _ => run.push_read(spec, Db(0), &args),
        }
    }
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_have_one_reply_and_obey_what_is_watched() {
    for engine in EngineKind::ALL {
        let dir = tempfile::tempdir().expect("a directory");
        let node = open(dir.path(), one_engine(engine)).await;
        let watch = |key: &'static str| match node.shard.watch_now(Db(0), &[key.as_bytes()], None, None) {
            Some(Watched::Yes(watch)) => watch,
            other => panic!("{other:?}"),
        };
        let mut both = transaction(&[&["SET", "a", "1"], &["GET", "a"], &["HGET", "a", "f"], &["INCR", "a"]]);
        let expected =
            "*4\r\n+OK\r\n$1\r\n1\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n:2\r\n";
        assert_eq!(node.execute(&mut both).await, expected, "{engine}");
        assert_eq!(node.execute(&mut transaction(&[&["GET", "a"]])).await, "*1\r\n$1\r\n2\r\n", "{engine}");
        assert_eq!(node.execute(&mut transaction(&[])).await, "*0\r\n", "{engine}");
        for commands in [&[&["INCR", "a"][..]][..], &[&["GET", "a"]], &[]] {
            let (holds, fails) = (watch("a"), watch("a"));
            let mut run = transaction(commands);
            run.require(holds);
            assert!(node.execute(&mut run).await.starts_with(&format!("*{}\r\n", commands.len())), "{engine}");
            node.run(0, &[&["APPEND", "a", "0"]]).await;
            let mut run = transaction(commands);
            run.require(fails);
            assert_eq!(node.execute(&mut run).await, "*-1\r\n", "{engine}");
            node.shard.unwatch(holds);
            node.shard.unwatch(fails);
        }
        let forgotten = watch("a");
        node.shard.unwatch(forgotten);
        let mut run = transaction(&[&["DEL", "a"]]);
        run.require(forgotten);
        assert_eq!(node.execute(&mut run).await, "*-1\r\n", "{engine}: what is not known does not hold");
        let digest = node.digest();
        node.close().await;
        let node = open(dir.path(), one_engine(engine)).await;
        assert_eq!(node.digest(), digest, "{engine}");
        node.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_transactions_that_watch_the_same_key_one_is_executed() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = open(dir.path(), one_engine(EngineKind::Hash)).await;
    for round in 0..50 {
        let mut done = Vec::new();
        for _ in 0..8 {
            let Some(Watched::Yes(watch)) = node.shard.watch_now(Db(0), &[b"a"], None, None) else {
                panic!("it leads")
            };
            let mut run = transaction(&[&["INCR", "a"]]);
            run.require(watch);
            done.push(run);
        }
        let replies = futures_util::future::join_all(done.iter_mut().map(|run| node.execute(run))).await;
        let executed = replies.iter().filter(|reply| reply.starts_with("*1")).count();
        assert_eq!(executed, 1, "round {round}: {replies:?}");
    }
    assert_eq!(node.run(0, &[&["GET", "a"]]).await, "$2\r\n50\r\n");
    node.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_across_engines_are_logged_as_their_effects() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = open(dir.path(), three_engines()).await;
    node.run(0, &[&["SET", "a", "1", "EX", "1000"], &["HSET", "lsm:h", "f", "v"], &["SET", "tree:x", "y"]]).await;
    let commands: &[&[&str]] = &[
        &["APPEND", "a", "0"],
        &["RENAME", "a", "lsm:a"],
        &["INCR", "lsm:a"],
        &["RENAME", "a", "lsm:a"],
        &["COPY", "lsm:h", "h"],
        &["DEL", "tree:x"],
        &["GET", "lsm:a"],
    ];
    let expected = "*7\r\n:2\r\n+OK\r\n:11\r\n-ERR no such key\r\n:1\r\n:1\r\n$2\r\n11\r\n";
    assert_eq!(node.execute(&mut transaction(commands)).await, expected);
    assert_eq!(node.run(0, &[&["MGET", "a", "lsm:a", "tree:x"]]).await, "*3\r\n$-1\r\n$2\r\n11\r\n$-1\r\n");
    assert_eq!(node.run(0, &[&["TTL", "lsm:a"]]).await, ":1000\r\n");
    assert_eq!(node.run(0, &[&["HGET", "h", "f"]]).await, "$1\r\nv\r\n");
    let Some(Watched::Yes(watch)) = node.shard.watch_now(Db(0), &[b"h"], None, None) else { panic!("it leads") };
    let mut moves = transaction(&[&["RENAME", "h", "tree:h"]]);
    moves.require(watch);
    assert_eq!(node.execute(&mut moves).await, "*1\r\n+OK\r\n");
    // The rename was a change.
    assert_eq!(node.execute(&mut moves).await, "*-1\r\n");
    let refused = node.execute(&mut transaction(&[&["RENAME", "tree:h", "h"], &["FLUSHALL"]])).await;
    assert!(
        refused.starts_with("-EXECABORT Transaction discarded because of: FLUSHALL concerns all keys"),
        "{refused}"
    );
    let digest = node.digest();
    node.close().await;
    let node = open(dir.path(), three_engines()).await;
    assert_eq!(node.digest(), digest);
    node.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn due_keys_are_swept() {
    for engine in EngineKind::ALL {
        let dir = tempfile::tempdir().expect("a directory");
        let node = open(dir.path(), one_engine(engine)).await;
        node.run(0, &[&["SET", "short", "1", "PX", "20"], &["SET", "long", "1", "PX", "1000000"]]).await;
        for _ in 0..200 {
            if node.len(0) == 1 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(node.len(0), 1, "{engine}: the due key is gone without being read");
        node.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn due_keys_stay_while_expiry_is_paused() {
    let sleep = |millis| tokio::time::sleep(std::time::Duration::from_millis(millis));
    for engine in EngineKind::ALL {
        let dir = tempfile::tempdir().expect("a directory");
        let node = open(dir.path(), one_engine(engine)).await;
        node.shard.pause_expiry(UnixMs(clock::now().0 + 1_000_000));
        node.run(0, &[&["SET", "short", "1", "PX", "20"], &["SET", "long", "1"]]).await;
        sleep(300).await;
        node.shard.sweep_due().await;
        assert_eq!(node.len(0), 2, "{engine}: nothing is removed");
        assert!(!node.shard.has_due_keys(&node.shard.read().expect("the shard serves reads"), clock::now()));
        assert_eq!(node.run(0, &[&["GET", "short"]]).await, "$-1\r\n", "{engine}: the key's time has come");
        node.shard.pause_expiry(UnixMs(0));
        node.shard.sweep_due().await;
        for _ in 0..200 {
            if node.len(0) == 1 {
                break;
            }
            sleep(20).await;
        }
        assert_eq!(node.len(0), 1, "{engine}: the key is removed after the pause");
        node.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_under_writes_is_the_state_at_its_index() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = Arc::new(open(dir.path(), one_engine(EngineKind::Hash)).await);
    for index in 0..2000 {
        node.run(0, &[&["SET", &format!("key:{index}"), "before"]]).await;
    }
    let writer = {
        let node = Arc::clone(&node);
        tokio::spawn(async move {
            for index in 0..2000 {
                node.run(0, &[&["SET", &format!("key:{index}"), "after"], &["DEL", &format!("key:{}", index / 2)]])
                    .await;
            }
        })
    };
    let index = node.shard.snapshot().await.expect("the snapshot is written");
    writer.await.expect("the writer finishes");
    assert!(index.0 > 0);
    let digest = node.digest();
    Arc::into_inner(node).expect("the writer is done").close().await;
    let node = open(dir.path(), one_engine(EngineKind::Hash)).await;
    assert_eq!(node.digest(), digest);
    node.close().await;
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

/// With `everysec` a crash of the machine costs the log its end, but not what an engine had written by then.
#[tokio::test(flavor = "multi_thread")]
async fn writes_are_kept_when_an_engine_is_ahead_of_the_end_of_the_log() {
    for (engine, key) in [(EngineKind::Lsm, "lsm:"), (EngineKind::BTree, "tree:")] {
        let dir = tempfile::tempdir().expect("a directory");
        let node = open(dir.path(), three_engines()).await;
        node.run(0, &[&["SET", &format!("{key}first"), "1"], &["SET", "first", "1"]]).await;
        node.shard.shutdown().await;
        node.log.close().expect("the log closes");
        drop(node);
        copy_dir(&dir.path().join("log"), &dir.path().join("log.old"));

        let node = open(dir.path(), three_engines()).await;
        let value = "x".repeat(20_000);
        for index in 0..600 {
            node.run(0, &[&["SET", &format!("{key}{index}"), &value], &["SET", &format!("hash:{index}"), "1"]]).await;
        }
        node.close().await;
        std::fs::remove_dir_all(dir.path().join("log")).expect("removed");
        std::fs::rename(dir.path().join("log.old"), dir.path().join("log")).expect("renamed");

        let node = open(dir.path(), three_engines()).await;
        let kept = node.run(0, &[&["EXISTS", &format!("{key}0"), "first", "hash:0"]]).await;
        assert_eq!(kept, ":2\r\n", "{engine}: the engine's files are ahead of the log");
        for index in 0..50 {
            node.run(0, &[&["SET", &format!("{key}new:{index}"), "2"], &["SET", &format!("new:{index}"), "2"]]).await;
        }
        node.run(0, &[&["RENAME", "first", &format!("{key}moved")]]).await;
        let digest = node.digest();
        node.close().await;
        let node = open(dir.path(), three_engines()).await;
        assert_eq!(node.digest(), digest, "{engine}: new writes are kept");
        assert_eq!(node.run(0, &[&["GET", &format!("{key}new:49")]]).await, "$1\r\n2\r\n", "{engine}");
        node.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_of_row_engines_is_swept_without_writes() {
    for engine in [EngineKind::Lsm, EngineKind::BTree] {
        let dir = tempfile::tempdir().expect("a directory");
        let node = open(dir.path(), one_engine(engine)).await;
        let fields: Vec<String> = (0..4000).map(|index| format!("field:{index}")).collect();
        let mut set = vec!["HSET", "large"];
        set.extend(fields.iter().flat_map(|field| [field.as_str(), "value"]));
        node.run(0, &[&set]).await;
        node.run(0, &[&["DEL", "large"]]).await;
        let has_garbage = || node.shard.read().expect("the shard serves").has_garbage();
        for _ in 0..500 {
            if !has_garbage() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(!has_garbage(), "{engine}: the ticker sweeps");
        node.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_reads_and_writes_inside_a_run_are_counted_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = open(dir.path(), one_engine(EngineKind::Hash)).await;
    let replies =
        node.run(0, &[&["SET", "a", "x"], &["HGET", "a", "f"], &["HSET", "a", "f", "v"], &["INCR", "a"]]).await;
    assert_eq!(replies.matches("-WRONGTYPE").count(), 2, "{replies}");
    let errors = &node.shard.counters.errors;
    let by_code: Vec<_> = errors.by_code().into_iter().collect();
    assert_eq!(by_code, [("ERR".to_owned(), 1), ("WRONGTYPE".to_owned(), 2)]);
    assert_eq!(errors.total(), 3);
    node.close().await;
    // A replay has nobody to answer to.
    let node = open(dir.path(), one_engine(EngineKind::Hash)).await;
    assert_eq!(node.shard.counters.errors.total(), 0);
    node.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_counted_and_timed() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = open(dir.path(), one_engine(EngineKind::Hash)).await;
    assert_eq!(node.shard.stats.snapshot_took_ms(), None);
    node.run(0, &[&["SET", "a", "x"]]).await;
    node.shard.snapshot().await.expect("a snapshot");
    let stats = &node.shard.stats;
    assert_eq!(stats.snapshots.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert!(stats.snapshot_took_ms().is_some());
    assert_eq!(stats.snapshot_running_ms(clock::now()), None);
    node.close().await;
}

/// A node may be configured otherwise when it replays the log, and another replica anyway.
#[tokio::test(flavor = "multi_thread")]
async fn how_long_strings_may_get_is_in_the_log() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = open(dir.path(), one_engine(EngineKind::Hash)).await;
    let limited = |bytes| Shared { bulk_max_bytes: bytes, ..*node.shard.shared() };
    node.shard.set_shared(limited(10));
    let refused = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
    assert_eq!(node.run(0, &[&["SET", "a", "1234567890"], &["APPEND", "a", "x"]]).await, format!("+OK\r\n{refused}"));
    let watch = node.shard.watch_now(Db(0), &[b"a"], None, None);
    let Some(Watched::Yes(watch)) = watch else { panic!("{watch:?}") };
    let mut run = transaction(&[&["APPEND", "a", "x"]]);
    run.require(watch);
    assert_eq!(node.execute(&mut run).await, format!("*1\r\n{refused}"));
    node.shard.set_shared(limited(11));
    assert_eq!(node.run(0, &[&["APPEND", "a", "x"], &["APPEND", "a", "y"]]).await, format!(":11\r\n{refused}"));
    let digest = node.digest();
    node.close().await;
    let node = open(dir.path(), one_engine(EngineKind::Hash)).await;
    assert_eq!(node.digest(), digest);
    assert_eq!(node.run(0, &[&["APPEND", "a", "z"]]).await, ":12\r\n");
    node.close().await;
}

/// How a set is kept decides which member SPOP draws.
#[tokio::test(flavor = "multi_thread")]
async fn thresholds_of_encodings_are_in_the_log() {
    for engine in EngineKind::ALL {
        let dir = tempfile::tempdir().expect("a directory");
        let node = open(dir.path(), one_engine(engine)).await;
        for name in ["set-max-intset-entries", "set-max-listpack-entries"] {
            assert!(node.shard.replicate_setting(name, "0").await);
        }
        node.shard.snapshot().await.expect("a snapshot");
        let mut add = vec!["SADD", "s"];
        add.extend(["5", "3", "9", "1", "7", "2", "8", "4", "6"]);
        assert_eq!(node.run(0, &[&add, &["OBJECT", "ENCODING", "s"]]).await, ":9\r\n$9\r\nhashtable\r\n", "{engine}");
        node.run(0, &[&["SPOP", "s"], &["SPOP", "s", "2"], &["XADD", "x", "1-1", "f", "v"]]).await;
        let digest = node.digest();
        node.close().await;
        // The thresholds are the default again, for what comes from now on.
        let node = open(dir.path(), one_engine(engine)).await;
        assert_eq!(node.digest(), digest, "{engine}");
        let replies = node.run(0, &[&["SADD", "t", "2", "1"], &["OBJECT", "ENCODING", "t"]]).await;
        assert_eq!(replies, ":2\r\n$6\r\nintset\r\n", "{engine}");
        node.close().await;
    }
}

/// LMDB has a table of readers; a command that needs more than it has would stop the shard.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_may_name_more_keys_than_an_engine_has_views() {
    const KEYS: usize = 1500;
    for engine in [EngineKind::Lsm, EngineKind::BTree] {
        let dir = tempfile::tempdir().expect("a directory");
        let node = open(dir.path(), one_engine(engine)).await;
        let names = |kind: &str| (0..KEYS).map(|n| format!("{kind}{n}")).collect::<Vec<_>>();
        let (zsets, streams, count) = (names("z"), names("x"), KEYS.to_string());
        for (zset, stream) in zsets.iter().zip(&streams) {
            node.run(0, &[&["ZADD", zset, "1", "m"], &["XADD", stream, "1-1", "f", "v"]]).await;
        }
        for (command, reply) in [("ZUNIONSTORE", 1), ("ZINTERSTORE", 1), ("ZDIFFSTORE", 0)] {
            let mut request = vec![command, "to", &count];
            request.extend(zsets.iter().map(String::as_str));
            assert_eq!(node.run(0, &[&request]).await, format!(":{reply}\r\n"), "{engine} {command}");
        }
        let mut request = vec!["XREAD", "STREAMS"];
        request.extend(streams.iter().map(String::as_str));
        request.extend(std::iter::repeat_n("0", KEYS));
        let reply = node.run(0, &[&request]).await;
        assert!(reply.starts_with(&format!("*{KEYS}\r\n")), "{engine}: {}", &reply[..40]);
        node.close().await;
    }
}

/// Only what a command did change counts, where it may change several keys.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_a_command_left_alone_are_as_they_were_watched() {
    let cases: &[(&[&str], &str, bool)] = &[
        (&["SMOVE", "s", "t", "a"], "s", false),
        (&["SMOVE", "s", "t", "a"], "t", true),
        (&["SMOVE", "s", "t", "b"], "t", false),
        (&["LMPOP", "2", "l", "m", "LEFT"], "l", false),
        (&["LMPOP", "2", "l", "m", "LEFT"], "m", true),
        (&["BLPOP", "l", "m", "1"], "m", true),
        (&["BLMPOP", "1", "2", "l", "m", "LEFT"], "m", true),
        (&["ZMPOP", "2", "z", "y", "MIN"], "y", true),
        (&["BZPOPMAX", "z", "y", "1"], "y", true),
        (&["BZPOPMAX", "z", "y", "1"], "z", false),
        // The destination is a key, whatever it is called.
        (&["SORT", "l", "ALPHA", "STORE", "store"], "store", false),
        (&["GEORADIUS", "z", "0", "0", "1", "m", "STORE", "store"], "store", false),
        // Across engines: what is only read has another order in the scratch store.
        (&["SINTERSTORE", "d", "lsm:s", "numbers"], "lsm:s", true),
        (&["PFCOUNT", "hll"], "hll", true),
    ];
    for (command, key, holds) in cases {
        let dir = tempfile::tempdir().expect("a directory");
        let node = open(dir.path(), three_engines()).await;
        let numbers: Vec<String> = (0..40).map(|n| n.to_string()).collect();
        for name in ["lsm:s", "numbers"] {
            let mut add = vec!["SADD", name];
            add.extend(numbers.iter().map(String::as_str));
            node.run(0, &[&add]).await;
        }
        let setup: &[&[&str]] = &[
            &["SADD", "s", "a", "b"],
            &["SADD", "t", "a"],
            &["RPUSH", "l", "a", "b"],
            &["RPUSH", "m", "a"],
            &["ZADD", "z", "1", "a", "2", "b"],
            &["ZADD", "y", "1", "a"],
            &["SET", "store", "x"],
            &["PFADD", "hll", "a", "b"],
        ];
        node.run(0, setup).await;
        let watch = node.shard.watch_now(Db(0), &[key.as_bytes()], None, None);
        let Some(Watched::Yes(watch)) = watch else { panic!("{watch:?}") };
        let reply = node.run(0, &[command]).await;
        assert!(!reply.starts_with('-'), "{command:?}: {reply}");
        let mut run = transaction(&[&["SET", "other", "x"]]);
        run.require(watch);
        assert_eq!(node.execute(&mut run).await.starts_with("*1"), *holds, "{command:?} {key}");
        node.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_group_hears_that_the_stream_has_expired() {
    for engine in EngineKind::ALL {
        let dir = tempfile::tempdir().expect("a directory");
        let node = open(dir.path(), one_engine(engine)).await;
        let commands: &[&[&str]] = &[&["XGROUP", "CREATE", "x", "g", "$", "MKSTREAM"], &["PEXPIRE", "x", "50"]];
        node.run(0, commands).await;
        let mut run = Run::default();
        let request = ["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "x", ">"];
        let args: Vec<&[u8]> = request.iter().map(|arg| arg.as_bytes()).collect();
        run.push_write(find(args[0]).expect("the command exists"), Db(0), &args);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let call_off = CallOff::default();
        let blocked = node.shard.execute_blocking(&mut run, MANNER, Some(deadline), &mut None, &call_off).await;
        let Blocked::Served(replies) = blocked else { panic!("{engine}: {blocked:?}") };
        assert!(replies.to_vec().starts_with(b"-NOGROUP"), "{engine}");
        node.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_expire_are_counted_apart_from_keys() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = open(dir.path(), one_engine(EngineKind::Hash)).await;
    let commands: &[&[&str]] =
        &[&["HSET", "h", "a", "1", "b", "2", "c", "3"], &["HPEXPIRE", "h", "20", "FIELDS", "2", "a", "b"]];
    node.run(0, commands).await;
    let counters = &node.shard.counters;
    let expired = || counters.expired_fields.load(std::sync::atomic::Ordering::Relaxed);
    for _ in 0..200 {
        if expired() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!((expired(), counters.expired.load(std::sync::atomic::Ordering::Relaxed)), (2, 0));
    node.close().await;
}

/// The format is on disks. To make the fixture anew, after a change of version, name a file in `KEEP_FIXTURE`.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_version_1_is_readable() {
    const WRITES: &[&[&str]] = &[
        &["SET", "string", "value"],
        &["SET", "integer", "-42"],
        &["SET", "expiring", "value", "PXAT", "4000000000000"],
        &["APPEND", "edited", "bytes"],
        &["HSET", "small", "field", "1", "other", "2"],
    ];
    let dir = tempfile::tempdir().expect("a directory");
    let snapshots = dir.path().join("shard-1");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/snapshot-v1.kvs");
    let name = "snapshot-00000000000000000003.kvs";
    if let Some(target) = std::env::var_os("KEEP_FIXTURE") {
        let node = open(dir.path(), one_engine(EngineKind::Hash)).await;
        node.run(0, WRITES).await;
        let fields: Vec<String> = (0..150).map(|n| format!("field:{n}")).collect();
        let mut big = vec!["HSET", "big"];
        big.extend(fields.iter().flat_map(|field| [field.as_str(), "v"]));
        node.run(9, &[&big]).await;
        node.shard.snapshot().await.expect("a snapshot");
        std::fs::copy(snapshots.join(name), target).expect("copied");
        node.close().await;
        return;
    }
    std::fs::create_dir_all(&snapshots).expect("a directory");
    std::fs::copy(fixture, snapshots.join(name)).expect("the fixture is in the repository");
    let node = open(dir.path(), one_engine(EngineKind::Hash)).await;
    assert_eq!((node.len(0), node.len(9)), (5, 1));
    let reads: &[&[&str]] = &[
        &["GET", "string"],
        &["INCR", "integer"],
        &["PEXPIRETIME", "expiring"],
        &["GET", "edited"],
        &["HMGET", "small", "other", "field"],
    ];
    let replies = "$5\r\nvalue\r\n:-41\r\n:4000000000000\r\n$5\r\nbytes\r\n*2\r\n$1\r\n2\r\n$1\r\n1\r\n";
    assert_eq!(node.run(0, reads).await, replies);
    let reads: &[&[&str]] = &[&["HLEN", "big"], &["HGET", "big", "field:149"], &["OBJECT", "ENCODING", "big"]];
    assert_eq!(node.run(9, reads).await, ":150\r\n$1\r\nv\r\n$9\r\nhashtable\r\n");
    node.close().await;
}
