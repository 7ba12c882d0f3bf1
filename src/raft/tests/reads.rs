//! Reads without the lease.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_replica_can_read_what_was_just_written() {
    let cluster = Cluster::three().await;
    let leader = cluster.leader().await;
    for number in 0..20 {
        let written = propose(cluster.group(leader), number).await.expect("applied");
        for node in 1..=3 {
            let index = cluster.group(node).follower_read_index().await.expect("answered");
            assert!(index >= written);
            assert_eq!(cluster.nodes[&node].machine.numbers().last(), Some(&number));
        }
    }
    let index = cluster.group(leader).read_index().await.expect("confirmed");
    assert_eq!(Some(index), cluster.group(leader).applied());
    let follower = cluster.followers(leader)[0];
    let refused = cluster.group(follower).read_index().await;
    assert_eq!(refused, Err(ReadError::NotLeader { leader: Some(NodeId(leader)) }));
    cluster.group(follower).wait_applied(index).await.expect("applied");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_reads_at_a_time_share_rounds() {
    let cluster = Cluster::three().await;
    let leader = cluster.leader().await;
    let follower = cluster.followers(leader)[0];
    propose(cluster.group(leader), 1).await.expect("applied");
    let sent =
        |cluster: &Cluster| -> u64 { cluster.nodes[&follower].bus.peers().iter().map(|peer| peer.bytes_out).sum() };
    let before = sent(&cluster);
    let reads: Vec<_> = (0..1000)
        .map(|_| {
            let group = Arc::clone(cluster.group(follower));
            tokio::spawn(async move { group.follower_read_index().await })
        })
        .collect();
    for read in reads {
        read.await.expect("runs").expect("answered");
    }
    assert!(sent(&cluster) - before < 1000 * 20, "a question for each read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_cut_off_reads_nothing() {
    let cluster = Cluster::three().await;
    let old = cluster.leader().await;
    let follower = cluster.followers(old)[0];
    cluster.around(old, Wire::Cut);
    // What was on its way to the wires when they were cut may still have got through.
    let refused = async {
        loop {
            if let Err(error) = cluster.group(old).read_index().await {
                return error;
            }
        }
    };
    assert_eq!(tokio::time::timeout(LONG, refused).await.expect("refused"), ReadError::NoQuorum);
    let new = cluster.leader_other_than(old).await;
    eventually("the follower knows", || cluster.group(follower).status().leader == Some(NodeId(new))).await;
    cluster.group(follower).follower_read_index().await.expect("answered");
    cluster.around(old, Wire::Open);
    eventually("it follows", || cluster.group(old).status().leader == Some(NodeId(new))).await;
    let asking = async { while cluster.group(old).follower_read_index().await.is_err() {} };
    tokio::time::timeout(LONG, asking).await.expect("answered");
    cluster.group(old).shutdown().await;
    eventually("it is known to have stopped", || cluster.group(old).status().state == Role::Stopped).await;
    assert_eq!(cluster.group(old).follower_read_index().await, Err(ReadError::Stopped));
    assert_eq!(cluster.group(old).wait_applied(LogIndex(1 << 40)).await, Err(ReadError::Stopped));
}

/// `cargo test --release --lib -- --ignored confirming`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
async fn confirming_leadership_waits_for_no_other_heartbeats() {
    let cluster = Cluster::three().await;
    let leader = cluster.leader().await;
    let begun = Instant::now();
    for _ in 0..100 {
        cluster.group(leader).read_index().await.expect("confirmed");
    }
    // Gathered, each would take two waits of two milliseconds.
    let each = begun.elapsed() / 100;
    assert!(each < Duration::from_millis(4), "{each:?}");
}

/// What a node costs that has nothing to do: `cargo test --release --lib -- --ignored --nocapture idle`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
async fn sixteen_idle_groups_on_three_nodes() {
    let mut cluster = Cluster::three().await;
    let mut groups = Vec::new();
    for id in 100..116 {
        for (node, it) in &cluster.nodes {
            let dir = cluster.dir.path().join(format!("more-{node}-{id}"));
            let cluster = Some(ClusterOptions::new(Arc::clone(&it.bus)));
            let options = GroupOptions { id: ShardId(id), node: NodeId(*node), dir, log: Arc::clone(&it.log), cluster };
            groups.push(Group::open(options, Machine::default()).await.expect("the group opens"));
        }
        let members = (1..=3).map(|node| (NodeId(node), format!("node-{node}:1"))).collect();
        groups[groups.len() - 3].initialize(&members).await.expect("initializes");
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let usage = || {
        let text = fs::read_to_string("/proc/self/stat").expect("Linux");
        let fields: Vec<&str> = text.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        fields[11].parse::<u64>().expect("ticks") + fields[12].parse::<u64>().expect("ticks")
    };
    let before = usage();
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let ticks = usage() - before;
    let percent = ticks as f64 / begun.elapsed().as_secs_f64() / 3.0;
    println!("17 groups, 3 nodes in this process, {percent:.2} % of a core for each node, proxies included");
    for group in &groups {
        group.shutdown().await;
    }
    for node in 1..=3 {
        cluster.stop(node).await;
    }
}
