//! Streams in memory.

use super::database::NewValue;
use super::dense::hash_of;
use super::record::Payload;
use super::slot_table::{Large, SlotTable};
use super::stream::{MemoryStream, MemoryView};
use super::{HashEngine, clock_of, database_mut};
use crate::storage::streams::{EditStream, StreamEngine, StreamObject, StreamView};
use crate::storage::{Address, StorageError, StorageResult};
use crate::types::UnixMs;

/// The stream that a record names, `WrongType` when it is something else.
fn stream_of<'a>(table: &'a SlotTable, payload: Payload<'_>) -> StorageResult<(u32, &'a MemoryStream)> {
    match payload {
        Payload::Large(index) => match table.large(index) {
            Large::Stream(stream) => Ok((index, stream)),
            _ => Err(StorageError::WrongType),
        },
        _ => Err(StorageError::WrongType),
    }
}

impl StreamEngine for HashEngine {
    fn stream(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<Box<dyn StreamView + '_>>> {
        let Some((table, record)) = self.looked_up_record(at, now) else { return Ok(None) };
        let (_, stream) = stream_of(table, record.payload())?;
        Ok(Some(Box::new(MemoryView(stream))))
    }

    fn edit_stream(
        &mut self,
        at: Address<'_>,
        now: UnixMs,
        create: bool,
        edit: &mut EditStream<'_>,
    ) -> StorageResult<bool> {
        let hash = hash_of(at.key);
        let position = self.live_position(at, hash, now);
        let clock = clock_of(now);
        self.clock = clock;
        let Self { databases, encoding, .. } = self;
        let Some(position) = position else {
            if !create {
                return Ok(false);
            }
            let mut stream = MemoryStream::default();
            if edit(&mut stream.edit(encoding))? {
                let value = NewValue::Large(Large::Stream(Box::new(stream)));
                database_mut(databases, at.db).put((at.slot, hash, at.key), None, None, value, clock);
            }
            return Ok(true);
        };
        let database = database_mut(databases, at.db);
        let table = database.slot(at.slot).expect("the position was found");
        let (index, _) = stream_of(table, table.table.record(position).payload())?;
        let edited = database.change_large(at.slot, position, index, clock, |large| match large {
            Large::Stream(stream) => edit(&mut stream.edit(encoding)),
            _ => unreachable!("it was a stream"),
        });
        edited.map(|_changed| true)
    }

    fn put_stream(&mut self, at: Address<'_>, object: &StreamObject, expires_at: Option<UnixMs>) -> StorageResult<()> {
        let hash = hash_of(at.key);
        let clock = self.clock;
        let database = database_mut(&mut self.databases, at.db);
        let position = database.find(at.slot, hash, at.key);
        let value = NewValue::Large(Large::Stream(Box::new(MemoryStream::from_object(object))));
        database.put((at.slot, hash, at.key), position, expires_at, value, clock);
        Ok(())
    }
}
