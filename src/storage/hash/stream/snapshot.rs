//! A stream in a snapshot of the hash engine.
//!
//! ```text
//! stream := last: id | max deleted: id | added: varint | count: varint | node* | count: varint | group*
//! node   := master: id | last: id | total: varint | weight: varint | its bytes: run
//! group  := as in crate::storage::streams::object
//! ```

use super::MemoryStream;
use super::node::Node;
use crate::codec::{Reader, push_varint};
use crate::storage::StorageResult;
use crate::storage::object_codec::corrupt;
use crate::storage::streams::{StreamGroup, StreamObject};
use crate::types::StreamId;

/// Fewest bytes of a node, and of a group.
const ITEM_MIN_BYTES: usize = 19;

impl MemoryStream {
    /// Writes the stream.
    pub(in crate::storage::hash) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head.last.to_bytes());
        out.extend_from_slice(&self.head.max_deleted.to_bytes());
        push_varint(out, self.head.added);
        push_varint(out, self.nodes.len() as u64);
        self.nodes.iter().for_each(|(master, node)| node.write(*master, out));
        push_varint(out, self.groups.len() as u64);
        for (name, id, group) in self.groups.by_name() {
            let group = StreamGroup::of(self, name.to_vec(), id, &group.head());
            group.expect("memory can be read").encode(out);
        }
    }

    /// Reads what [`write`](Self::write) wrote.
    pub(in crate::storage::hash) fn read(reader: &mut Reader<'_>) -> StorageResult<Self> {
        let last_id = StreamId::from_bytes(reader.array()?);
        let max_deleted_id = StreamId::from_bytes(reader.array()?);
        let entries_added = reader.varint()?;
        let count = read_count(reader)?;
        let mut nodes = Vec::with_capacity(count);
        let mut before: Option<StreamId> = None;
        for _ in 0..count {
            let (master, last, node) = Node::read(reader)?;
            if before.is_some_and(|before| before >= master) || last > last_id {
                return Err(corrupt(reader, "a node of a stream that is out of order"));
            }
            before = Some(last);
            nodes.push((master, node));
        }
        let count = read_count(reader)?;
        let mut groups: Vec<StreamGroup> = Vec::with_capacity(count);
        for _ in 0..count {
            let group = StreamGroup::decode(reader)?;
            if groups.last().is_some_and(|before| before.name >= group.name) {
                return Err(corrupt(reader, "groups that are out of order"));
            }
            groups.push(group);
        }
        let object = StreamObject { nodes: Vec::new(), last_id, max_deleted_id, entries_added, groups };
        let mut stream = Self::from_object(&object);
        for (master, node) in nodes {
            stream.head.len += u64::from(node.live());
            stream.add_node(master, node);
        }
        stream.find_first();
        Ok(stream)
    }
}

fn read_count(reader: &mut Reader<'_>) -> StorageResult<usize> {
    let count = reader.varint()?;
    if count > (reader.remaining() / ITEM_MIN_BYTES) as u64 {
        return Err(corrupt(reader, format_args!("{count} items")));
    }
    Ok(count as usize)
}
