//! A connection's bytes, with TLS or without.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::frame::{HEADER_BYTES, Header, LENGTH_BYTES};
use super::socket::Socket;
use super::tls::Tls;
use crate::limits::{BUS_FRAME_MAX_BYTES, BUS_READ_CHUNK_BYTES};

/// A connected stream.
pub(super) enum BusStream {
    /// TCP as it is.
    Plain(TcpStream),
    /// Both sides have shown a certificate.
    Tls(Box<TlsStream<TcpStream>>),
    /// On a simulated network.
    #[cfg(test)]
    Simulated(turmoil::net::TcpStream),
}

impl BusStream {
    /// The end of the side that dialled.
    pub(super) async fn dialled(socket: Socket, tls: Option<&Tls>) -> io::Result<Self> {
        match socket {
            Socket::Os(stream) => {
                tune(&stream)?;
                let Some(tls) = tls else { return Ok(BusStream::Plain(stream)) };
                // Names are not checked; see `tls`.
                let name = ServerName::from(stream.peer_addr()?.ip());
                Ok(BusStream::Tls(Box::new(tls.connector.connect(name, stream).await?.into())))
            }
            #[cfg(test)]
            Socket::Simulated(stream) => Ok(BusStream::Simulated(stream)),
        }
    }

    /// The end of the side that was dialled.
    pub(super) async fn accepted(socket: Socket, tls: Option<&Tls>) -> io::Result<Self> {
        match socket {
            Socket::Os(stream) => {
                tune(&stream)?;
                let Some(tls) = tls else { return Ok(BusStream::Plain(stream)) };
                Ok(BusStream::Tls(Box::new(tls.acceptor.accept(stream).await?.into())))
            }
            #[cfg(test)]
            Socket::Simulated(stream) => Ok(BusStream::Simulated(stream)),
        }
    }
}

/// Small frames leave at once, and a peer that vanished is noticed even when nothing is asked of it.
fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(std::time::Duration::from_secs(15))
        .with_interval(std::time::Duration::from_secs(5))
        .with_retries(3);
    socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

impl AsyncRead for BusStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            BusStream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            BusStream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            #[cfg(test)]
            BusStream::Simulated(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for BusStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            BusStream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            BusStream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            #[cfg(test)]
            BusStream::Simulated(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            BusStream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            BusStream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            #[cfg(test)]
            BusStream::Simulated(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            BusStream::Plain(stream) => stream.is_write_vectored(),
            BusStream::Tls(stream) => stream.is_write_vectored(),
            #[cfg(test)]
            BusStream::Simulated(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            BusStream::Plain(stream) => Pin::new(stream).poll_flush(context),
            BusStream::Tls(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(test)]
            BusStream::Simulated(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            BusStream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            BusStream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(test)]
            BusStream::Simulated(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// Finds frames in a stream.
pub(super) struct FrameReader<R> {
    stream: R,
    buffer: BytesMut,
    /// Longest payload that is let in.
    limit: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// A reader that lets no payload in that is longer than `limit`.
    pub(super) fn new(stream: R, limit: usize) -> Self {
        Self { stream, buffer: BytesMut::new(), limit }
    }

    /// The other end is known: frames may have their full length.
    pub(super) fn lift_limit(&mut self) {
        self.limit = BUS_FRAME_MAX_BYTES;
    }

    /// The next frame; `None` when the stream ends between two. `read` is told of every read's bytes.
    pub(super) async fn next(&mut self, mut read: impl FnMut(usize)) -> io::Result<Option<(Header, Bytes)>> {
        let bad = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        loop {
            let mut wanted = HEADER_BYTES;
            if let Some(length) = self.buffer.first_chunk::<LENGTH_BYTES>() {
                let length = u32::from_le_bytes(*length) as usize;
                let Some(payload) = length.checked_sub(HEADER_BYTES - LENGTH_BYTES) else {
                    return Err(bad(format!("a frame of {length} bytes is too short")));
                };
                if payload > self.limit {
                    return Err(bad(format!("a frame of {length} bytes is too long")));
                }
                wanted = HEADER_BYTES + payload;
                if self.buffer.len() >= HEADER_BYTES {
                    // Told before the payload is waited for: a stranger's frame is not buffered.
                    let header = Header::decode(&self.buffer[LENGTH_BYTES..HEADER_BYTES]);
                    let header = header.map_err(|error| bad(error.to_string()))?;
                    if self.buffer.len() >= wanted {
                        let mut frame = self.buffer.split_to(wanted);
                        let payload = frame.split_off(HEADER_BYTES).freeze();
                        return Ok(Some((header, payload)));
                    }
                }
            }
            // Memory grows with what arrives, not with what is announced.
            let missing = wanted.saturating_sub(self.buffer.len());
            self.buffer.reserve(missing.clamp(BUS_READ_CHUNK_BYTES, 16 * BUS_READ_CHUNK_BYTES));
            let count = self.stream.read_buf(&mut self.buffer).await?;
            read(count);
            if count == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Kind;
    use super::*;

    fn bytes_of(payload: &[u8]) -> Vec<u8> {
        let header = Header { kind: Kind::Request, service: 3, group: 2, request: 1 };
        [&header.encode(payload.len())[..], payload].concat()
    }

    #[tokio::test]
    async fn frames_are_found_however_the_stream_is_cut() {
        let large = vec![7; 300_000];
        let stream = [bytes_of(b"one"), bytes_of(b""), bytes_of(&large)].concat();
        for step in [1, 7, 1000, stream.len()] {
            let mut builder = tokio_stream_of(&stream, step);
            let mut reader = FrameReader::new(&mut builder, usize::MAX);
            for expected in [&b"one"[..], b"", &large] {
                let (header, payload) = reader.next(|_| {}).await.expect("sound").expect("a frame");
                assert_eq!((header.service, header.group, header.request), (3, 2, 1));
                assert!(payload == expected, "step {step}");
            }
            assert!(reader.next(|_| {}).await.expect("sound").is_none());
        }
    }

    #[tokio::test]
    async fn oversized_short_and_torn_frames_are_errors() {
        let mut reader = FrameReader::new(&b"\xff\xff\xff\xff"[..], 100);
        assert!(reader.next(|_| {}).await.is_err());
        let mut reader = FrameReader::new(&b"\x03\0\0\0"[..], 100);
        assert!(reader.next(|_| {}).await.is_err());
        let whole = bytes_of(b"payload");
        for cut in 1..whole.len() {
            let mut reader = FrameReader::new(&whole[..cut], 100);
            assert!(reader.next(|_| {}).await.is_err(), "cut at {cut}");
        }
    }

    /// A stream that hands out `step` bytes at a time.
    fn tokio_stream_of(bytes: &[u8], step: usize) -> impl AsyncRead + Unpin {
        struct Steps(std::io::Cursor<Vec<u8>>, usize);
        impl AsyncRead for Steps {
            fn poll_read(
                mut self: Pin<&mut Self>,
                _context: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let count = self.1.min(buffer.remaining());
                let mut part = vec![0; count];
                let count = io::Read::read(&mut self.0, &mut part)?;
                buffer.put_slice(&part[..count]);
                Poll::Ready(Ok(()))
            }
        }
        Steps(std::io::Cursor::new(bytes.to_vec()), step)
    }
}
