//! How a read makes sure that it misses nothing.

/// What a read waits for, and who may answer it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum ReadPolicy {
    /// The leader answers while its lease lasts, and asks a quorum otherwise.
    #[default]
    Lease = 0,
    /// The leader asks a quorum for each batch of reads.
    ReadIndex = 1,
    /// Any replica answers once it has applied what the leader had.
    Follower = 2,
    /// Any replica answers with what it has.
    Stale = 3,
}

impl ReadPolicy {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Lease, Self::ReadIndex, Self::Follower, Self::Stale];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::ReadIndex => "read-index",
            Self::Follower => "follower",
            Self::Stale => "stale",
        }
    }

    /// The policy with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.name().eq_ignore_ascii_case(name))
    }

    /// The policy with a number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether a replica that does not lead may answer.
    pub fn any_replica(self) -> bool {
        matches!(self, Self::Follower | Self::Stale)
    }

    /// The policy that keeps the promises of both. Three of the four promise the same to a read; between those it is
    /// the one that trusts least: not another replica, then not the clocks.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        let trust = |policy| match policy {
            Self::ReadIndex => 0,
            Self::Lease => 1,
            Self::Follower => 2,
            Self::Stale => 3,
        };
        if trust(other) < trust(self) { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_round_trip() {
        for policy in ReadPolicy::ALL {
            assert_eq!(ReadPolicy::from_name(policy.name()), Some(policy));
            assert_eq!(ReadPolicy::from_number(policy as u8), Some(policy));
        }
        assert_eq!(ReadPolicy::from_name("READ-INDEX"), Some(ReadPolicy::ReadIndex));
        assert_eq!((ReadPolicy::from_name("any"), ReadPolicy::from_number(4)), (None, None));
    }

    #[test]
    fn the_stricter_of_two_does_not_depend_on_their_order() {
        for one in ReadPolicy::ALL {
            assert_eq!(one.stricter(one), one);
            for other in ReadPolicy::ALL {
                assert_eq!(one.stricter(other), other.stricter(one));
                assert!(!one.stricter(other).any_replica() || (one.any_replica() && other.any_replica()));
            }
            assert_eq!(one.stricter(ReadPolicy::Stale), one);
        }
    }
}
