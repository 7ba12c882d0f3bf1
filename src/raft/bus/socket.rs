//! Where connections come from: the operating system, or, in tests, a simulated network.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

/// Where peers connect to.
pub enum Listener {
    /// A port of the machine.
    Os(TcpListener),
    /// A port of a simulated machine.
    #[cfg(test)]
    Simulated(turmoil::net::TcpListener),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Listener::Os(listener)
    }
}

#[cfg(test)]
impl From<turmoil::net::TcpListener> for Listener {
    fn from(listener: turmoil::net::TcpListener) -> Self {
        Listener::Simulated(listener)
    }
}

impl Listener {
    /// Where it listens.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Listener::Os(listener) => listener.local_addr(),
            #[cfg(test)]
            Listener::Simulated(listener) => listener.local_addr(),
        }
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        Ok(match self {
            Listener::Os(listener) => {
                let (stream, address) = listener.accept().await?;
                (Socket::Os(stream), address)
            }
            #[cfg(test)]
            Listener::Simulated(listener) => {
                let (stream, address) = listener.accept().await?;
                (Socket::Simulated(stream), address)
            }
        })
    }
}

/// One end of a connection.
pub(super) enum Socket {
    Os(TcpStream),
    #[cfg(test)]
    Simulated(turmoil::net::TcpStream),
}

impl Socket {
    /// Dials `host:port`.
    pub(super) async fn connect(address: &str) -> io::Result<Self> {
        #[cfg(test)]
        if turmoil::in_simulation() {
            return Ok(Socket::Simulated(turmoil::net::TcpStream::connect(address).await?));
        }
        Ok(Socket::Os(TcpStream::connect(address).await?))
    }
}
