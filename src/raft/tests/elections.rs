//! Electing, replicating, losing leaders, partitions, catching up.

use super::*;
use crate::limits::LOG_TAIL_KEPT_ENTRIES;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_is_elected_and_what_it_is_given_reaches_all() {
    let cluster = Cluster::three().await;
    let leader = cluster.leader().await;
    for number in 0..100 {
        propose(cluster.group(leader), number).await.expect("applied");
    }
    cluster.agree_on(&(0..100).collect::<Vec<_>>()).await;
    for follower in cluster.followers(leader) {
        let refused = propose(cluster.group(follower), 1000).await;
        assert_eq!(refused, Err(ProposeError::NotLeader { leader: Some(NodeId(leader)) }));
        assert!(!cluster.group(follower).read_gate());
        assert_eq!(cluster.group(follower).wait_leader().await.expect("runs"), NodeId(leader));
        let now = *cluster.group(follower).leadership().borrow();
        assert_eq!((now.leader, now.role, now.lease), (Some(NodeId(leader)), Role::Follower, false));
    }
    let status = cluster.group(leader).status();
    assert_eq!(status.voters, (1..=3).map(NodeId).collect());
    eventually("the leader knows that all have everything", || {
        let status = cluster.group(leader).status();
        status.matched.len() == 2 && status.matched.values().all(|matched| *matched == status.last_log_index)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_leads_when_the_leader_is_gone_and_it_catches_up_when_it_returns() {
    let mut cluster = Cluster::three().await;
    let first = cluster.leader().await;
    propose(cluster.group(first), 1).await.expect("applied");
    cluster.agree_on(&[1]).await;
    let begun = Instant::now();
    cluster.stop(first).await;
    let second = cluster.leader().await;
    assert_ne!(second, first);
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(300), "a lease was broken: {took:?}");
    for number in 2..50 {
        propose(cluster.group(second), number).await.expect("applied");
    }
    cluster.open(first, USUAL).await;
    cluster.agree_on(&(1..50).collect::<Vec<_>>()).await;
    assert_eq!(cluster.nodes[&first].machine.seen.lock().restored, None, "the log was enough");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_far_behind_is_sent_a_snapshot() {
    let mut cluster = Cluster::three().await;
    let leader = cluster.leader().await;
    let behind = cluster.followers(leader)[0];
    propose(cluster.group(leader), 0).await.expect("applied");
    cluster.stop(behind).await;
    let last = LOG_TAIL_KEPT_ENTRIES + 400;
    let mut outcomes = Vec::new();
    for number in 1..=last {
        outcomes.push(propose_later(cluster.group(leader), number).await);
    }
    for outcome in outcomes {
        outcome.await.expect("an outcome").expect("applied");
    }
    cluster.group(leader).snapshot().await.expect("a snapshot");
    eventually("the log is purged", || cluster.group(leader).status().purged_index > Some(100)).await;
    cluster.nodes[&leader].bus.set_snapshot_rate(4_000_000);
    cluster.open(behind, USUAL).await;
    // Interrupted on the way, it goes on.
    tokio::time::sleep(Duration::from_millis(150)).await;
    cluster.between(leader, behind, Wire::Cut);
    tokio::time::sleep(Duration::from_millis(50)).await;
    cluster.between(leader, behind, Wire::Open);
    cluster.agree_on(&(0..=last).collect::<Vec<_>>()).await;
    let restored = cluster.nodes[&behind].machine.seen.lock().restored;
    assert!(restored.is_some_and(|index| index > last), "{restored:?}");
    // What follows comes by the log again, and a restart finds the snapshot.
    propose(cluster.group(cluster.leader().await), last + 1).await.expect("applied");
    cluster.agree_on(&(0..=last + 1).collect::<Vec<_>>()).await;
    cluster.stop(behind).await;
    cluster.open(behind, USUAL).await;
    cluster.agree_on(&(0..=last + 1).collect::<Vec<_>>()).await;
}

/// Watches that no two nodes may read at the same time, until dropped.
struct OneGate(tokio::task::JoinHandle<u64>);

impl OneGate {
    fn watch(cluster: &Cluster) -> (Self, watch::Sender<bool>) {
        let groups: Vec<_> = cluster.nodes.values().map(|node| Arc::clone(&node.group)).collect();
        let (stop, stopped) = watch::channel(false);
        let watching = tokio::task::spawn_blocking(move || {
            let mut looks = 0;
            // Also when the test has failed and the sender is gone, or the runtime would wait for this for ever.
            while !*stopped.borrow() && stopped.has_changed().is_ok() {
                // Looked at twice: a gate may shut between two looks at different nodes.
                let first: Vec<bool> = groups.iter().map(|group| group.read_gate()).collect();
                let second = groups.iter().zip(first).filter(|(group, first)| *first && group.read_gate()).count();
                assert!(second <= 1, "two leaders may read");
                looks += 1;
                std::thread::sleep(Duration::from_micros(200));
            }
            looks
        });
        (Self(watching), stop)
    }
}

async fn partitioned(wire: Wire) {
    let cluster = Cluster::three().await;
    let old = cluster.leader().await;
    propose(cluster.group(old), 1).await.expect("applied");
    let (gates, stop) = OneGate::watch(&cluster);
    cluster.around(old, wire);
    // The proxies need a moment, and the leader longer than that to miss its followers.
    tokio::time::sleep(Duration::from_millis(50)).await;
    // Queued before it knows that it is alone; nobody hears of it.
    let lost = propose_later(cluster.group(old), 666).await;
    let new = cluster.leader_other_than(old).await;
    assert!(!cluster.group(old).read_gate());
    propose(cluster.group(new), 2).await.expect("applied");
    // It still takes itself for the leader, but knows that it cannot be sure.
    assert!(matches!(propose(cluster.group(old), 667).await, Err(ProposeError::NotLeader { .. })));
    cluster.around(old, Wire::Open);
    cluster.agree_on(&[1, 2]).await;
    assert_eq!(lost.await.expect("an outcome"), Err(ProposeError::Unknown));
    propose(cluster.group(cluster.leader().await), 3).await.expect("applied");
    cluster.agree_on(&[1, 2, 3]).await;
    stop.send_replace(true);
    assert!(gates.0.await.expect("never two") > 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_stops_reading_before_another_begins() {
    partitioned(Wire::Cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_nobody_hears_stops_reading_before_another_begins() {
    partitioned(Wire::Silent).await;
}

async fn term_after_a_follower_was_cut_off(pre_vote: bool) -> (u64, u64, u64) {
    let cluster = Cluster::of_voters(3, How { pre_vote, ..USUAL }).await;
    let leader = cluster.leader().await;
    let before = cluster.group(leader).status().term;
    let cut = cluster.followers(leader)[0];
    cluster.around(cut, Wire::Cut);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let alone = cluster.group(cut).status().term;
    cluster.around(cut, Wire::Open);
    propose(cluster.group(cluster.leader_other_than(cut).await), 1).await.ok();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let healed = cluster.group(cluster.leader().await).status().term;
    (before, alone, healed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_pre_vote_a_node_that_was_cut_off_does_not_raise_the_term() {
    let (before, alone, healed) = term_after_a_follower_was_cut_off(true).await;
    assert_eq!((alone, healed), (before, before));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_pre_vote_it_does() {
    let (before, alone, _) = term_after_a_follower_was_cut_off(false).await;
    assert!(alone > before, "{alone} after {before}");
}
