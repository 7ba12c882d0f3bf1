//! When a voter must keep quiet.

use super::super::bus::{Class, services};
use super::super::types::{LeaderId, LogId, Vote};
use super::super::wire;
use super::*;

/// Asks a node for its vote, as a candidate with a long log in a later term would.
async fn ask_for_vote(cluster: &Cluster, from: u64, node: u64) -> Result<bool, BusError> {
    let last = LogId { leader_id: LeaderId { term: 90, node_id: from }, index: 1_000_000 };
    let vote = Vote { leader_id: LeaderId { term: 91, node_id: from }, committed: false };
    let request = wire::vote(&wire::VoteCall::new(vote, Some(last)));
    let bus = &cluster.nodes[&from].bus;
    loop {
        let answer = bus.call(&NodeId(node).into(), Class::Raft, services::VOTE, GROUP.0, request.clone(), LONG).await;
        match answer {
            // It has just restarted.
            Err(BusError::Unreachable(_) | BusError::Disconnected) => {
                tokio::time::sleep(Duration::from_millis(1)).await
            }
            answer => return answer.map(|answer| wire::read_vote_answer(&answer).expect("sound").vote_granted),
        }
    }
}

/// A follower restarts; right after, another asks for its vote. Answers whether it was granted, and whether the
/// leader still trusted its lease when that was known.
async fn vote_after_a_restart(quiet_after_start: bool) -> (bool, bool) {
    let mut cluster = Cluster::three().await;
    let leader = cluster.leader().await;
    let (restarted, candidate) = (cluster.followers(leader)[0], cluster.followers(leader)[1]);
    assert_eq!(ask_for_vote(&cluster, candidate, restarted).await, Ok(false), "it hears its leader");
    // The leader's lease rests on this follower alone.
    cluster.between(leader, candidate, Wire::Cut);
    tokio::time::sleep(Duration::from_millis(300)).await;
    cluster.stop(restarted).await;
    cluster.proxies[&(leader, restarted)].wire.send_replace(Wire::Cut);
    cluster.open(restarted, How { quiet_after_start, ..USUAL }).await;
    let granted = ask_for_vote(&cluster, candidate, restarted).await.unwrap_or(false);
    (granted, cluster.group(leader).read_gate())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_restarts_keeps_its_word() {
    assert!(!vote_after_a_restart(true).await.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_that_rule_another_can_be_elected_while_a_lease_lasts() {
    // A slow machine may let the lease run out first; not ten times in a row.
    for _ in 0..10 {
        let (granted, lease) = vote_after_a_restart(false).await;
        assert!(granted);
        if lease {
            return;
        }
    }
    panic!("the lease never lasted until the vote");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_lost_its_log_is_given_it_again_and_votes_then() {
    let mut cluster = Cluster::three().await;
    let leader = cluster.leader().await;
    for number in 0..20 {
        propose(cluster.group(leader), number).await.expect("applied");
    }
    cluster.agree_on(&(0..20).collect::<Vec<_>>()).await;
    let (lost, other) = (cluster.followers(leader)[0], cluster.followers(leader)[1]);
    cluster.stop(lost).await;
    fs::remove_dir_all(cluster.dir.path().join(format!("node-{lost}"))).expect("removed");
    // Without the leader nobody can tell what it lacks: the two that are left elect nobody.
    cluster.around(leader, Wire::Cut);
    cluster.open(lost, How { may_have_lost: true, quiet_after_start: false, ..USUAL }).await;
    assert!(cluster.group(lost).status().untrusted);
    let refused = ask_for_vote(&cluster, other, lost).await;
    assert!(matches!(refused, Err(BusError::Refused(_))), "{refused:?}");
    tokio::time::sleep(Duration::from_millis(1800)).await;
    assert!(!cluster.group(other).read_gate() && !cluster.group(lost).read_gate());
    cluster.around(leader, Wire::Open);
    cluster.agree_on(&(0..20).collect::<Vec<_>>()).await;
    eventually("it votes again", || !cluster.group(lost).status().untrusted).await;
    propose(cluster.group(cluster.leader().await), 20).await.expect("applied");
    cluster.agree_on(&(0..=20).collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn distrust_outlives_a_restart_and_can_be_lifted_by_hand() {
    let mut cluster = Cluster::three().await;
    let leader = cluster.leader().await;
    propose(cluster.group(leader), 1).await.expect("applied");
    cluster.agree_on(&[1]).await;
    for node in 1..=3 {
        cluster.stop(node).await;
    }
    for node in 1..=3 {
        cluster.open(node, How { may_have_lost: true, ..USUAL }).await;
    }
    cluster.stop(1).await;
    cluster.open(1, USUAL).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(cluster.nodes.values().all(|node| !node.group.read_gate() && node.group.status().untrusted));
    cluster.group(1).trust_log().await.expect("trusts");
    cluster.group(2).trust_log().await.expect("trusts");
    let leader = cluster.leader().await;
    assert_ne!(leader, 3);
    propose(cluster.group(leader), 2).await.expect("applied");
    cluster.agree_on(&[1, 2]).await;
    eventually("the third has caught up", || !cluster.group(3).status().untrusted).await;
}
