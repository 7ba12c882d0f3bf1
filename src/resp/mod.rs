//! The Redis serialization protocol: requests from bytes, replies to bytes.
//!
//! [`RequestParser`] turns a growing buffer into requests whose arguments are ranges of that
//! buffer, so that nothing is copied or allocated per argument. [`Reply`] appends RESP2 or RESP3 to
//! a vector, or to a [`ReplyBuffer`], which grows in chunks. Neither knows commands, sockets or time.

mod buffer;
mod parser;
mod reply;

pub use buffer::ReplyBuffer;
pub use parser::{ParseLimits, Parsed, ProtocolError, RequestParser};
pub use reply::{Protocol, Reply};
