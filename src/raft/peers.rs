//! The groups of this node, as other nodes reach them.

/// The groups of one node, by id.
#[derive(Default)]
pub(crate) struct Registry {}
