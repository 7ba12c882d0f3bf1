//! Groups of several nodes in one process, over loopback.
//!
//! Each node reaches each other node through a proxy of its own, so every direction can be cut.

mod elections;
mod membership;
mod reads;
pub(super) mod simulation;
mod votes;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use super::*;
use crate::types::{NodeId, ShardId};

const GROUP: ShardId = ShardId(3);
const CLUSTER: u128 = 77;
/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(15);

/// What a machine has seen.
#[derive(Clone)]
struct Machine {
    seen: Arc<Mutex<Seen>>,
    /// Bytes that its snapshots have besides.
    padding: usize,
}

impl Default for Machine {
    /// With snapshots so large that they take several chunks.
    fn default() -> Self {
        Self { seen: Arc::default(), padding: 1_500_000 }
    }
}

#[derive(Default)]
struct Seen {
    numbers: Vec<u64>,
    last: u64,
    restored: Option<u64>,
}

impl Machine {
    fn small() -> Self {
        Self { padding: 100, ..Self::default() }
    }

    fn numbers(&self) -> Vec<u64> {
        self.seen.lock().numbers.clone()
    }

    /// How many numbers there are, and the last.
    fn end(&self) -> (usize, Option<u64>) {
        let seen = self.seen.lock();
        (seen.numbers.len(), seen.numbers.last().copied())
    }
}

impl StateMachine for Machine {
    fn apply(&mut self, index: LogIndex, _: u64, payload: &Bytes) -> io::Result<()> {
        let mut seen = self.seen.lock();
        assert!(index.0 > seen.last, "entries come in order, once");
        seen.last = index.0;
        let number = payload.first_chunk::<8>().expect("eight bytes");
        seen.numbers.push(u64::from_le_bytes(*number));
        Ok(())
    }

    fn skip(&mut self, index: LogIndex) -> io::Result<()> {
        self.seen.lock().last = index.0;
        Ok(())
    }

    fn begin_snapshot(&mut self) -> io::Result<Box<dyn SnapshotJob>> {
        Ok(Box::new(Numbers(self.numbers(), self.padding)))
    }

    fn restore(&mut self, index: LogIndex, body: &Path, body_offset: u64) -> io::Result<()> {
        let mut file = fs::File::open(body)?;
        file.seek(SeekFrom::Start(body_offset))?;
        let mut number = || -> io::Result<u64> {
            let mut bytes = [0; 8];
            file.read_exact(&mut bytes)?;
            Ok(u64::from_le_bytes(bytes))
        };
        let count = number()?;
        let numbers = (0..count).map(|_| number()).collect::<io::Result<_>>()?;
        *self.seen.lock() = Seen { numbers, last: index.0, restored: Some(index.0) };
        Ok(())
    }
}

struct Numbers(Vec<u64>, usize);

impl SnapshotJob for Numbers {
    fn write(self: Box<Self>, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&(self.0.len() as u64).to_le_bytes())?;
        for number in &self.0 {
            out.write_all(&number.to_le_bytes())?;
        }
        out.write_all(&vec![7; self.1])
    }
}

/// What a proxy does with connections.
#[derive(Clone, Copy, PartialEq)]
enum Wire {
    /// Passes bytes on.
    Open,
    /// Closes connections, and lets none in.
    Cut,
    /// Leaves connections open and passes nothing on, as a network that drops packets.
    Silent,
}

struct Proxy {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
    wire: watch::Sender<Wire>,
}

impl Proxy {
    async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let target = Arc::new(Mutex::new(target));
        let wire = watch::Sender::new(Wire::Open);
        let (to, state) = (Arc::clone(&target), wire.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let to = *to.lock();
                tokio::spawn(carry(stream, to, state.subscribe()));
            }
        });
        Self { address, target, wire }
    }
}

async fn carry(mut from: TcpStream, to: SocketAddr, mut wire: watch::Receiver<Wire>) {
    let now = *wire.borrow_and_update();
    if now == Wire::Open
        && let Ok(mut to) = TcpStream::connect(to).await
    {
        from.set_nodelay(true).expect("sets");
        to.set_nodelay(true).expect("sets");
        tokio::select! {
            biased;
            _ = wire.changed() => {}
            _ = tokio::io::copy_bidirectional(&mut from, &mut to) => return,
        }
        if *wire.borrow_and_update() == Wire::Silent {
            drop(wire.changed().await);
        }
    } else if now == Wire::Silent {
        drop(wire.changed().await);
    }
}

struct Node {
    bus: Arc<Bus>,
    log: Arc<SharedLog>,
    group: Arc<Group>,
    machine: Machine,
}

/// How a node is opened.
#[derive(Clone, Copy)]
struct How {
    pre_vote: bool,
    quiet_after_start: bool,
    may_have_lost: bool,
}

const USUAL: How = How { pre_vote: true, quiet_after_start: true, may_have_lost: false };

/// Nodes 1 to n.
struct Cluster {
    dir: tempfile::TempDir,
    nodes: BTreeMap<u64, Node>,
    /// By who dials and who is dialled.
    proxies: BTreeMap<(u64, u64), Proxy>,
}

impl Cluster {
    /// Nodes that are in no group's membership yet.
    async fn empty(count: u64, how: How) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut cluster = Self { dir, nodes: BTreeMap::new(), proxies: BTreeMap::new() };
        for node in 1..=count {
            for other in (1..=count).filter(|other| *other != node) {
                let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
                cluster.proxies.insert((node, other), Proxy::start(nowhere).await);
            }
        }
        for node in 1..=count {
            cluster.open(node, how).await;
        }
        cluster
    }

    /// Nodes that are all voters, one of which leads.
    async fn of_voters(count: u64, how: How) -> Self {
        let cluster = Self::empty(count, how).await;
        let members = (1..=count).map(|node| (NodeId(node), format!("node-{node}:1"))).collect();
        cluster.group(1).initialize(&members).await.expect("initializes");
        cluster.leader().await;
        cluster
    }

    async fn three() -> Self {
        Self::of_voters(3, USUAL).await
    }

    async fn open(&mut self, node: u64, how: How) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let bus = Bus::start(BusOptions { node: NodeId(node), listener: listener.into(), cluster: CLUSTER, tls: None })
            .expect("starts");
        for ((from, to), proxy) in &self.proxies {
            if *from == node {
                bus.override_address(NodeId(*to), Some(proxy.address.to_string()));
            } else if *to == node {
                *proxy.target.lock() = bus.local_address();
            }
        }
        let dir = self.dir.path().join(format!("node-{node}"));
        let log = SharedLog::open(&dir.join("log"), LogOptions::new(FsyncPolicy::Always)).expect("the log opens");
        let options = ClusterOptions {
            pre_vote: how.pre_vote,
            quiet_after_start: how.quiet_after_start,
            may_have_lost: how.may_have_lost,
            ..ClusterOptions::new(Arc::clone(&bus))
        };
        let options = GroupOptions {
            id: GROUP,
            node: NodeId(node),
            dir: dir.join("group"),
            log: Arc::clone(&log),
            cluster: Some(options),
        };
        let machine = Machine::default();
        let group = Arc::new(Group::open(options, machine.clone()).await.expect("the group opens"));
        self.nodes.insert(node, Node { bus, log, group, machine });
    }

    async fn stop(&mut self, node: u64) {
        let node = self.nodes.remove(&node).expect("it runs");
        // First the bus: nobody is told good-bye.
        node.bus.shutdown();
        node.group.shutdown().await;
        node.log.close().expect("closes");
    }

    fn group(&self, node: u64) -> &Arc<Group> {
        &self.nodes[&node].group
    }

    /// What passes between two nodes, in both directions.
    fn between(&self, a: u64, b: u64, wire: Wire) {
        self.proxies[&(a, b)].wire.send_replace(wire);
        self.proxies[&(b, a)].wire.send_replace(wire);
    }

    /// What passes between a node and all others.
    fn around(&self, node: u64, wire: Wire) {
        for ((from, to), proxy) in &self.proxies {
            if *from == node || *to == node {
                proxy.wire.send_replace(wire);
            }
        }
    }

    /// Waits until one of the nodes leads and may read.
    async fn leader(&self) -> u64 {
        self.leader_other_than(0).await
    }

    async fn leader_other_than(&self, not: u64) -> u64 {
        let mut found = 0;
        eventually("somebody leads", || {
            found = self.nodes.iter().find(|(node, it)| **node != not && it.group.read_gate()).map_or(0, |(id, _)| *id);
            found != 0
        })
        .await;
        found
    }

    fn followers(&self, leader: u64) -> Vec<u64> {
        self.nodes.keys().copied().filter(|node| *node != leader).collect()
    }

    /// Waits until all nodes have applied the same numbers.
    async fn agree_on(&self, numbers: &[u64]) {
        eventually("all have applied the same", || self.nodes.values().all(|node| node.machine.numbers() == numbers))
            .await;
    }
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LONG, "it did not come about that {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn propose(group: &Group, number: u64) -> Result<LogIndex, ProposeError> {
    propose_later(group, number).await.await.expect("an outcome")
}

async fn propose_later(group: &Group, number: u64) -> oneshot::Receiver<Result<LogIndex, ProposeError>> {
    let (sender, receiver) = oneshot::channel();
    let done = move |result: Result<LogIndex, ProposeError>| {
        sender.send(result).ok();
    };
    // An error is given to the callback too.
    group.propose(Bytes::copy_from_slice(&number.to_le_bytes()), done).await.ok();
    receiver
}
