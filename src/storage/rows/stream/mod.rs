//! One stream as rows.

mod edit;
mod format;
mod groups;
mod view;

pub(super) use edit::RowStreamEdit;
pub(super) use format::{State, group_prefix};
pub(super) use view::RowStream;
