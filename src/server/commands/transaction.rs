//! The commands of transactions where they are executed like any other: in a transaction.

use super::{Call, Executed};

/// `UNWATCH`: what was watched is forgotten with EXEC.
pub(super) fn unwatch(call: &mut Call<'_>) -> Executed {
    call.ok()
}
