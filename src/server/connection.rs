//! One connection: bytes in, commands, bytes out.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use smallvec::SmallVec;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::Server;
use super::ahead::Ahead;
use super::clients::Client;
use super::dispatch::{Batch, Outcome, drops_replies};
use super::router::Router;
use super::runs::{How, Runs};
use super::session::{ReplyMode, Session};
use crate::limits::{
    COMMANDS_PER_TURN_MAX, INPUT_ROOM_FACTOR, LOOK_AHEAD_COMMANDS_MAX, OUTPUT_CHUNKS_PER_WRITE, OUTPUT_TURN_BYTES,
    POOLED_BUFFER_MAX_BYTES, POOLED_BUFFERS_MAX, READ_CHUNK_BYTES,
};
use crate::resp::{ParseLimits, Parsed, Protocol, Reply, ReplyBuffer, RequestParser};
use crate::shard::clock;

/// Why a connection ends.
enum End {
    /// The client closed it, or the socket failed.
    Gone,
    /// We close it.
    Closed,
}

/// What the connection goes on with.
enum Step {
    /// All complete requests are taken care of.
    Drained,
    /// The runs are to be submitted and waited for.
    Submit,
    /// The command that was put aside is to be dispatched again.
    Again,
    /// A command is under way.
    Wait(super::dispatch::Pending),
    /// Clients are paused.
    Paused,
    /// Other tasks should have a turn.
    Yield,
    /// The session is over once the replies are sent.
    Close,
}

struct Connection {
    server: Arc<Server>,
    stream: TcpStream,
    session: Session,
    parser: RequestParser,
    input: Vec<u8>,
    output: ReplyBuffer,
    /// The shards, as they were when the commands in `runs` were dispatched.
    router: Arc<Router>,
    runs: Runs,
    /// Requests that are parsed and not dispatched.
    ahead: Ahead,
    /// An inline request that comes after those.
    inline: Option<Vec<Vec<u8>>>,
    /// A command that has to wait for the runs, or for the end of a pause.
    aside: Option<Vec<Vec<u8>>>,
    /// When the output first went over the soft limit, in ms.
    soft_limit_since: Option<i64>,
}

/// Serves a connection until it ends.
pub async fn serve(server: Arc<Server>, stream: TcpStream, client: Arc<Client>) {
    let authenticated = client.authenticated.load(Ordering::Relaxed);
    let mut connection = Connection {
        session: Session::new(Arc::clone(&client), authenticated),
        stream,
        parser: RequestParser::new(),
        input: Vec::new(),
        output: ReplyBuffer::default(),
        router: server.router(),
        runs: Runs::default(),
        ahead: Ahead::default(),
        inline: None,
        aside: None,
        soft_limit_since: None,
        server: Arc::clone(&server),
    };
    match connection.serve().await {
        End::Gone => {}
        End::Closed => connection.flush_before_close(),
    }
    recycle(std::mem::take(&mut connection.input));
    recycle(connection.output.take_open());
    connection.session.unwatch(&server);
    server.monitors.remove(&client);
    server.clients.remove(client.id);
}

impl Connection {
    async fn serve(&mut self) -> End {
        loop {
            match self.process() {
                Step::Drained => {}
                Step::Submit => {
                    if let Err(end) = self.finish_run().await {
                        return end;
                    }
                    continue;
                }
                Step::Again => continue,
                Step::Wait(pending) => {
                    let reply = match self.interruptible(pending).await {
                        Ok(reply) => reply,
                        Err(end) => return end,
                    };
                    // The commands of a transaction share the fate of EXEC.
                    let is_dropped = match &self.session.executing {
                        Some(executing) => executing.silent,
                        None => drops_replies(&mut self.session),
                    };
                    if !is_dropped {
                        self.output.push(reply);
                    }
                    continue;
                }
                Step::Paused => {
                    self.session.client.blocked.store(true, Ordering::Relaxed);
                    if self.flush().is_err() {
                        return End::Gone;
                    }
                    self.server.wait_unpaused().await;
                    if self.session.client.is_killed() {
                        return End::Closed;
                    }
                    continue;
                }
                Step::Yield => {
                    if let Err(end) = self.flush() {
                        return end;
                    }
                    tokio::task::yield_now().await;
                    continue;
                }
                Step::Close => return End::Closed,
            }
            if let Err(end) = self.flush() {
                return end;
            }
            if let Err(end) = self.wait().await {
                return end;
            }
        }
    }

    /// Takes care of complete requests in the input, as far as that goes without waiting.
    fn process(&mut self) -> Step {
        if self.session.client.is_killed() {
            return Step::Close;
        }
        let now = clock::now();
        let server = Arc::clone(&self.server);
        if self.runs.is_empty() {
            server.refresh(&mut self.router);
        }
        let router = Arc::clone(&self.router);
        let mut batch = Batch::new(&server, &router, now);
        self.session.client.active_ms.store(now.0, Ordering::Relaxed);
        let step = self.process_batch(&mut batch);
        batch.finish();
        self.release_input();
        if self.session.client.monitor.load(Ordering::Relaxed) {
            self.output.push(std::mem::take(&mut *self.session.client.feed.lock()));
        }
        step
    }

    fn process_batch(&mut self, batch: &mut Batch<'_>) -> Step {
        if self.session.executing.is_some() {
            match batch.go_on(&mut self.session, &mut self.output) {
                Outcome::Wait(pending) => return Step::Wait(pending),
                _ if self.session.closing => return Step::Close,
                _ => {}
            }
        }
        if self.aside.is_none() && self.ahead.is_empty() {
            self.aside = self.inline.take();
        }
        if let Some(aside) = self.aside.take() {
            let args: SmallVec<[&[u8]; 8]> = aside.iter().map(Vec::as_slice).collect();
            let outcome = batch.dispatch(&mut self.session, &mut self.runs, &args, &mut self.output);
            drop(args);
            self.session.client.blocked.store(matches!(outcome, Outcome::Paused), Ordering::Relaxed);
            match outcome {
                Outcome::Done if self.session.closing => return Step::Close,
                Outcome::Done => {}
                Outcome::Submit => return Step::Submit,
                Outcome::AfterRun => {
                    self.aside = Some(aside);
                    return Step::Submit;
                }
                Outcome::Paused => {
                    self.aside = Some(aside);
                    return Step::Paused;
                }
                Outcome::Wait(pending) => return Step::Wait(pending),
            }
        }
        let limits = ParseLimits {
            max_args: crate::limits::MULTIBULK_MAX_ARGS,
            max_bulk_bytes: self.server.limits.bulk_max_bytes.load(Ordering::Relaxed),
            authenticated: self.is_admitted(),
        };
        let mut budget = COMMANDS_PER_TURN_MAX;
        loop {
            if self.ahead.is_empty()
                && let Some(step) = self.look_ahead(batch, &limits)
            {
                return step;
            }
            let args = self.ahead.take(&self.input);
            let outcome = batch.dispatch(&mut self.session, &mut self.runs, &args, &mut self.output);
            self.server.stats.commands.fetch_add(1, Ordering::Relaxed);
            match outcome {
                Outcome::Done if self.session.closing => return Step::Close,
                Outcome::Done if self.session.reply_mode != ReplyMode::On && !self.runs.is_empty() => {
                    return Step::Submit;
                }
                // Authentication changes what the parser lets through.
                Outcome::Done if self.is_admitted() != limits.authenticated => return Step::Again,
                Outcome::Done => {}
                Outcome::Submit => return Step::Submit,
                Outcome::AfterRun => {
                    self.aside = Some(args.iter().map(|arg| arg.to_vec()).collect());
                    return Step::Submit;
                }
                Outcome::Paused => {
                    self.aside = Some(args.iter().map(|arg| arg.to_vec()).collect());
                    return Step::Paused;
                }
                Outcome::Wait(pending) => return Step::Wait(pending),
            }
            budget -= 1;
            if budget == 0 || self.output.unsent() >= OUTPUT_TURN_BYTES {
                return if self.runs.is_empty() { Step::Yield } else { Step::Submit };
            }
        }
    }

    /// Parses the next few requests. Answers what to do instead if there is none.
    fn look_ahead(&mut self, batch: &mut Batch<'_>, limits: &ParseLimits) -> Option<Step> {
        self.ahead.clear();
        // Authentication changes what the parser lets through, so until then requests come one by one.
        let most = if limits.authenticated { LOOK_AHEAD_COMMANDS_MAX } else { 1 };
        while self.ahead.len() < most {
            match self.parser.parse(&self.input, limits) {
                Ok(Parsed::Request) if self.parser.is_inline() => {
                    // Its words are in the parser: it is put aside, to be dispatched after those before it.
                    if self.ahead.is_empty() && self.runs.is_empty() {
                        self.aside = Some(self.parser.args(&self.input).map(<[u8]>::to_vec).collect());
                        return Some(Step::Again);
                    }
                    self.inline = Some(self.parser.args(&self.input).map(<[u8]>::to_vec).collect());
                    break;
                }
                Ok(Parsed::Request) => self.ahead.push(|ranges| self.parser.ranges_into(ranges)),
                Ok(Parsed::Incomplete) | Err(_) if !self.ahead.is_empty() => break,
                Ok(Parsed::Incomplete) if self.runs.is_empty() => return Some(Step::Drained),
                Ok(Parsed::Incomplete) => return Some(Step::Submit),
                Err(_) if !self.runs.is_empty() => return Some(Step::Submit),
                Err(error) => {
                    let text = format!("ERR Protocol error: {error}");
                    tracing::debug!(client = %self.session.client.peer, error = %text, "closing the connection");
                    self.server.counters.errors.count(&text);
                    self.output.reply(self.session.protocol).error(&text);
                    return Some(Step::Close);
                }
            }
        }
        if self.ahead.is_empty() {
            return Some(Step::Submit);
        }
        if self.ahead.len() > 1 && self.runs.is_empty() {
            batch.prefetch(self.session.db, self.ahead.first_name(&self.input), self.ahead.look_ups(&self.input));
        }
        None
    }

    /// Whether the client may run commands: it has authenticated, or the password was taken away.
    #[inline]
    fn is_admitted(&self) -> bool {
        self.session.authenticated || !self.server.limits.password_required.load(Ordering::Relaxed)
    }

    /// Submits the runs and waits for their replies.
    async fn finish_run(&mut self) -> Result<(), End> {
        // What is ready can go out while the runs are under way.
        if self.output.unsent() > 0 {
            self.flush()?;
        }
        let reads = self.runs.reads();
        let dropped = drops_replies(&mut self.session);
        let mailbox = Arc::clone(&self.session.client.mailbox);
        let how = How {
            router: &self.router,
            cluster: self.server.cluster.as_deref(),
            mailbox: &mailbox,
            manner: self.session.manner(),
            counters: &self.server.counters,
        };
        if dropped {
            self.runs.execute(&how, &mut ReplyBuffer::default()).await;
        } else {
            let before = self.output.len();
            self.runs.execute(&how, &mut self.output).await;
            self.session.note_run(reads, self.output.len() - before);
        }
        Ok(())
    }

    /// Waits for a command, unless the client is killed or, where it may wait for ever, goes away meanwhile.
    async fn interruptible(&mut self, mut pending: super::dispatch::Pending) -> Result<Vec<u8>, End> {
        let _ = self.flush();
        let client = Arc::clone(&self.session.client);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(reply) = pending.as_mut().poll(cx) {
                return Poll::Ready(Ok(reply));
            }
            while client.mailbox.poll_poked(cx).is_ready() {
                if client.is_killed() {
                    return Poll::Ready(Err(End::Closed));
                }
            }
            // What it sends meanwhile is kept; that it goes away shows here only.
            while client.waits.load(Ordering::Relaxed) && self.stream.poll_read_ready(cx).is_ready() {
                match self.poll_fill(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(end)) => return Poll::Ready(Err(end)),
                    Poll::Pending => break,
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Waits until there is something to read, room to write, or somebody pokes us.
    async fn wait(&mut self) -> Result<(), End> {
        self.note_buffers();
        let wants_write = self.output.unsent() > 0;
        let mut writable = false;
        std::future::poll_fn(|cx| {
            let poked = self.session.client.mailbox.poll_poked(cx).is_ready();
            writable = wants_write && self.stream.poll_write_ready(cx).is_ready();
            // A buffer is taken only when there is something to read into it.
            let read = match self.stream.poll_read_ready(cx) {
                Poll::Ready(_) => self.poll_fill(cx),
                Poll::Pending => Poll::Pending,
            };
            match read {
                Poll::Ready(Err(end)) => Poll::Ready(Err(end)),
                Poll::Pending if !poked && !writable => Poll::Pending,
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(())),
            }
        })
        .await?;
        if writable {
            self.flush()?;
        }
        Ok(())
    }

    /// Reads what has come. A short read tells the runtime that the socket is empty, so that the
    /// next wait needs no system call to find that out.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        if self.input.capacity() == 0 {
            self.input = fresh_buffer();
        }
        let consumed = self.parser.consumed();
        // Requests that wait to be dispatched are ranges of the input.
        if consumed > 0 && self.ahead.is_empty() {
            self.input.drain(..consumed);
            self.parser.discard(consumed);
        }
        // A large argument is given room as it arrives, not for what was announced. Room that is not
        // filled costs no memory, every move to a larger place leaves the smaller one to be reclaimed.
        if self.input.capacity() - self.input.len() < READ_CHUNK_BYTES {
            let wanted = self.parser.wanted().unwrap_or(0).min(self.input.len() * (INPUT_ROOM_FACTOR - 1));
            self.input.reserve(wanted.max(READ_CHUNK_BYTES));
        }
        let read = std::pin::pin!(self.stream.read_buf(&mut self.input)).poll(cx);
        match read {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(End::Gone)),
            Poll::Ready(Ok(count)) => {
                let stats = &self.server.stats;
                stats.bytes_in.fetch_add(count as u64, Ordering::Relaxed);
                stats.reads.fetch_add(1, Ordering::Relaxed);
                self.session.client.bytes_in.fetch_add(count as u64, Ordering::Relaxed);
            }
            Poll::Ready(Err(error)) => {
                tracing::debug!(client = %self.session.client.peer, %error, "reading failed");
                return Poll::Ready(Err(End::Gone));
            }
            Poll::Pending => {
                self.release_input();
                return Poll::Pending;
            }
        }
        if self.input.len() > self.server.limits.query_bytes.load(Ordering::Relaxed) {
            tracing::warn!(client = %self.session.client.peer, "closing a client whose request is over the limit");
            self.server.stats.query_limit_disconnections.fetch_add(1, Ordering::Relaxed);
            return Poll::Ready(Err(End::Gone));
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what can be sent without waiting, and enforces the limit of what may wait.
    fn flush(&mut self) -> Result<(), End> {
        while self.output.unsent() > 0 {
            let written = if self.output.is_one_chunk() {
                self.stream.try_write(self.output.first())
            } else {
                self.write_chunks()
            };
            match written {
                Ok(count) => {
                    self.output.advance(count, recycle);
                    let stats = &self.server.stats;
                    stats.bytes_out.fetch_add(count as u64, Ordering::Relaxed);
                    stats.writes.fetch_add(1, Ordering::Relaxed);
                    self.session.client.bytes_out.fetch_add(count as u64, Ordering::Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.output.settle();
                    return self.enforce_output_limit();
                }
                Err(error) => {
                    tracing::debug!(client = %self.session.client.peer, %error, "writing failed");
                    return Err(End::Gone);
                }
            }
        }
        self.soft_limit_since = None;
        recycle(self.output.take_open());
        Ok(())
    }

    /// Writes several chunks with one system call.
    #[cold]
    fn write_chunks(&self) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); OUTPUT_CHUNKS_PER_WRITE];
        let count = self.output.slices(&mut slices);
        self.stream.try_write_vectored(&slices[..count])
    }

    fn enforce_output_limit(&mut self) -> Result<(), End> {
        let waiting = self.output.held();
        if waiting >= OUTPUT_TURN_BYTES {
            // Whatever reads ride in the next run, their replies come on top.
            self.session.run_reads_max = 1;
        }
        let limits = &self.server.limits;
        let hard = limits.output_hard_bytes.load(Ordering::Relaxed);
        let soft = limits.output_soft_bytes.load(Ordering::Relaxed);
        let now = clock::now().0;
        let mut over = hard > 0 && waiting > hard;
        if soft > 0 && waiting > soft {
            let since = *self.soft_limit_since.get_or_insert(now);
            over |= now - since >= limits.output_soft_ms.load(Ordering::Relaxed);
        } else {
            self.soft_limit_since = None;
        }
        if over {
            let client = &self.session.client;
            tracing::warn!(client = %client.peer, id = client.id, waiting, "closing a client that does not read its replies");
            self.server.stats.output_limit_disconnections.fetch_add(1, Ordering::Relaxed);
            return Err(End::Gone);
        }
        Ok(())
    }

    fn flush_before_close(&mut self) {
        let _ = self.flush();
        // Closing a socket with unread input resets it, and the client may lose the last reply.
        let mut scratch = [0u8; 4096];
        for _ in 0..64 {
            match self.stream.try_read(&mut scratch) {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
        }
    }

    /// Gives the input buffer back when nothing is left in it.
    fn release_input(&mut self) {
        if self.ahead.is_empty() && self.parser.consumed() == self.input.len() {
            self.parser.discard(self.input.len());
            self.input.clear();
            recycle(std::mem::take(&mut self.input));
        }
    }

    fn note_buffers(&self) {
        let client = &self.session.client;
        client.query_bytes.store(self.input.len() - self.parser.consumed(), Ordering::Relaxed);
        client.query_free_bytes.store(self.input.capacity() - self.input.len(), Ordering::Relaxed);
        client.output_bytes.store(self.output.unsent(), Ordering::Relaxed);
    }
}

thread_local! {
    /// Buffers between two uses: an idle connection has none.
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn fresh_buffer() -> Vec<u8> {
    BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(READ_CHUNK_BYTES))
}

fn recycle(mut buffer: Vec<u8>) {
    if !(READ_CHUNK_BYTES..=POOLED_BUFFER_MAX_BYTES).contains(&buffer.capacity()) {
        return;
    }
    buffer.clear();
    BUFFERS.with_borrow_mut(|buffers| {
        if buffers.len() < POOLED_BUFFERS_MAX {
            buffers.push(buffer);
        }
    });
}

/// Refuses a connection with an error, as far as the socket takes it at once.
pub fn refuse(stream: &TcpStream, text: &str) {
    let mut reply = Vec::new();
    Reply::new(&mut reply, Protocol::Resp2).error(text);
    let _ = stream.try_write(&reply);
}
