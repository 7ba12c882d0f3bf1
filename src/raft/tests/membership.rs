//! Learners, voters, handing over.

use std::collections::BTreeSet;

use super::*;

fn nodes(ids: &[u64]) -> BTreeSet<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_grows_from_one_node_to_three_and_loses_its_first() {
    let mut cluster = Cluster::empty(3, USUAL).await;
    let alone = BTreeMap::from([(NodeId(1), "node-1:1".to_owned())]);
    cluster.group(1).initialize(&alone).await.expect("initializes");
    assert_eq!(cluster.leader().await, 1);
    assert_eq!(cluster.group(1).initialize(&alone).await, Err(MembershipError::Initialized));
    for number in 0..10 {
        propose(cluster.group(1), number).await.expect("applied");
    }
    for node in [2, 3] {
        cluster.group(1).add_learner(NodeId(node), &format!("node-{node}:1"), LONG).await.expect("added");
        assert!(cluster.nodes[&node].machine.numbers().len() + 64 >= 10);
    }
    assert_eq!(cluster.group(1).status().learners, nodes(&[2, 3]));
    cluster.group(1).change_voters(&nodes(&[1, 2, 3]), true).await.expect("changed");
    let status = cluster.group(1).status();
    assert_eq!((status.voters, status.learners), (nodes(&[1, 2, 3]), nodes(&[])));
    propose(cluster.group(1), 10).await.expect("applied");
    cluster.agree_on(&(0..=10).collect::<Vec<_>>()).await;
    // A leader does not remove itself; it hands over first.
    assert_eq!(cluster.group(1).remove(NodeId(1)).await, Err(MembershipError::Leads(1)));
    cluster.group(1).transfer_leader(NodeId(3)).await.expect("handed over");
    assert_eq!(cluster.leader().await, 3);
    let refused = cluster.group(1).change_voters(&nodes(&[2, 3]), false).await;
    assert_eq!(refused, Err(MembershipError::NotLeader { leader: Some(NodeId(3)) }));
    cluster.group(3).remove(NodeId(1)).await.expect("removed");
    cluster.group(3).remove(NodeId(1)).await.expect("removed already");
    assert_eq!(cluster.group(3).status().voters, nodes(&[2, 3]));
    cluster.stop(1).await;
    propose(cluster.group(3), 11).await.expect("applied");
    cluster.agree_on(&(0..=11).collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_fast_and_the_lease_given_up_first() {
    let cluster = Cluster::three().await;
    let mut leader = cluster.leader().await;
    for round in 0..4 {
        let to = cluster.followers(leader)[round % 2];
        let begun = Instant::now();
        let handing_over = tokio::spawn({
            let group = Arc::clone(cluster.group(leader));
            async move { group.transfer_leader(NodeId(to)).await }
        });
        let (old, new) = (cluster.group(leader), cluster.group(to));
        while !new.read_gate() {
            assert!(begun.elapsed() < LONG);
            tokio::task::yield_now().await;
        }
        assert!(!old.read_gate());
        handing_over.await.expect("runs").expect("handed over");
        propose(new, round as u64).await.expect("applied");
        leader = to;
    }
    cluster.agree_on(&[0, 1, 2, 3]).await;
    let stranger = cluster.group(leader).transfer_leader(NodeId(9)).await;
    assert!(matches!(stranger, Err(MembershipError::Invalid(_))), "{stranger:?}");
    assert!(cluster.group(leader).read_gate(), "nothing was given up for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_group_recovers_when_leadership_is_handed_to_nobody() {
    let cluster = Cluster::three().await;
    let leader = cluster.leader().await;
    let gone = cluster.followers(leader)[0];
    cluster.around(gone, Wire::Silent);
    let outcome = cluster.group(leader).transfer_leader(NodeId(gone)).await;
    assert!(outcome.is_err(), "{outcome:?}");
    cluster.around(gone, Wire::Open);
    propose(cluster.group(cluster.leader().await), 1).await.expect("applied");
    cluster.agree_on(&[1]).await;
}
