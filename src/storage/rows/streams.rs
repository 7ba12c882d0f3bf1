//! Streams as rows.

use super::RowEngine;
use super::format::{Meta, Shape, collection_body};
use super::keys::Known;
use super::stream::{RowStream, RowStreamEdit, State};
use crate::storage::streams::{EditStream, StreamEngine, StreamObject, StreamView};
use crate::storage::{Address, StorageError, StorageResult};
use crate::types::UnixMs;

/// Bytes of version and number of elements, before what a stream keeps in the row of its key.
const COLLECTION_BYTES: usize = 16;

/// Version and state of a stream, given the row of its key.
fn state_of(meta: &Meta<'_>) -> StorageResult<(u64, State)> {
    if meta.shape != Shape::Stream {
        return Err(StorageError::WrongType);
    }
    let (version, _) = meta.collection()?;
    Ok((version, State::decode(&meta.body[COLLECTION_BYTES..])?))
}

impl RowEngine {
    fn replace_stream(
        &mut self,
        at: Address<'_>,
        old: Option<Known>,
        (version, state): (u64, &State),
        expires_at: Option<UnixMs>,
    ) -> StorageResult<()> {
        let mut body = collection_body(version, state.elements()).to_vec();
        state.encode(&mut body);
        let meta = Meta { expires_at, ..Meta::new(Shape::Stream, at.key, &body) };
        self.replace(at, old, Some(&meta))
    }
}

impl StreamEngine for RowEngine {
    fn stream(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<Box<dyn StreamView + '_>>> {
        let reads = self.reads();
        let found = self.read_live(&reads, at, now, state_of)?;
        Ok(found.map(|(version, state)| Box::new(RowStream::new(reads, version, state)) as Box<dyn StreamView>))
    }

    fn edit_stream(
        &mut self,
        at: Address<'_>,
        now: UnixMs,
        create: bool,
        edit: &mut EditStream<'_>,
    ) -> StorageResult<bool> {
        let found = self.read_key(&self.reads(), at, |meta| {
            let known = Known::of(meta)?;
            Ok((known, if known.is_live(now) { Some(state_of(meta)?) } else { None }))
        })?;
        let old = found.map(|(known, _)| known);
        let live = found.and_then(|(known, state)| Some((known.expires_at, state?)));
        let (expires_at, (version, state)) = match live {
            Some(live) => live,
            None if create => (None, (self.new_version(), State::default())),
            None => return Ok(false),
        };
        let mut stream = RowStreamEdit::new(self, version, state);
        if edit(&mut stream)? {
            let state = stream.finish()?;
            self.replace_stream(at, old, (version, &state), expires_at)?;
        }
        Ok(true)
    }

    fn put_stream(&mut self, at: Address<'_>, object: &StreamObject, expires_at: Option<UnixMs>) -> StorageResult<()> {
        let old = self.known(at)?;
        let version = self.new_version();
        let mut stream = RowStreamEdit::new(self, version, State::default());
        stream.fill(object)?;
        let state = stream.finish()?;
        self.replace_stream(at, old, (version, &state), expires_at)
    }
}
