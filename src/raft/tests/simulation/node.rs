//! A simulated node, its clients, and what can be seen of all nodes from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::super::super::{
    Bus, BusOptions, ClusterOptions, FsyncPolicy, Group, GroupOptions, LogOptions, ProposeError, Role, SharedLog,
};
use super::super::{CLUSTER, GROUP, Machine, propose_later};
use super::disk::Disk;
use super::history::{History, Outcome, Read};
use super::{Defect, chance, elapsed};
use crate::types::NodeId;

const PORT: u16 = 9000;
const WRITERS: u64 = 2;
const READERS: u64 = 2;
/// Entries behind a snapshot that a node keeps: so few that who was away needs the snapshot.
const TAIL_ENTRIES: u64 = 20;
/// How long a client waits.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a node is told from outside.
pub(super) enum Order {
    Snapshot,
    HandOver(u64),
}

struct Live {
    group: Arc<Group>,
    machine: Machine,
    orders: mpsc::UnboundedSender<Order>,
}

/// What outlives the nodes.
pub(super) struct World {
    dir: tempfile::TempDir,
    nodes: u64,
    defect: Defect,
    disks: BTreeMap<u64, Disk>,
    live: Mutex<BTreeMap<u64, Live>>,
    /// Nodes that have run.
    known: Mutex<BTreeSet<u64>>,
    /// When an entry counts as written.
    policy: FsyncPolicy,
    /// Nodes that may have lost acknowledged entries and have not run since.
    lost: Mutex<BTreeSet<u64>>,
    writing: AtomicBool,
    pub(super) history: Mutex<History>,
}

pub(super) fn name(id: u64) -> String {
    format!("node-{id}")
}

fn now() -> Duration {
    elapsed().expect("in a simulation")
}

async fn pause(least_ms: u64, most_ms: u64) {
    tokio::time::sleep(Duration::from_millis(chance::between(least_ms, most_ms))).await;
}

/// The life of a node, from a start to a crash.
pub(super) async fn live(world: Arc<World>, id: u64) -> turmoil::Result {
    let listener = turmoil::net::TcpListener::bind(("0.0.0.0", PORT)).await?;
    let bus = Bus::start(BusOptions { node: NodeId(id), listener: listener.into(), cluster: CLUSTER, tls: None })?;
    for other in (1..=world.nodes).filter(|other| *other != id) {
        bus.set_address(NodeId(other), &format!("{}:{PORT}", name(other)));
    }
    let dir = world.dir.path().join(name(id));
    let options =
        LogOptions { files: Arc::new(world.disks[&id].clone()), has_threads: false, ..LogOptions::new(world.policy) };
    let log = SharedLog::open(&dir.join("log"), options)?;
    let cluster = ClusterOptions {
        may_have_lost: world.lost.lock().remove(&id),
        log_tail_entries: TAIL_ENTRIES,
        ..ClusterOptions::new(Arc::clone(&bus))
    };
    let options = GroupOptions { id: GROUP, node: NodeId(id), dir: dir.join("group"), log, cluster: Some(cluster) };
    let machine = Machine::small();
    let group = Arc::new(Group::open(options, machine.clone()).await?);
    if world.defect == Defect::ReadsWithoutLease {
        group.plant_reads_without_lease();
    }
    let is_first_start = world.known.lock().insert(id);
    if id == 1 && is_first_start {
        let members = (1..=world.nodes).map(|node| (NodeId(node), format!("{}:{PORT}", name(node)))).collect();
        group.initialize(&members).await?;
    }
    let (orders, mut told) = mpsc::unbounded_channel();
    world.live.lock().insert(id, Live { group: Arc::clone(&group), machine: machine.clone(), orders });
    for _ in 0..WRITERS {
        tokio::spawn(write(Arc::clone(&world), Arc::clone(&group)));
    }
    for _ in 0..READERS {
        tokio::spawn(read(Arc::clone(&world), id, Arc::clone(&group), machine.clone()));
    }
    while let Some(order) = told.recv().await {
        match order {
            // Whether it can be done depends on the weather.
            Order::Snapshot => drop(group.snapshot().await),
            Order::HandOver(to) => drop(group.transfer_leader(NodeId(to)).await),
        }
    }
    Ok(())
}

async fn write(world: Arc<World>, group: Arc<Group>) {
    loop {
        pause(1, 20).await;
        let leads = group.leadership().borrow().role == Role::Leader;
        if !world.writing.load(Ordering::Relaxed) || !(leads || chance::one_in(20)) {
            continue;
        }
        let number = world.history.lock().propose(now());
        let outcome = propose_later(&group, number).await;
        if world.defect == Defect::AcknowledgesBeforeCommit && leads {
            world.history.lock().decide(number, Outcome::Acknowledged(now()), now());
            continue;
        }
        let outcome = match tokio::time::timeout(PATIENCE, outcome).await {
            Ok(Ok(Ok(_))) => Outcome::Acknowledged(now()),
            Ok(Ok(Err(ProposeError::NotLeader { .. } | ProposeError::Stopped | ProposeError::TooLarge))) => {
                Outcome::Refused
            }
            Ok(Ok(Err(ProposeError::Unknown)) | Err(_)) | Err(_) => Outcome::Open,
        };
        world.history.lock().decide(number, outcome, now());
    }
}

async fn read(world: Arc<World>, node: u64, group: Arc<Group>, machine: Machine) {
    loop {
        pause(2, 30).await;
        let invoked = now();
        let (how, may_read) = match chance::between(0, 3) {
            0 => ("lease", group.read_gate()),
            1 => {
                let read = async {
                    let index = group.read_index().await?;
                    group.wait_applied(index).await
                };
                ("read-index", matches!(tokio::time::timeout(PATIENCE, read).await, Ok(Ok(()))))
            }
            _ => {
                let read = group.follower_read_index();
                ("follower", matches!(tokio::time::timeout(PATIENCE, read).await, Ok(Ok(_))))
            }
        };
        if may_read {
            let (length, last) = machine.end();
            world.history.lock().read(Read { node, how, invoked, returned: now(), length, last });
        }
    }
}

impl World {
    pub(super) fn new(nodes: u64, policy: FsyncPolicy, defect: Defect) -> Self {
        Self {
            dir: tempfile::tempdir().expect("a directory"),
            nodes,
            defect,
            disks: (1..=nodes).map(|id| (id, Disk::default())).collect(),
            live: Mutex::default(),
            known: Mutex::default(),
            policy,
            lost: Mutex::default(),
            writing: AtomicBool::new(true),
            history: Mutex::default(),
        }
    }

    pub(super) fn stop_writing(&self) {
        self.writing.store(false, Ordering::Relaxed);
    }

    /// A node is about to crash: nobody looks at it any more.
    pub(super) fn forget(&self, id: u64) {
        self.live.lock().remove(&id);
    }

    /// A node has crashed, with its machine.
    pub(super) fn lose_power(&self, id: u64) {
        self.disks[&id].crash().expect("the files can be cut");
        if self.policy != FsyncPolicy::Always {
            self.lost.lock().insert(id);
        }
    }

    /// Whether a node may lose what it has not synced: always, or when all others have everything.
    pub(super) fn can_lose_power(&self) -> bool {
        let live = self.live.lock();
        if self.policy == FsyncPolicy::Always {
            return true;
        }
        live.len() as u64 == self.nodes
            && live.values().all(|node| !node.group.status().untrusted)
            && live.values().any(|node| node.group.read_gate())
    }

    pub(super) fn tell(&self, id: u64, order: Order) {
        if let Some(node) = self.live.lock().get(&id) {
            // It may have just ended.
            drop(node.orders.send(order));
        }
    }

    /// Who leads, if somebody surely does.
    pub(super) fn leader(&self) -> Option<u64> {
        self.live.lock().iter().find(|(_, node)| node.group.read_gate()).map(|(id, _)| *id)
    }

    /// No two nodes may read at the same time by their leases.
    pub(super) fn check_gates(&self) -> Result<(), String> {
        let live = self.live.lock();
        let open: Vec<u64> = live.iter().filter(|(_, node)| node.group.read_gate()).map(|(id, _)| *id).collect();
        if open.len() > 1 { Err(format!("nodes {open:?} may read at {:?}", elapsed())) } else { Ok(()) }
    }

    /// The list of each node is the beginning of every longer one.
    pub(super) fn check_lists(&self) -> Result<(), String> {
        let mut lists: Vec<(u64, Vec<u64>)> =
            self.live.lock().iter().map(|(id, node)| (*id, node.machine.numbers())).collect();
        lists.sort_by_key(|(_, list)| list.len());
        for pair in lists.windows(2) {
            let [(shorter, beginning), (longer, list)] = pair else { continue };
            if !list.starts_with(beginning) {
                return Err(format!("nodes {shorter} and {longer} have applied different entries"));
            }
        }
        Ok(())
    }

    /// The list, if all nodes have the same and one leads.
    pub(super) fn agreed(&self) -> Option<Vec<u64>> {
        self.leader()?;
        let live = self.live.lock();
        let first = live.values().next()?.machine.numbers();
        let applied: BTreeSet<_> = live.values().map(|node| node.group.applied()).collect();
        let all = live.len() as u64 == self.nodes && applied.len() == 1;
        (all && live.values().all(|node| node.machine.numbers() == first)).then_some(first)
    }

    /// How the nodes are, for people.
    pub(super) fn describe(&self) -> Vec<String> {
        let live = self.live.lock();
        live.iter().map(|(id, node)| format!("{id}: {:?}", node.group.status())).collect()
    }
}
