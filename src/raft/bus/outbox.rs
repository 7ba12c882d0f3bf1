//! The bounded queue of frames that wait for a connection's writer.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::frame::OutFrame;
use crate::limits::{BUS_GATHER_US, BUS_QUEUE_MAX_BYTES};

/// Slices given to one vectored write; the operating system takes 1024 at most.
const SLICES_MAX: usize = 512;

/// When a frame has to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Now.
    Now,
    /// With the next frame that is urgent, and within a couple of milliseconds: heartbeats of many
    /// groups and their answers leave together, in one write.
    Gather,
}

#[derive(Default)]
struct Inner {
    frames: VecDeque<OutFrame>,
    bytes: usize,
    urgent: bool,
    closed: bool,
    /// Wakers of those who wait for room.
    waiting: Vec<Waker>,
}

/// Frames on their way out, in order.
#[derive(Default)]
pub(super) struct Outbox {
    inner: Mutex<Inner>,
    work: Notify,
}

impl Outbox {
    /// Queues a frame, above the bound too: who can wait asks for room first. Answers whether
    /// the outbox takes frames.
    pub(super) fn push(&self, frame: OutFrame, urgency: Urgency) -> bool {
        let mut inner = self.inner.lock();
        if inner.closed {
            return false;
        }
        inner.bytes += frame.len();
        let is_first = inner.frames.is_empty();
        inner.frames.push_back(frame);
        let became_urgent = urgency == Urgency::Now && !inner.urgent;
        inner.urgent |= became_urgent;
        drop(inner);
        if is_first || became_urgent {
            self.work.notify_one();
        }
        true
    }

    /// Ready when less than the bound is queued, or nothing ever will be again.
    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.inner.lock();
        if inner.bytes < BUS_QUEUE_MAX_BYTES || inner.closed {
            return Poll::Ready(());
        }
        if !inner.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            inner.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Bytes that wait.
    pub(super) fn queued_bytes(&self) -> usize {
        self.inner.lock().bytes
    }

    /// Waits for frames and takes all there are. `None` when closed.
    pub(super) async fn take(&self) -> Option<VecDeque<OutFrame>> {
        let mut gathered_at = None;
        loop {
            let is_empty = {
                let mut inner = self.inner.lock();
                if inner.closed {
                    return None;
                }
                let is_due = gathered_at.is_some_and(|at| at <= Instant::now());
                if inner.urgent || (is_due && !inner.frames.is_empty()) {
                    return Some(inner.take_all());
                }
                inner.frames.is_empty()
            };
            if is_empty {
                gathered_at = None;
                self.work.notified().await;
            } else {
                let at = *gathered_at.get_or_insert_with(|| Instant::now() + Duration::from_micros(BUS_GATHER_US));
                // Whether it is time or something came, the queue is looked at.
                drop(tokio::time::timeout_at(at, self.work.notified()).await);
            }
        }
    }

    /// Drops what is queued.
    pub(super) fn clear(&self) {
        drop(self.inner.lock().take_all());
    }

    /// Drops what is queued and takes nothing any more.
    pub(super) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        drop(inner.take_all());
        drop(inner);
        self.work.notify_one();
    }
}

impl Inner {
    fn take_all(&mut self) -> VecDeque<OutFrame> {
        self.bytes = 0;
        self.urgent = false;
        self.waiting.drain(..).for_each(Waker::wake);
        std::mem::take(&mut self.frames)
    }
}

/// Writes frames with as few calls as the operating system allows.
pub(super) async fn write_frames(
    stream: &mut (impl AsyncWrite + Unpin),
    frames: &VecDeque<OutFrame>,
) -> io::Result<u64> {
    let pieces: Vec<&[u8]> = frames
        .iter()
        .flat_map(|frame| std::iter::once(&frame.head[..]).chain(frame.body.0.iter().map(|piece| &piece[..])))
        .collect();
    let mut total = 0;
    for some in pieces.chunks(SLICES_MAX) {
        let mut slices: Vec<IoSlice<'_>> = some.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut left = &mut slices[..];
        while !left.is_empty() {
            let written = stream.write_vectored(left).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            total += written as u64;
            IoSlice::advance_slices(&mut left, written);
        }
    }
    stream.flush().await?;
    Ok(total)
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use super::super::frame::{Header, Kind};
    use super::*;

    fn frame(payload: &'static [u8]) -> OutFrame {
        OutFrame::new(&Header::plain(Kind::OneWay), bytes::Bytes::from_static(payload).into())
    }

    #[tokio::test]
    async fn frames_that_can_wait_leave_together_or_with_an_urgent_one() {
        let outbox = Outbox::default();
        let begun = tokio::time::Instant::now();
        outbox.push(frame(b"a"), Urgency::Gather);
        outbox.push(frame(b"b"), Urgency::Gather);
        assert_eq!(outbox.take().await.expect("open").len(), 2);
        let waited = begun.elapsed();
        let gather = Duration::from_micros(BUS_GATHER_US);
        assert!(waited >= gather, "waited {waited:?}");
        outbox.push(frame(b"c"), Urgency::Gather);
        outbox.push(frame(b"d"), Urgency::Now);
        let mut taking = std::pin::pin!(outbox.take());
        let taken = taking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(taken, Poll::Ready(Some(frames)) if frames.len() == 2), "at once");
    }

    #[tokio::test]
    async fn a_full_outbox_has_no_room_until_it_is_taken_from() {
        let outbox = Outbox::default();
        let mut context = Context::from_waker(Waker::noop());
        assert!(outbox.poll_room(&mut context).is_ready());
        let large = bytes::Bytes::from(vec![0; BUS_QUEUE_MAX_BYTES]);
        outbox.push(OutFrame::new(&Header::plain(Kind::OneWay), large.into()), Urgency::Now);
        assert!(outbox.poll_room(&mut context).is_pending());
        assert_eq!(outbox.take().await.expect("open").len(), 1);
        assert!(outbox.poll_room(&mut context).is_ready());
        outbox.close();
        assert!(outbox.take().await.is_none());
        assert!(!outbox.push(frame(b"late"), Urgency::Now));
    }
}
