//! The groups of this node, as other nodes reach them: raft's services on the bus.

use std::collections::HashMap;
use std::fmt::Display;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use openraft::Raft;
use parking_lot::RwLock;

use super::blocking::blocking;
use super::bus::{Answer, Bus, Handler, Incoming, services};
use super::lease::Gate;
use super::reads::ReadIndex;
use super::receive::Receiver;
use super::state_machine::Adapter;
use super::types::TypeConfig;
use super::votes::{Progress, Votes};
use super::wire;
use crate::types::{NodeId, ShardId};

/// One replica, as the bus's services and the group's own tasks see it.
pub(crate) struct Member {
    pub(super) id: ShardId,
    pub(super) node: NodeId,
    pub(super) dir: PathBuf,
    pub(super) bus: Arc<Bus>,
    pub(super) raft: Raft<TypeConfig, Adapter>,
    pub(super) gate: Arc<Gate>,
    pub(super) votes: Votes,
    pub(super) reads: ReadIndex,
    pub(super) receiver: Arc<tokio::sync::Mutex<Receiver>>,
}

impl Member {
    /// Puts up with elections again as soon as nothing speaks against it.
    pub(super) fn allow_elections(&self) {
        if self.votes.refusal().is_none() {
            self.raft.runtime_config().elect(true);
        }
    }

    /// The log may be missing entries no more.
    pub(super) async fn trust(self: &Arc<Self>) -> std::io::Result<()> {
        let member = Arc::clone(self);
        blocking(move || member.votes.trust()).await??;
        self.allow_elections();
        Ok(())
    }

    /// There is nobody else, so nothing speaks against it.
    pub(super) async fn only_voter_trusts_itself(self: &Arc<Self>) -> std::io::Result<()> {
        self.trust().await?;
        self.raft.runtime_config().elect(true);
        Ok(())
    }

    async fn append(self: Arc<Self>, incoming: Incoming) -> Answer {
        let request = wire::read_append(&incoming.payload).map_err(text)?;
        let progress = self.votes.is_untrusted().then(|| Progress::of(&request));
        let answer = self.raft.append_entries(request).await.map_err(text)?;
        if progress.is_some_and(|progress| progress.is_complete(&answer)) {
            match self.trust().await {
                Ok(()) => tracing::info!(group = self.id.0, "this voter has caught up with its leader and votes again"),
                Err(error) => tracing::error!(group = self.id.0, %error, "the mark of a voter that lost entries stays"),
            }
        }
        Ok(wire::append_answer(&answer).into())
    }

    async fn vote(self: Arc<Self>, incoming: Incoming) -> Answer {
        let request = wire::read_vote(&incoming.payload).map_err(text)?;
        if let Some(why) = self.votes.refusal() {
            return Err(why.to_owned());
        }
        let answer = self.raft.vote(request).await.map_err(text)?;
        Ok(wire::vote_answer(&answer).into())
    }

    async fn pre_vote(self: Arc<Self>, incoming: Incoming) -> Answer {
        let request = wire::read_vote(&incoming.payload).map_err(text)?;
        if let Some(why) = self.votes.refusal() {
            return Err(why.to_owned());
        }
        let answer = self.raft.pre_vote(request).await.map_err(text)?;
        Ok(wire::vote_answer(&answer).into())
    }

    async fn transfer_leader(self: Arc<Self>, incoming: Incoming) -> Answer {
        let request = wire::read_transfer(&incoming.payload).map_err(text)?;
        // It would stand for election at once.
        if *request.to_node_id() == self.node.0
            && let Some(why) = self.votes.refusal()
        {
            return Err(why.to_owned());
        }
        self.raft.handle_transfer_leader(request).await.map_err(text)?.map_err(text)?;
        Ok(Default::default())
    }

    async fn read_index(self: Arc<Self>, _incoming: Incoming) -> Answer {
        let index = self.leader_read_index().await.map_err(text)?;
        Ok(wire::read_index(index.0).into())
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// The groups of one node, by id.
#[derive(Default)]
pub(crate) struct Registry {
    /// Weak: a group that is dropped is gone.
    members: RwLock<HashMap<u32, Weak<Member>>>,
}

impl Registry {
    /// The registry of a node; the first use registers raft's services.
    pub(super) fn of(bus: &Bus) -> Arc<Self> {
        let registry = bus.raft.get_or_init(|| {
            let registry = Arc::new(Self::default());
            bus.serve(services::APPEND, registry.handler(Member::append));
            bus.serve_gathering(services::HEARTBEAT, registry.handler(Member::append));
            bus.serve(services::VOTE, registry.handler(Member::vote));
            bus.serve(services::PRE_VOTE, registry.handler(Member::pre_vote));
            bus.serve(services::TRANSFER_LEADER, registry.handler(Member::transfer_leader));
            bus.serve(services::SNAPSHOT, registry.handler(Member::receive_snapshot));
            bus.serve(services::READ_INDEX, registry.handler(Member::read_index));
            registry
        });
        Arc::clone(registry)
    }

    fn handler<F>(self: &Arc<Self>, method: fn(Arc<Member>, Incoming) -> F) -> Handler
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let registry = Arc::downgrade(self);
        Arc::new(move |incoming| {
            let member = registry.upgrade().and_then(|registry| registry.member(incoming.group));
            match member {
                Some(member) => Box::pin(method(member, incoming)),
                None => Box::pin(async move { Err(format!("group {} is not here", incoming.group)) }),
            }
        })
    }

    pub(super) fn member(&self, group: u32) -> Option<Arc<Member>> {
        self.members.read().get(&group).and_then(Weak::upgrade)
    }

    /// A group of a number takes the place of one before it.
    pub(super) fn add(&self, member: &Arc<Member>) {
        self.members.write().insert(member.id.0, Arc::downgrade(member));
    }

    pub(super) fn remove(&self, member: &Arc<Member>) {
        let mut members = self.members.write();
        if members.get(&member.id.0).is_some_and(|other| other.as_ptr() == Arc::as_ptr(member)) {
            members.remove(&member.id.0);
        }
    }
}
