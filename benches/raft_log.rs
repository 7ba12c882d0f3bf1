//! What a proposal of 1 KiB costs, from `propose` to its callback, under each fsync policy, with
//! one and with sixteen in flight; and the log alone.
//!
//! `KVORUM_CPU=1` prints proposals per second and CPU time per proposal instead.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group};
use kvorum::raft::types::{Entry, EntryPayload, Flushed, LeaderId, LogId, Payload, TypeConfig};
use kvorum::raft::{FsyncPolicy, Group, GroupOptions, LogOptions, SharedLog, SnapshotJob, StateMachine};
use kvorum::types::{LogIndex, NodeId, ShardId};
use openraft::storage::RaftLogStorage;
use openraft::type_config::TypeConfigExt;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

const POLICIES: [FsyncPolicy; 4] = [FsyncPolicy::Always, FsyncPolicy::EverySec, FsyncPolicy::No, FsyncPolicy::Memory];
const PAYLOAD_BYTES: usize = 1024;

struct Nothing;

impl StateMachine for Nothing {
    fn apply(&mut self, _index: LogIndex, _term: u64, _payload: &Bytes) -> std::io::Result<()> {
        Ok(())
    }

    fn skip(&mut self, _index: LogIndex) -> std::io::Result<()> {
        Ok(())
    }

    fn begin_snapshot(&mut self) -> std::io::Result<Box<dyn SnapshotJob>> {
        Ok(Box::new(Nothing))
    }

    fn restore(&mut self, _index: LogIndex, _body: &Path, _body_offset: u64) -> std::io::Result<()> {
        Ok(())
    }
}

impl SnapshotJob for Nothing {
    fn write(self: Box<Self>, _out: &mut dyn std::io::Write) -> std::io::Result<()> {
        Ok(())
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

async fn open(dir: &Path, policy: FsyncPolicy) -> (Arc<SharedLog>, Arc<Group>) {
    let log = SharedLog::open(&dir.join("log"), LogOptions::new(policy)).expect("the log opens");
    let options =
        GroupOptions { id: ShardId(0), node: NodeId(1), dir: dir.join("shard"), log: Arc::clone(&log), cluster: None };
    let group = Group::open(options, Nothing).await.expect("the group opens");
    group.wait_ready().await.expect("ready");
    (log, Arc::new(group))
}

/// Proposes `count` payloads with `in_flight` unanswered at any time.
async fn propose(group: &Group, count: u64, in_flight: usize) {
    let permits = Arc::new(Semaphore::new(in_flight));
    let payload = Bytes::from(vec![7; PAYLOAD_BYTES]);
    for _ in 0..count {
        let permit = Arc::clone(&permits).acquire_owned().await.expect("never closed");
        let done = move |result: Result<LogIndex, _>| {
            result.expect("applied");
            drop(permit);
        };
        group.propose(payload.clone(), done).await.expect("queued");
    }
    drop(permits.acquire_many(in_flight as u32).await.expect("never closed"));
}

fn proposals(criterion: &mut Criterion) {
    let runtime = runtime();
    for policy in POLICIES {
        let dir = tempfile::tempdir().expect("a directory");
        let (log, group) = runtime.block_on(open(dir.path(), policy));
        let mut benches = criterion.benchmark_group(format!("propose/{policy:?}"));
        benches.throughput(Throughput::Elements(1)).measurement_time(Duration::from_secs(2)).sample_size(10);
        for in_flight in [1, 16] {
            benches.bench_function(format!("{in_flight} in flight"), |bencher| {
                bencher.iter_custom(|count| {
                    let group = Arc::clone(&group);
                    let run = runtime.spawn(async move {
                        let start = Instant::now();
                        propose(&group, count, in_flight).await;
                        start.elapsed()
                    });
                    let took = runtime.block_on(run).expect("no panic");
                    runtime.block_on(async { log_trim(&log).await });
                    took
                });
            });
        }
        benches.finish();
        runtime.block_on(group.shutdown());
        log.close().expect("closes");
    }
}

/// Keeps memory and disk from filling up between measurements.
async fn log_trim(log: &Arc<SharedLog>) {
    let mut group = log.group(ShardId(0));
    let state = group.get_log_state().await.expect("readable");
    if let Some(last) = state.last_log_id
        && log.bytes_since_purge(ShardId(0)) > 256 << 20
    {
        group.purge(LogId { index: last.index - 100, ..last }).await.expect("purged");
    }
}

fn appends(criterion: &mut Criterion) {
    let runtime = runtime();
    for policy in [FsyncPolicy::Always, FsyncPolicy::EverySec] {
        let dir = tempfile::tempdir().expect("a directory");
        let log = SharedLog::open(dir.path(), LogOptions::new(policy)).expect("the log opens");
        let mut group = log.group(ShardId(1));
        let mut index = 0;
        let payload = Bytes::from(vec![7; PAYLOAD_BYTES]);
        criterion.bench_function(&format!("append/{policy:?}"), |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let log_id = LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index };
                    let entry = Entry { log_id, payload: EntryPayload::Normal(Payload(payload.clone())) };
                    let (sender, receiver) = TypeConfig::oneshot();
                    group.append([entry], Flushed::signal(sender)).await.expect("appended");
                    receiver.await.expect("called back").expect("flushed");
                    index += 1;
                });
            });
        });
        log.close().expect("closes");
    }
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().expect("user") + fields[12].parse::<f64>().expect("system");
    ticks / 100.0
}

fn print_cpu() {
    let runtime = runtime();
    println!("policy     in flight   proposals/s   CPU us/proposal");
    for policy in POLICIES {
        for in_flight in [1, 16] {
            let dir = tempfile::tempdir().expect("a directory");
            let (log, group) = runtime.block_on(open(dir.path(), policy));
            let run = runtime.spawn({
                let group = Arc::clone(&group);
                async move {
                    let (start, cpu) = (Instant::now(), cpu_seconds());
                    let mut count = 0;
                    while start.elapsed() < Duration::from_secs(3) {
                        propose(&group, 500, in_flight).await;
                        count += 500;
                    }
                    (count as f64 / start.elapsed().as_secs_f64(), (cpu_seconds() - cpu) * 1e6 / count as f64)
                }
            });
            let (rate, cpu) = runtime.block_on(run).expect("no panic");
            println!("{:<10} {in_flight:>9} {rate:>13.0} {cpu:>17.1}", format!("{policy:?}"));
            if in_flight == 16 {
                let cpu = cpu_seconds();
                std::thread::sleep(Duration::from_secs(5));
                println!("{:<10}      idle: {:.2} % of a CPU", "", (cpu_seconds() - cpu) * 20.0);
                println!("{:<10}      {:?}", "", log.stats());
            }
            runtime.block_on(group.shutdown());
            log.close().expect("closes");
        }
    }
}

criterion_group!(benches, proposals, appends);

fn main() {
    if std::env::var_os("KVORUM_CPU").is_some() {
        print_cpu();
    } else {
        benches();
        Criterion::default().configure_from_args().final_summary();
    }
}
