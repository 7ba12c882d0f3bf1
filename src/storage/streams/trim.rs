//! Removing entries at the front of a stream.

use super::{NodeMark, StreamHead};
use crate::storage::{EncodingSettings, StorageResult};
use crate::types::StreamId;

/// Most entries that an approximate trim removes at once if nothing else is said, for nodes without a limit.
const LIMIT_DEFAULT: u64 = 10_000;
/// The same for nodes with a large limit.
const LIMIT_MAX: u64 = 1_000_000;
/// Nodes that an approximate trim removes at once if nothing else is said.
const LIMIT_NODES: u64 = 100;

/// What is to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// So many entries (`MAXLEN`).
    MaxLen(u64),
    /// Those from an id on (`MINID`).
    MinId(StreamId),
}

/// How to trim a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// What is to stay.
    pub threshold: Threshold,
    /// Remove whole nodes only (`~`).
    pub approximate: bool,
    /// Most entries that an approximate trim removes; 0 is no limit, none Redis's default.
    pub limit: Option<u64>,
}

impl Trim {
    /// Most entries to remove, or `None` for any number.
    fn limit(&self, settings: &EncodingSettings) -> Option<u64> {
        if !self.approximate {
            return None;
        }
        let limit = self.limit.unwrap_or_else(|| match settings.stream_node_max_entries as u64 {
            0 => LIMIT_DEFAULT,
            entries => entries.saturating_mul(LIMIT_NODES).min(LIMIT_MAX),
        });
        (limit > 0).then_some(limit)
    }
}

/// The steps of which trimming consists, at the front of a stream.
pub(in crate::storage) trait TrimSteps {
    /// Length and counters; the first id need not be right while a trim is under way.
    fn trimmed_head(&self) -> StreamHead;
    /// The first node.
    fn first_node(&mut self) -> StorageResult<Option<NodeMark>>;
    /// Removes the first node whole.
    fn drop_first_node(&mut self, node: &NodeMark) -> StorageResult<()>;
    /// Removes entries of the first node until the threshold is met; answers how many.
    fn trim_first_node(&mut self, node: &NodeMark, threshold: Threshold) -> StorageResult<u64>;
}

/// Trims a stream as Redis does; answers how many entries were removed. The caller finds the new first id.
pub(in crate::storage) fn run(
    stream: &mut impl TrimSteps,
    trim: &Trim,
    settings: &EncodingSettings,
) -> StorageResult<u64> {
    let limit = trim.limit(settings);
    let mut removed = 0;
    loop {
        let len = stream.trimmed_head().len;
        if matches!(trim.threshold, Threshold::MaxLen(max) if len <= max) {
            break;
        }
        let Some(node) = stream.first_node()? else { break };
        let live = u64::from(node.live);
        if limit.is_some_and(|limit| removed + live > limit) {
            break;
        }
        let whole = match trim.threshold {
            Threshold::MaxLen(max) => len - live >= max,
            Threshold::MinId(min) => node.last < min,
        };
        if whole {
            stream.drop_first_node(&node)?;
            removed += live;
            continue;
        }
        if !trim.approximate {
            removed += stream.trim_first_node(&node, trim.threshold)?;
        }
        break;
    }
    Ok(removed)
}
