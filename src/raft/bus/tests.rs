//! Two buses over loopback.

use std::sync::atomic::AtomicUsize;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const ECHO: u8 = SERVICE_FIRST_FREE;
const SLOW: u8 = SERVICE_FIRST_FREE + 1;
const JOIN: u8 = SERVICE_FIRST_FREE + 2;
const SOON: Duration = Duration::from_secs(3);

async fn bus(node: u64, cluster: u128) -> Arc<Bus> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    Bus::start(BusOptions { node: NodeId(node), listener: listener.into(), cluster, tls: None }).expect("starts")
}

fn echo() -> Handler {
    Arc::new(|incoming| Box::pin(async move { Ok(incoming.payload.into()) }))
}

async fn pair() -> (Arc<Bus>, Arc<Bus>) {
    let (a, b) = (bus(1, 7).await, bus(2, 7).await);
    a.set_address(NodeId(2), &b.local_address().to_string());
    b.serve(ECHO, echo());
    (a, b)
}

async fn ask(bus: &Bus, service: u8, payload: &'static [u8]) -> Result<Bytes, BusError> {
    bus.call(&NodeId(2).into(), Class::Raft, service, 5, Bytes::from_static(payload), SOON).await
}

#[tokio::test]
async fn calls_are_answered_refused_and_counted() {
    let (a, b) = pair().await;
    assert_eq!(ask(&a, ECHO, b"hello").await, Ok(Bytes::from_static(b"hello")));
    assert_eq!(ask(&a, 200, b"hello").await, Err(BusError::Refused("no such service".to_owned())));
    b.serve(SLOW, Arc::new(|_| Box::pin(async { Err("not today".to_owned()) })));
    assert_eq!(ask(&a, SLOW, b"").await, Err(BusError::Refused("not today".to_owned())));
    let ours = &a.peers()[0];
    assert_eq!((ours.node, ours.class, ours.is_inbound), (Some(NodeId(2)), Class::Raft, false));
    assert!(ours.connected_for.is_some() && ours.bytes_in > 0 && ours.bytes_out > 0);
    let theirs = &b.peers()[0];
    assert_eq!((theirs.node, theirs.is_inbound), (Some(NodeId(1)), true));
    assert_eq!(theirs.bytes_in, ours.bytes_out);
}

#[tokio::test]
async fn answers_come_in_any_order_and_large_ones_whole() {
    let (a, b) = pair().await;
    let (release, released) = watch::channel(false);
    let slow: Handler = Arc::new(move |incoming| {
        let mut released = released.clone();
        Box::pin(async move {
            released.wait_for(|released| *released).await.map_err(|error| error.to_string())?;
            Ok(incoming.payload.into())
        })
    });
    b.serve(SLOW, slow);
    let target = Target::Node(NodeId(2));
    let first = a.start_call(&target, Class::Raft, SLOW, 0, Bytes::from_static(b"first").into(), Urgency::Now);
    let first = first.expect("queued");
    let large = Bytes::from(vec![9; 5_000_000]);
    let second = a.call(&target, Class::Raft, ECHO, 0, large.clone(), SOON).await;
    assert!(second == Ok(large));
    release.send_replace(true);
    assert_eq!(first.await, Ok(Bytes::from_static(b"first")));
}

#[tokio::test]
async fn requests_begin_in_the_order_in_which_they_were_sent() {
    let (a, b) = pair().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let recorder: Handler = Arc::new({
        let seen = Arc::clone(&seen);
        move |incoming| {
            let seen = Arc::clone(&seen);
            Box::pin(async move {
                seen.lock().push(incoming.group);
                tokio::task::yield_now().await;
                Ok(Body::default())
            })
        }
    });
    b.serve(SLOW, recorder);
    let target = Target::Node(NodeId(2));
    let calls: Vec<_> = (0..500)
        .map(|group| a.start_call(&target, Class::Raft, SLOW, group, Body::default(), Urgency::Gather).expect("queued"))
        .collect();
    for call in calls {
        assert_eq!(call.await, Ok(Bytes::new()));
    }
    assert!(seen.lock().iter().copied().eq(0..500));
}

#[tokio::test]
async fn clusters_and_nodes_do_not_mix() {
    let (a, b) = pair().await;
    let other = bus(1, 8).await;
    other.set_address(NodeId(2), &b.local_address().to_string());
    assert!(matches!(ask(&other, ECHO, b"x").await, Err(BusError::Stranger(_))));
    // Another node than the one that was meant.
    a.set_address(NodeId(3), &b.local_address().to_string());
    let wrong = a.call(&NodeId(3).into(), Class::Raft, ECHO, 0, Bytes::new(), SOON).await;
    assert!(matches!(wrong, Err(BusError::Stranger(_))), "{wrong:?}");
    assert_eq!(a.call(&NodeId(9).into(), Class::Raft, ECHO, 0, Bytes::new(), SOON).await, Err(BusError::NoAddress(9)));
}

#[tokio::test]
async fn a_node_in_no_cluster_reaches_only_what_strangers_may() {
    let (_, b) = pair().await;
    b.serve_strangers(JOIN, echo());
    let guest = bus(0, 0).await;
    let target = Target::Address(b.local_address().to_string());
    let call = async |service| guest.call(&target, Class::Raft, service, 0, Bytes::from_static(b"me"), SOON).await;
    assert_eq!(call(JOIN).await, Ok(Bytes::from_static(b"me")));
    assert_eq!(call(ECHO).await, Err(BusError::Refused("not in the same cluster".to_owned())));
    guest.set_identity(7, NodeId(3));
    // The connection of before ends; the next one is a member's.
    let deadline = tokio::time::Instant::now() + SOON;
    while call(ECHO).await != Ok(Bytes::from_static(b"me")) {
        assert!(tokio::time::Instant::now() < deadline, "it never became a member");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn garbage_oversized_frames_and_other_versions_are_refused() {
    let (_, b) = pair().await;
    let hello = Hello { cluster: 7, node: NodeId(1), class: Class::Raft };
    let head = frame::Header::plain(frame::Kind::Hello).encode(frame::HELLO_BYTES);
    let mut other_version = [&head[..], &hello.encode()].concat();
    other_version[4] = 9;
    for greeting in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], &[0; 64], &other_version] {
        let mut stream = TcpStream::connect(b.local_address()).await.expect("connects");
        stream.write_all(greeting).await.expect("writes");
        let mut answer = Vec::new();
        // Whether it is closed or reset, it is not talked to.
        drop(tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await.expect("it is closed"));
        assert!(answer.is_empty() || answer[5] == frame::Kind::Refusal as u8);
    }
    assert!(b.peers().is_empty());
    // A member that sends nonsense loses its connection.
    let mut stream = TcpStream::connect(b.local_address()).await.expect("connects");
    stream.write_all(&[&head[..], &hello.encode()].concat()).await.expect("writes");
    let mut answer = [0; frame::HEADER_BYTES + frame::HELLO_BYTES];
    stream.read_exact(&mut answer).await.expect("it greets");
    stream.write_all(&[0xff; 100]).await.expect("writes");
    let mut rest = Vec::new();
    drop(tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await.expect("it is closed"));
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_peer_that_comes_back_is_dialled_again() {
    let (a, b) = pair().await;
    assert!(ask(&a, ECHO, b"1").await.is_ok());
    let address = b.local_address();
    b.shutdown();
    drop(b);
    assert!(ask(&a, ECHO, b"2").await.is_err());
    assert!(ask(&a, ECHO, b"3").await.is_err());
    let listener = TcpListener::bind(address).await.expect("the port is free again");
    let again =
        Bus::start(BusOptions { node: NodeId(2), listener: listener.into(), cluster: 7, tls: None }).expect("starts");
    again.serve(ECHO, echo());
    let deadline = tokio::time::Instant::now() + SOON;
    while ask(&a, ECHO, b"4").await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "it never came back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Puts in the place of node 2 somebody who greets, and then only listens.
async fn silence_node_2(a: &Bus) {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    a.override_address(NodeId(2), Some(silent.local_addr().expect("bound").to_string()));
    tokio::spawn(async move {
        let (mut stream, _) = silent.accept().await.expect("accepts");
        let hello = Hello { cluster: 7, node: NodeId(2), class: Class::Raft };
        let head = frame::Header::plain(frame::Kind::Hello).encode(frame::HELLO_BYTES);
        stream.write_all(&[&head[..], &hello.encode()].concat()).await.expect("writes");
        let mut sink = Vec::new();
        drop(stream.read_to_end(&mut sink).await);
    });
}

#[tokio::test]
async fn a_peer_that_is_silent_is_given_up() {
    let (a, _b) = pair().await;
    silence_node_2(&a).await;
    assert_eq!(ask(&a, ECHO, b"?").await, Err(BusError::Disconnected));
    a.override_address(NodeId(2), None);
    assert!(ask(&a, ECHO, b"!").await.is_ok());
}

#[tokio::test]
async fn a_silent_peer_is_given_up_also_when_nobody_waits_for_long() {
    let (a, _b) = pair().await;
    silence_node_2(&a).await;
    let deadline = tokio::time::Instant::now() + 2 * SOON;
    // As elections ask: again and again, each time briefly. When a network is whole again, that must come through.
    let brief = Duration::from_millis(100);
    while a.call(&NodeId(2).into(), Class::Raft, ECHO, 0, Bytes::new(), brief).await == Err(BusError::Timeout) {
        assert!(tokio::time::Instant::now() < deadline, "the connection is kept");
    }
}

#[tokio::test]
async fn a_slow_service_is_not_taken_for_a_dead_peer() {
    let (a, b) = pair().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    b.serve(
        SLOW,
        Arc::new(move |_| {
            counted.fetch_add(1, Relaxed);
            Box::pin(async {
                tokio::time::sleep(Duration::from_millis(1600)).await;
                Ok(Body::default())
            })
        }),
    );
    assert_eq!(ask(&a, SLOW, b"").await, Ok(Bytes::new()));
    assert_eq!(calls.load(Relaxed), 1);
    let hasty = a.call(&NodeId(2).into(), Class::Raft, SLOW, 0, Bytes::new(), Duration::from_millis(20)).await;
    assert_eq!(hasty, Err(BusError::Timeout));
}

/// An authority that signs certificates, in files.
struct Authority {
    key: rcgen::KeyPair,
    dir: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("signed");
        std::fs::write(dir.path().join("authority"), certificate.pem()).expect("written");
        Self { key, dir }
    }

    /// Signs a certificate; the authority that the node is to trust may be another.
    fn sign(&self, trusted: &Authority) -> Result<Tls, TlsError> {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["a node".to_owned()]).expect("parameters");
        let mut authority = rcgen::CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = rcgen::Issuer::from_params(&authority, &self.key);
        let certificate = params.signed_by(&key, &issuer).expect("signed");
        std::fs::write(self.dir.path().join("certificate"), certificate.pem()).expect("written");
        std::fs::write(self.dir.path().join("key"), key.serialize_pem()).expect("written");
        let at = |name| self.dir.path().join(name);
        Tls::load(&at("certificate"), &at("key"), &trusted.dir.path().join("authority"))
    }
}

async fn bus_with(node: u64, tls: Option<Tls>) -> Arc<Bus> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let bus =
        Bus::start(BusOptions { node: NodeId(node), listener: listener.into(), cluster: 7, tls }).expect("starts");
    bus.serve(ECHO, echo());
    bus
}

#[tokio::test]
async fn with_tls_only_certificates_of_the_authority_are_let_in() {
    let (ours, other) = (Authority::new(), Authority::new());
    let ask_from = async |tls: Option<Tls>, payload: Bytes| {
        let b = bus_with(2, Some(ours.sign(&ours).expect("usable"))).await;
        let a = bus_with(1, tls).await;
        a.set_address(NodeId(2), &b.local_address().to_string());
        a.call(&NodeId(2).into(), Class::Raft, ECHO, 5, payload, SOON).await
    };
    let large = Bytes::from(vec![3; 3_000_000]);
    let answer = ask_from(Some(ours.sign(&ours).expect("usable")), large.clone()).await;
    assert!(answer == Ok(large), "a member is let in");
    let why = |answer: Result<Bytes, BusError>| answer.expect_err("refused").to_string();
    let small = Bytes::from_static(b"x");
    // Each of these fails alone: no certificate at all, one of a stranger, and a peer that we do not trust.
    let plain = why(ask_from(None, small.clone()).await);
    let stranger = why(ask_from(Some(other.sign(&ours).expect("usable")), small.clone()).await);
    let untrusted = why(ask_from(Some(ours.sign(&other).expect("usable")), small).await);
    let (closed, doubted) = ("cannot connect", "invalid peer certificate");
    for (text, expected) in [(&plain, closed), (&stranger, closed), (&untrusted, doubted)] {
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn tls_files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    authority.sign(&authority).expect("usable");
    let at = |name: &str| authority.dir.path().join(name);
    let load = |certificate: &str, key: &str, root: &str| {
        Tls::load(&at(certificate), &at(key), &at(root)).err().expect("refused").to_string()
    };
    assert!(load("absent", "key", "authority").starts_with("tls-cert-file /"));
    assert!(load("certificate", "certificate", "authority").starts_with("tls-key-file /"));
    assert!(load("certificate", "key", "key").contains("no certificate in it"));
    std::fs::write(at("other-key"), rcgen::KeyPair::generate().expect("a key").serialize_pem()).expect("written");
    assert!(load("certificate", "other-key", "authority").contains("cannot be used together"));
}
