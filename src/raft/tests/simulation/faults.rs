//! What goes wrong in a simulation, and when it is well again.

use std::collections::BTreeSet;
use std::time::Duration;

use turmoil::Sim;

use super::chance;
use super::node::{Order, World, name};

/// The longest that a message takes when nothing is wrong with the network.
pub(super) const USUAL_LATENCY: Duration = Duration::from_millis(4);

/// How a fault ends.
#[derive(Clone, Copy)]
enum End {
    Start(u64),
    Repair(u64, u64),
    Release(u64, u64),
    Latency,
    Loss,
}

/// The faults of one simulation.
pub(super) struct Faults {
    nodes: u64,
    next: Duration,
    ends: Vec<(Duration, End)>,
    down: BTreeSet<u64>,
    /// Pairs of nodes between which something is wrong.
    cut: BTreeSet<(u64, u64)>,
    pub(super) crashes: u64,
}

impl Faults {
    pub(super) fn new(nodes: u64) -> Self {
        // First they are to become a group.
        let next = Duration::from_millis(1500);
        Self { nodes, next, ends: Vec::new(), down: BTreeSet::new(), cut: BTreeSet::new(), crashes: 0 }
    }

    /// Ends what is due, and lets something new happen if it is time.
    pub(super) fn come_and_go(&mut self, sim: &mut Sim<'_>, world: &World) {
        let now = sim.elapsed();
        let due: Vec<End> = self.ends.iter().filter(|(at, _)| *at <= now).map(|(_, end)| *end).collect();
        self.ends.retain(|(at, _)| *at > now);
        due.into_iter().for_each(|end| self.finish(sim, end));
        if now >= self.next {
            self.next = now + Duration::from_millis(chance::between(50, 1500));
            self.begin(sim, world);
        }
    }

    /// Everything is well again.
    pub(super) fn end(&mut self, sim: &mut Sim<'_>) {
        for (_, end) in std::mem::take(&mut self.ends) {
            self.finish(sim, end);
        }
    }

    fn begin(&mut self, sim: &mut Sim<'_>, world: &World) {
        let lasts = Duration::from_millis(chance::between(100, 3000));
        let until = sim.elapsed() + lasts;
        let any = chance::between(1, self.nodes + 1);
        // Leaders have more to lose.
        let node = if chance::one_in(2) { world.leader().unwrap_or(any) } else { any };
        let other = 1 + (node - 1 + chance::between(1, self.nodes)) % self.nodes;
        match chance::between(0, 11) {
            0..=2 => self.crash(sim, world, node, until),
            3 => {
                for other in (1..=self.nodes).filter(|other| *other != node) {
                    self.cut_between(node, other, until, End::Repair, || sim.partition(name(node), name(other)));
                }
            }
            4 => {
                // The nodes fall into two parts.
                for a in 1..=self.nodes / 2 {
                    for b in self.nodes / 2 + 1..=self.nodes {
                        let (a, b) = (1 + (a + node) % self.nodes, 1 + (b + node) % self.nodes);
                        self.cut_between(a, b, until, End::Repair, || sim.partition(name(a), name(b)));
                    }
                }
            }
            5 => self.cut_between(node, other, until, End::Repair, || sim.partition(name(node), name(other))),
            6 => self.cut_between(node, other, until, End::Repair, || sim.partition_oneway(name(node), name(other))),
            7 => self.cut_between(node, other, until, End::Release, || sim.hold(name(node), name(other))),
            8 => {
                sim.set_max_message_latency(Duration::from_millis(chance::between(20, 200)));
                self.ends.push((until, End::Latency));
            }
            9 => {
                sim.set_fail_rate(0.02);
                self.ends.push((until, End::Loss));
            }
            _ if chance::one_in(2) => world.tell(node, Order::Snapshot),
            _ => world.tell(node, Order::HandOver(other)),
        }
    }

    fn crash(&mut self, sim: &mut Sim<'_>, world: &World, node: u64, until: Duration) {
        if self.down.contains(&node) {
            return;
        }
        let loses_power = chance::one_in(2) && world.can_lose_power();
        world.forget(node);
        sim.crash(name(node));
        if loses_power {
            world.lose_power(node);
        }
        self.crashes += 1;
        self.down.insert(node);
        self.ends.push((until, End::Start(node)));
    }

    fn cut_between(&mut self, a: u64, b: u64, until: Duration, end: fn(u64, u64) -> End, cut: impl FnOnce()) {
        if self.cut.insert((a.min(b), a.max(b))) {
            cut();
            self.ends.push((until, end(a, b)));
        }
    }

    fn finish(&mut self, sim: &mut Sim<'_>, end: End) {
        match end {
            End::Start(node) => {
                self.down.remove(&node);
                sim.bounce(name(node));
            }
            End::Repair(a, b) => {
                self.cut.remove(&(a.min(b), a.max(b)));
                sim.repair(name(a), name(b));
            }
            End::Release(a, b) => {
                self.cut.remove(&(a.min(b), a.max(b)));
                sim.release(name(a), name(b));
            }
            End::Latency => sim.set_max_message_latency(USUAL_LATENCY),
            End::Loss => sim.set_fail_rate(0.0),
        }
    }
}
