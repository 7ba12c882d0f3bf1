//! The side that was dialled: accepts connections, checks who they are from, hands requests to services
//! and sends the answers back in whatever order they come.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::frame::{Body, HELLO_BYTES, Header, Hello, Kind, OutFrame};
use super::link::Counters;
use super::outbox::{Outbox, Urgency, write_frames};
use super::socket::{Listener, Socket};
use super::stream::{BusStream, FrameReader};
use super::{Answer, Class, Incoming, Shared, Trust, trust};
use crate::limits::{BUS_CONNECTIONS_MAX, BUS_REQUESTS_IN_FLIGHT_MAX};
use crate::types::NodeId;

/// How long the other side may take to greet.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after the operating system refused to accept: there are no file descriptors, say.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A connection that another node dialled.
pub(super) struct Inbound {
    pub(super) node: NodeId,
    pub(super) address: SocketAddr,
    pub(super) class: Class,
    pub(super) since: Instant,
    pub(super) counters: Counters,
    outbox: Outbox,
    trust: Trust,
}

impl Inbound {
    pub(super) fn queued_bytes(&self) -> usize {
        self.outbox.queued_bytes()
    }

    fn answer(&self, request: &Header, answer: Answer, urgency: Urgency) {
        let (kind, body) = match answer {
            Ok(body) => (Kind::Answer, body),
            Err(why) => (Kind::Refusal, Body::from(why.into_bytes())),
        };
        let header = Header { kind, ..*request };
        // A closed outbox: nobody is there to be answered.
        self.outbox.push(OutFrame::new(&header, body), urgency);
    }
}

/// Accepts connections until the bus is closed.
pub(super) async fn accept(shared: Arc<Shared>, listener: Listener) {
    let places = Arc::new(Semaphore::new(BUS_CONNECTIONS_MAX));
    let mut changes = shared.changes();
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        let accepted = loop {
            tokio::select! {
                accepted = listener.accept() => break accepted,
                _ = changes.changed() => if shared.is_closed() { return },
            }
        };
        match accepted {
            Ok((socket, address)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    serve(shared, socket, address).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the bus cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn serve(shared: Arc<Shared>, socket: Socket, address: SocketAddr) {
    let mut changes = shared.changes();
    let greeted = tokio::time::timeout(GREETING_TIMEOUT, greet(&shared, socket, address)).await;
    let (reader, mut writer, inbound) = match greeted {
        Ok(Ok(greeted)) => greeted,
        Ok(Err(error)) => return shared.log_stranger(&address.ip().to_string(), &error.to_string()),
        Err(_) => return shared.log_stranger(&address.ip().to_string(), "it does not greet"),
    };
    shared.add_inbound(&inbound);
    shared.is_back(inbound.node);
    let reading = tokio::spawn(read(Arc::clone(&shared), Arc::clone(&inbound), reader));
    let abort = reading.abort_handle();
    let writing = async {
        while let Some(frames) = inbound.outbox.take().await {
            inbound.counters.frames_out.fetch_add(frames.len() as u64, Relaxed);
            match write_frames(&mut writer, &frames).await {
                Ok(count) => inbound.counters.bytes_out.fetch_add(count, Relaxed),
                Err(_) => return,
            };
        }
    };
    tokio::select! {
        _ = reading => {}
        () = writing => {}
        _ = changes.changed() => {}
    }
    abort.abort();
    inbound.outbox.close();
    shared.remove_inbound(&inbound);
}

type Greeted = (FrameReader<tokio::io::ReadHalf<BusStream>>, tokio::io::WriteHalf<BusStream>, Arc<Inbound>);

async fn greet(shared: &Shared, socket: Socket, address: SocketAddr) -> io::Result<Greeted> {
    let stream = BusStream::accepted(socket, shared.tls.as_ref()).await?;
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = FrameReader::new(reader, HELLO_BYTES);
    let stranger = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
    let greeting = match reader.next(|_| {}).await {
        Ok(Some((Header { kind: Kind::Hello, .. }, payload))) => {
            Hello::decode(&payload).map_err(|error| stranger(&error.to_string()))
        }
        Ok(_) => Err(stranger("it does not greet")),
        Err(error) => Err(error),
    };
    let greeting = greeting.and_then(|theirs| {
        let trust = trust(shared.hello(theirs.class).cluster, theirs.cluster);
        if trust == Trust::Stranger { Err(stranger("it belongs to another cluster")) } else { Ok((theirs, trust)) }
    });
    let (theirs, trust) = match greeting {
        Ok(greeted) => greeted,
        Err(error) => {
            let text = error.to_string().into_bytes();
            let refusal = OutFrame::new(&Header::plain(Kind::Refusal), text.into());
            write_frames(&mut writer, &[refusal].into()).await?;
            return Err(error);
        }
    };
    let ours = shared.hello(theirs.class).encode();
    write_frames(&mut writer, &[OutFrame::new(&Header::plain(Kind::Hello), ours.into())].into()).await?;
    reader.lift_limit();
    let inbound = Inbound {
        node: theirs.node,
        address,
        class: theirs.class,
        since: Instant::now(),
        counters: Counters::default(),
        outbox: Outbox::default(),
        trust,
    };
    Ok((reader, writer, Arc::new(inbound)))
}

async fn read(shared: Arc<Shared>, inbound: Arc<Inbound>, mut reader: FrameReader<tokio::io::ReadHalf<BusStream>>) {
    let places = Arc::new(Semaphore::new(BUS_REQUESTS_IN_FLIGHT_MAX));
    loop {
        let count_bytes = |count: usize| {
            inbound.counters.bytes_in.fetch_add(count as u64, Relaxed);
            inbound.counters.frames_in.fetch_add(1, Relaxed);
        };
        let (header, payload) = match reader.next(count_bytes).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return shared.log_stranger(&inbound.address.ip().to_string(), &error.to_string());
            }
            Err(_) => return,
        };
        let is_request = match header.kind {
            Kind::Request => true,
            Kind::OneWay => false,
            Kind::Ping => {
                let pong = OutFrame::new(&Header { kind: Kind::Pong, ..header }, Body::default());
                inbound.outbox.push(pong, Urgency::Now);
                continue;
            }
            Kind::Hello | Kind::Answer | Kind::Refusal | Kind::Pong => return,
        };
        // Answers that nobody reads are not piled up.
        std::future::poll_fn(|context| inbound.outbox.poll_room(context)).await;
        let Some(service) = shared.service(header.service, inbound.trust) else {
            if is_request {
                let why = match inbound.trust {
                    Trust::Guest => "not in the same cluster",
                    Trust::Member | Trust::Stranger => "no such service",
                };
                inbound.answer(&header, Err(why.to_owned()), Urgency::Now);
            }
            continue;
        };
        let urgency = service.urgency;
        let incoming = Incoming { node: inbound.node, address: inbound.address, group: header.group, payload };
        let mut handling = (service.handler)(incoming);
        // The first step is taken here: requests begin in the order in which they were sent.
        if let Poll::Ready(answer) = poll_once(handling.as_mut()) {
            if is_request {
                inbound.answer(&header, answer, urgency);
            }
            continue;
        }
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        let inbound = Arc::clone(&inbound);
        tokio::spawn(async move {
            let answer = handling.await;
            if is_request {
                inbound.answer(&header, answer, urgency);
            }
            drop(place);
        });
    }
}

fn poll_once<T>(future: Pin<&mut (dyn Future<Output = T> + Send)>) -> Poll<T> {
    // Whoever is woken by this waker is polled again anyhow, by the task that takes the future over.
    future.poll(&mut Context::from_waker(Waker::noop()))
}
