//! Members or fields that a command gathers.

use hashbrown::HashTable;
use twox_hash::XxHash3_64;

/// Different members in the order in which they were added, found by hash.
#[derive(Default)]
pub(super) struct Gathered {
    /// `None` where a member was removed.
    members: Vec<Option<Vec<u8>>>,
    positions: HashTable<usize>,
}

fn hash_of(member: &[u8]) -> u64 {
    XxHash3_64::oneshot(member)
}

impl Gathered {
    /// Nothing, with room for `members` members.
    pub(super) fn with_capacity(members: usize) -> Self {
        Self { members: Vec::with_capacity(members), positions: HashTable::with_capacity(members) }
    }

    /// Number of members.
    pub(super) fn len(&self) -> usize {
        self.positions.len()
    }

    fn position(&self, hash: u64, member: &[u8]) -> Option<usize> {
        self.positions.find(hash, |&position| self.members[position].as_deref() == Some(member)).copied()
    }

    /// Whether a member was added.
    pub(super) fn contains(&self, member: &[u8]) -> bool {
        self.position(hash_of(member), member).is_some()
    }

    /// Adds a member; answers whether it is new.
    pub(super) fn add(&mut self, member: &[u8]) -> bool {
        let hash = hash_of(member);
        if self.position(hash, member).is_some() {
            return false;
        }
        let members = &self.members;
        self.positions.insert_unique(hash, members.len(), |&position| {
            hash_of(members[position].as_deref().expect("a member that is found is there"))
        });
        self.members.push(Some(member.to_vec()));
        true
    }

    /// Removes a member, if it is there.
    pub(super) fn remove(&mut self, member: &[u8]) {
        let members = &mut self.members;
        let found =
            self.positions.find_entry(hash_of(member), |&position| members[position].as_deref() == Some(member));
        if let Ok(entry) = found {
            let (position, _) = entry.remove();
            members[position] = None;
        }
    }

    /// The members in the order in which they were added.
    pub(super) fn into_members(self) -> Vec<Vec<u8>> {
        self.members.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_of_adding() {
        let mut gathered = Gathered::default();
        for number in 0..200 {
            assert!(gathered.add(number.to_string().as_bytes()));
            assert!(!gathered.add(number.to_string().as_bytes()));
        }
        for number in (0..200).filter(|number| number % 3 != 0) {
            gathered.remove(number.to_string().as_bytes());
            gathered.remove(b"nobody");
        }
        assert!(gathered.contains(b"3") && !gathered.contains(b"4"));
        assert!(gathered.add(b"4"));
        assert_eq!(gathered.len(), 68);
        let members = gathered.into_members();
        assert_eq!(members[..3], [b"0".to_vec(), b"3".to_vec(), b"6".to_vec()]);
        assert_eq!(members.last(), Some(&b"4".to_vec()));
    }
}
