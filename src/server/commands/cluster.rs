//! `CLUSTER` and the commands of clients that know Redis Cluster.
//!
//! A node of ours leads some shards and follows others, so it is neither a master nor a replica. To clients it
//! is a master that has the slots of the shards it leads; the other nodes with replicas of a shard are listed as
//! the replicas of its slots, where a reply has room for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Call, DONE, Executed, late_error};
use crate::cluster::state::{ClusterState, NodeRecord};
use crate::command::CommandError;
use crate::command::error::{NOT_INTEGER, SYNTAX};
use crate::resp::Reply;
use crate::server::Server;
use crate::server::cluster::join::Plan;
use crate::server::cluster::{ClusterNode, status};
use crate::server::dispatch::lossy;
use crate::server::settings::Setting;
use crate::shard::{Shard, clock};
use crate::storage::ScanCursor;
use crate::types::number::parse_i64;
use crate::types::slot::slot_of;
use crate::types::{Db, NodeId, ReadPolicy, SLOT_COUNT, ShardId, Slot};

/// How long a change of leaders by hand may take.
const FAILOVER_PATIENCE: Duration = Duration::from_secs(5);
const DISABLED: CommandError = CommandError::Static("ERR This instance has cluster support disabled");
const INVALID_SLOT: CommandError = CommandError::Static("ERR Invalid or out of range slot");
const PLACED: CommandError = CommandError::Static(
    "ERR slots and replicas are placed by the cluster itself; see 'kvorum cluster --help' for what an operator can do",
);
const AGREED: CommandError = CommandError::Static(
    "ERR nodes and epochs are agreed on in the metadata group; see 'kvorum cluster --help' for what an operator can do",
);

fn node<'c>(call: &Call<'c>) -> Result<&'c Arc<ClusterNode>, CommandError> {
    call.server.cluster.as_ref().ok_or(DISABLED)
}

/// `ASKING`
pub(super) fn asking(call: &mut Call<'_>) -> Executed {
    node(call)?;
    call.session.asking = true;
    call.ok()
}

/// `READONLY`
pub(super) fn readonly(call: &mut Call<'_>) -> Executed {
    node(call)?;
    call.session.read_policy = Some(ReadPolicy::Follower);
    call.ok()
}

/// `READWRITE`
pub(super) fn readwrite(call: &mut Call<'_>) -> Executed {
    node(call)?;
    call.session.read_policy = None;
    call.ok()
}

/// `CLIENT READ-POLICY [policy]`: what this connection's reads need, from now on or now.
pub(super) fn read_policy(call: &mut Call<'_>) -> Executed {
    node(call)?;
    if call.args.len() > 3 {
        return Err(SYNTAX);
    }
    let Some(name) = call.args.get(2) else {
        let name = call.session.read_policy.map_or("default", ReadPolicy::name);
        call.reply().bulk(name.as_bytes());
        return DONE;
    };
    let chosen =
        if call.is_word(2, "DEFAULT") { None } else { Some(ReadPolicy::from_name(&lossy(name)).ok_or(SYNTAX)?) };
    call.session.read_policy = chosen;
    call.ok()
}

/// `CLUSTER subcommand …`
pub(super) fn cluster(call: &mut Call<'_>) -> Executed {
    let subcommand = call.subcommand();
    if subcommand == "HELP" {
        return call.help("CLUSTER");
    }
    let node = Arc::clone(node(call)?);
    match subcommand.as_str() {
        "ADDSLOTS" | "ADDSLOTSRANGE" | "DELSLOTS" | "DELSLOTSRANGE" | "FLUSHSLOTS" | "SETSLOT" | "REPLICATE" => {
            Err(PLACED)
        }
        "BUMPEPOCH" | "FORGET" | "MEET" | "SET-CONFIG-EPOCH" => Err(AGREED),
        "RESET" => Err(CommandError::Static(
            "ERR a node belongs to its cluster for the life of its data directory; start it with an empty one",
        )),
        "COUNT-FAILURE-REPORTS" => known(call, &node).and_then(|_| call.integer(0)),
        "COUNTKEYSINSLOT" => {
            let slot = slot_at(call, 2)?;
            let count = keys_in_slot(call.server, call.session.db, slot, usize::MAX, &mut |_| {})?;
            call.integer(i64::try_from(count).unwrap_or(i64::MAX))
        }
        "GETKEYSINSLOT" => keys_of_slot(call),
        "CREATE" => create(call, node),
        "DESCRIBE" => describe(call, &node),
        "FAILOVER" => failover(call, node),
        "INFO" => info(call, &node),
        "KEYSLOT" => {
            let slot = slot_of(call.args[2]);
            call.integer(i64::from(slot.0))
        }
        "LINKS" => links(call, &node),
        "MYID" => {
            call.reply().bulk(node.name.as_bytes());
            DONE
        }
        "MYSHARDID" => my_shard(call, &node),
        "NODES" => nodes(call, &node),
        "REPLICAS" | "SLAVES" => known(call, &node).map(|_| {
            call.reply().array(0);
            None
        }),
        "SAVECONFIG" => call.ok(),
        "SHARDS" => shards(call, &node),
        "SLOTS" => slots(call, &node),
        "STATUS" => show_status(call, node),
        _ => Err(call.wrong_subcommand()),
    }
}

/// The node that the third argument names, if there is one.
fn known(call: &Call<'_>, node: &ClusterNode) -> Result<NodeId, CommandError> {
    let name = lossy(call.args[2]);
    let state = node.state();
    let found = state.as_ref().and_then(|state| state.node_by_name(&name)).map(|(number, _)| number);
    found.ok_or_else(|| CommandError::Text(format!("ERR Unknown node {name}")))
}

fn slot_at(call: &Call<'_>, index: usize) -> Result<Slot, CommandError> {
    let number = parse_i64(call.args[index]).ok_or(INVALID_SLOT)?;
    u16::try_from(number).ok().filter(|&slot| slot < SLOT_COUNT).map(Slot).ok_or(INVALID_SLOT)
}

/// Visits keys of a slot, as this node's replica has them, and answers how many.
fn keys_in_slot(
    server: &Server,
    db: Db,
    slot: Slot,
    most: usize,
    visit: &mut dyn FnMut(&[u8]),
) -> Result<usize, CommandError> {
    const STEP_KEYS: usize = 1000;
    let router = server.router();
    let target = (!router.is_empty()).then(|| router.target(router.position_of(slot)));
    let Some(shard) = target.and_then(|target| target.local()) else { return Ok(0) };
    let store = shard.replica();
    let now = shard.read_time(clock::now());
    let mut count = 0;
    for (kind, engine) in store.engines_of(db) {
        let mut cursor = kind.cursor_at(slot);
        loop {
            let mut over = false;
            let next = engine.scan(db, cursor, STEP_KEYS, now, &mut |key, _kind| {
                if slot_of(key) != slot {
                    over |= slot_of(key) > slot;
                } else if count < most {
                    count += 1;
                    visit(key);
                }
                !over && count < most
            })?;
            if over || count >= most || next == ScanCursor::START || kind.slot_of_cursor(next) != slot {
                break;
            }
            cursor = next;
        }
    }
    Ok(count)
}

fn keys_of_slot(call: &mut Call<'_>) -> Executed {
    let slot = slot_at(call, 2)?;
    let most = parse_i64(call.args[3]).ok_or(NOT_INTEGER)?;
    let most = usize::try_from(most).map_err(|_| CommandError::Static("ERR Invalid number of keys"))?;
    let mut keys: Vec<Vec<u8>> = Vec::new();
    keys_in_slot(call.server, call.session.db, slot, most, &mut |key| keys.push(key.to_vec()))?;
    let mut reply = call.reply();
    reply.array(keys.len());
    keys.iter().for_each(|key| reply.bulk(key));
    DONE
}

fn describe(call: &mut Call<'_>, node: &ClusterNode) -> Executed {
    let cluster = format!("{:032x}", node.bus.cluster());
    let mut reply = call.reply();
    reply.map(4);
    for (field, value) in [("id", &node.name), ("cluster", &cluster), ("version", &super::KVORUM_VERSION.to_owned())] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"bus-port");
    reply.integer(i64::from(node.bus_port));
    DONE
}

/// `CLUSTER CREATE shards replicas name host port bus-port …`
fn create(call: &mut Call<'_>, node: Arc<ClusterNode>) -> Executed {
    let args = call.args;
    if args.len() < 8 || !(args.len() - 4).is_multiple_of(4) {
        return Err(SYNTAX);
    }
    let count = |arg: &[u8]| parse_i64(arg).and_then(|count| usize::try_from(count).ok()).ok_or(NOT_INTEGER);
    let port = |arg: &[u8]| parse_i64(arg).and_then(|port| u16::try_from(port).ok()).ok_or(NOT_INTEGER);
    let mut records = Vec::new();
    for fields in args[4..].chunks(4) {
        records.push(NodeRecord {
            name: lossy(fields[0]).into_owned(),
            host: lossy(fields[1]).into_owned(),
            port: port(fields[2])?,
            bus_port: port(fields[3])?,
        });
    }
    let plan = Plan { shards: count(args[2])?, replicas: count(args[3])?, nodes: records };
    let (server, protocol) = (Arc::clone(call.server), call.session.protocol);
    Ok(Some(Box::pin(async move {
        match node.create(plan).await {
            Ok(_) => super::late_ok(),
            Err(problem) => late_error(&server, protocol, &format!("ERR {problem}")),
        }
    })))
}

/// What this node knows: the metadata, and who leads.
struct View {
    state: Arc<ClusterState>,
    leaders: BTreeMap<ShardId, NodeId>,
}

impl View {
    fn of(server: &Server, node: &ClusterNode) -> Option<Self> {
        let state = node.state()?;
        let router = server.router();
        let leaders =
            router.targets().iter().filter_map(|target| Some((target.id(), target.known_leader()?))).collect();
        Some(Self { state, leaders })
    }

    /// Ranges of slots with their shard, in order.
    fn ranges(&self) -> Vec<(u16, u16, ShardId)> {
        let mut ranges: Vec<(u16, u16, ShardId)> = Vec::new();
        for slot in 0..SLOT_COUNT {
            let Some(shard) = self.state.ring.owner(Slot(slot)) else { continue };
            match ranges.last_mut() {
                Some((_, last, owner)) if *owner == shard && *last + 1 == slot => *last = slot,
                _ => ranges.push((slot, slot, shard)),
            }
        }
        ranges
    }

    /// Ranges of slots with their nodes, in a form that clients can take.
    ///
    /// Some clients (redis-py) keep for a node the role in which they meet it first, and ask only primaries for
    /// their keys. Here a node is both, so the first range of each leader comes before all others and names the
    /// leader in its replicas' places: rows of one length, because the same clients go round a leader's rows with
    /// one counter.
    fn ranges_leaders_first(&self) -> Vec<(u16, u16, Vec<&NodeRecord>)> {
        let mut met = BTreeSet::new();
        let (firsts, others): (Vec<_>, Vec<_>) = self
            .ranges()
            .into_iter()
            .map(|(first, last, shard)| (first, last, self.replicas(shard)))
            .partition(|(.., replicas)| replicas.first().is_some_and(|(leader, _)| met.insert(*leader)));
        let firsts = firsts.into_iter().map(|(first, last, replicas)| {
            let leader = replicas[0].1;
            (first, last, vec![leader; replicas.len()])
        });
        let others = others
            .into_iter()
            .map(|(first, last, replicas)| (first, last, replicas.into_iter().map(|(_, record)| record).collect()));
        firsts.chain(others).collect()
    }

    /// The nodes with a replica of a shard: the leader first, if it is known.
    fn replicas(&self, shard: ShardId) -> Vec<(NodeId, &NodeRecord)> {
        let Some(record) = self.state.shards.get(&shard) else { return Vec::new() };
        let leader = self.leaders.get(&shard);
        let numbers = record.replicas.iter().map(|number| NodeId(*number));
        let mut nodes: Vec<_> = numbers.filter_map(|number| Some((number, self.state.nodes.get(&number)?))).collect();
        nodes.sort_by_key(|(number, _)| Some(number) != leader);
        nodes
    }
}

fn info(call: &mut Call<'_>, node: &ClusterNode) -> Executed {
    let view = View::of(call.server, node);
    let (assigned, led, known, size, epoch) = view.as_ref().map_or((0, 0, 1, 0, 0), |view| {
        let ranges = view.ranges();
        let slots = |(first, last, _): &(u16, u16, ShardId)| u32::from(last - first) + 1;
        let assigned: u32 = ranges.iter().map(slots).sum();
        let led: u32 = ranges.iter().filter(|(_, _, shard)| view.leaders.contains_key(shard)).map(slots).sum();
        (assigned, led, view.state.nodes.len(), view.state.shards.len(), view.state.epoch)
    });
    let state = if assigned == u32::from(SLOT_COUNT) && led == assigned { "ok" } else { "fail" };
    let peers = node.bus.peers();
    let sent: u64 = peers.iter().map(|peer| peer.frames_out).sum();
    let received: u64 = peers.iter().map(|peer| peer.frames_in).sum();
    let fields: [(&str, String); 14] = [
        ("cluster_state", state.to_owned()),
        ("cluster_slots_assigned", assigned.to_string()),
        ("cluster_slots_ok", led.to_string()),
        ("cluster_slots_pfail", "0".to_owned()),
        ("cluster_slots_fail", (assigned - led).to_string()),
        ("cluster_known_nodes", known.to_string()),
        ("cluster_size", size.to_string()),
        ("cluster_current_epoch", epoch.to_string()),
        ("cluster_my_epoch", epoch.to_string()),
        ("cluster_stats_messages_sent", sent.to_string()),
        ("cluster_stats_messages_received", received.to_string()),
        ("total_cluster_links_buffer_limit_exceeded", "0".to_owned()),
        ("cluster_bus_bytes_sent", peers.iter().map(|peer| peer.bytes_out).sum::<u64>().to_string()),
        ("cluster_bus_bytes_received", peers.iter().map(|peer| peer.bytes_in).sum::<u64>().to_string()),
    ];
    let text: String = fields.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect();
    call.text(&text)
}

fn my_shard(call: &mut Call<'_>, node: &ClusterNode) -> Executed {
    let view = View::of(call.server, node);
    let name = view.as_ref().and_then(|view| {
        let led = view.state.shards.keys().find(|shard| view.leaders.get(shard) == Some(&node.number));
        let kept = || view.state.shards.iter().find(|(_, record)| record.replicas.contains(&node.number.0));
        led.and_then(|shard| view.state.shards.get(shard)).or_else(|| kept().map(|(_, record)| record))
    });
    let name = name.map_or_else(|| "0".repeat(40), |record| record.name.clone());
    call.reply().bulk(name.as_bytes());
    DONE
}

fn nodes(call: &mut Call<'_>, node: &ClusterNode) -> Executed {
    let Some(view) = View::of(call.server, node) else {
        let text = format!("{} :{}@{} myself,master - 0 0 0 connected\n", node.name, node.port, node.bus_port);
        return call.text(&text);
    };
    let ranges = view.ranges();
    let now = clock::now().0;
    let mut text = String::new();
    for (number, record) in &view.state.nodes {
        let flags = if *number == node.number { "myself,master" } else { "master" };
        let link = if node.is_connected(*number) { "connected" } else { "disconnected" };
        text += &format!(
            "{} {}:{}@{} {flags} - 0 {now} {} {link}",
            record.name, record.host, record.port, record.bus_port, view.state.epoch
        );
        for (first, last, shard) in &ranges {
            if view.leaders.get(shard) == Some(number) {
                text += &if first == last { format!(" {first}") } else { format!(" {first}-{last}") };
            }
        }
        text.push('\n');
    }
    call.text(&text)
}

fn slots(call: &mut Call<'_>, node: &ClusterNode) -> Executed {
    let Some(view) = View::of(call.server, node) else {
        call.reply().array(0);
        return DONE;
    };
    let ranges = view.ranges_leaders_first();
    let mut reply = call.reply();
    reply.array(ranges.len());
    for (first, last, replicas) in ranges {
        reply.array(2 + replicas.len());
        reply.integer(i64::from(first));
        reply.integer(i64::from(last));
        for record in replicas {
            reply.array(4);
            reply.bulk(record.host.as_bytes());
            reply.integer(i64::from(record.port));
            reply.bulk(record.name.as_bytes());
            reply.array(0);
        }
    }
    DONE
}

fn shards(call: &mut Call<'_>, node: &ClusterNode) -> Executed {
    let Some(view) = View::of(call.server, node) else {
        call.reply().array(0);
        return DONE;
    };
    let ranges = view.ranges();
    let mut reply = call.reply();
    reply.array(view.state.shards.len());
    for shard in view.state.shards.keys() {
        let mine: Vec<_> = ranges.iter().filter(|(_, _, owner)| owner == shard).collect();
        reply.map(2);
        reply.bulk(b"slots");
        reply.array(mine.len() * 2);
        for (first, last, _) in mine {
            reply.integer(i64::from(*first));
            reply.integer(i64::from(*last));
        }
        reply.bulk(b"nodes");
        let replicas = view.replicas(*shard);
        reply.array(replicas.len());
        for (number, record) in replicas {
            describe_replica(&mut reply, node, &view, *shard, number, record);
        }
    }
    DONE
}

fn describe_replica(
    reply: &mut Reply<'_>,
    node: &ClusterNode,
    view: &View,
    shard: ShardId,
    number: NodeId,
    record: &NodeRecord,
) {
    let role = if view.leaders.get(&shard) == Some(&number) { "master" } else { "replica" };
    let health = if node.is_connected(number) { "online" } else { "fail" };
    let offset = node.shard(shard).map_or(0, |shard| shard.applied_index().0);
    reply.map(7);
    reply.bulk(b"id");
    reply.bulk(record.name.as_bytes());
    reply.bulk(b"port");
    reply.integer(i64::from(record.port));
    for (field, value) in [("ip", record.host.as_str()), ("endpoint", record.host.as_str()), ("role", role)] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"replication-offset");
    reply.integer(i64::try_from(offset).unwrap_or(i64::MAX));
    reply.bulk(b"health");
    reply.bulk(health.as_bytes());
}

fn links(call: &mut Call<'_>, node: &ClusterNode) -> Executed {
    let state = node.state();
    let name_of = |number: NodeId| state.as_ref().and_then(|state| Some(state.nodes.get(&number)?.name.clone()));
    let now = clock::now().0;
    let links: Vec<_> = node
        .bus
        .peers()
        .into_iter()
        .filter_map(|peer| Some((peer.connected_for?, name_of(peer.node?)?, peer)))
        .collect();
    let mut reply = call.reply();
    reply.array(links.len());
    for (connected_for, name, peer) in links {
        let age = i64::try_from(connected_for.as_millis()).unwrap_or(i64::MAX);
        reply.map(7);
        for (field, value) in [
            ("direction", if peer.is_inbound { "from" } else { "to" }),
            ("node", name.as_str()),
            ("class", peer.class.name()),
            ("events", "rw"),
        ] {
            reply.bulk(field.as_bytes());
            reply.bulk(value.as_bytes());
        }
        reply.bulk(b"create-time");
        reply.integer(now - age);
        reply.bulk(b"send-buffer-allocated");
        reply.integer(i64::try_from(peer.queued_bytes).unwrap_or(i64::MAX));
        reply.bulk(b"send-buffer-used");
        reply.integer(i64::try_from(peer.queued_bytes).unwrap_or(i64::MAX));
    }
    DONE
}

/// `CLUSTER FAILOVER [FORCE | TAKEOVER]`: this node takes the leadership of all shards it has a replica of. With
/// TAKEOVER its replicas also vote again that may have lost entries in a crash of the machine.
fn failover(call: &mut Call<'_>, node: Arc<ClusterNode>) -> Executed {
    let takeover = match call.args.get(2) {
        None => false,
        Some(_) if call.args.len() > 3 => return Err(SYNTAX),
        Some(_) if call.is_word(2, "FORCE") => false,
        Some(_) if call.is_word(2, "TAKEOVER") => true,
        Some(_) => return Err(SYNTAX),
    };
    let (server, protocol) = (Arc::clone(call.server), call.session.protocol);
    let shards: Vec<Arc<Shard>> = node.shards.read().values().cloned().collect();
    Ok(Some(Box::pin(async move {
        if takeover {
            if let Some(metadata) = node.metadata()
                && let Err(error) = metadata.group().trust_log().await
            {
                return late_error(&server, protocol, &format!("ERR {error}"));
            }
            for shard in &shards {
                if let Err(error) = shard.trust_log().await {
                    return late_error(&server, protocol, &format!("ERR {error}"));
                }
            }
        }
        let deadline = clock::instant() + FAILOVER_PATIENCE;
        for shard in shards {
            while !shard.is_leader() {
                if clock::instant() >= deadline {
                    return late_error(&server, protocol, "ERR not every shard could be taken over in time");
                }
                if let Some(leader) = shard.leader() {
                    let question =
                        crate::server::cluster::ask::Question::Transfer { shard: shard.id().0, to: node.number.0 };
                    if let Err(error) = node.ask(leader, &question).await {
                        tracing::debug!(%error, shard = shard.id().0, "a leader did not hand over");
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        super::late_ok()
    })))
}

/// `CLUSTER STATUS [JSON]`
fn show_status(call: &mut Call<'_>, node: Arc<ClusterNode>) -> Executed {
    let json = match call.args.len() {
        2 => false,
        3 if call.is_word(2, "JSON") => true,
        _ => return Err(SYNTAX),
    };
    let protocol = call.session.protocol;
    let routing = call.server.settings.word(Setting::ClusterRouting).to_owned();
    Ok(Some(Box::pin(async move {
        let gathered = status::gather(&node, &routing).await;
        let text = if json { gathered.json() } else { gathered.text() };
        let mut out = Vec::new();
        Reply::new(&mut out, protocol).verbatim("txt", text.as_bytes());
        out
    })))
}
