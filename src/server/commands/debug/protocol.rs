//! `DEBUG PROTOCOL`: one value of each type of the protocol, the same as Redis's.

use crate::command::CommandError;
use crate::resp::Protocol;
use crate::server::commands::{Call, DONE, Executed};
use crate::server::dispatch::lossy;

/// `DEBUG PROTOCOL type`
#[expect(clippy::approx_constant, reason = "the double is Redis's, and not meant to be pi")]
pub(super) fn protocol(call: &mut Call<'_>) -> Executed {
    let name = lossy(call.args[2]).to_ascii_lowercase();
    if name == "push" && call.session.protocol == Protocol::Resp2 {
        return Err(CommandError::Static("ERR RESP2 is not supported by this command"));
    }
    let mut reply = call.reply();
    match name.as_str() {
        "string" => reply.bulk(b"Hello World"),
        "integer" => reply.integer(12_345),
        "double" => reply.double(3.141),
        "bignum" => reply.big_number("1234567999999999999999999999999999999"),
        "null" => reply.null(),
        "array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        "set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        "map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        "attrib" => {
            if reply.attribute(1) {
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        "push" => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
            // A push answers nothing: the client still waits for its reply.
            reply.bulk(b"Some real reply following the push reply");
        }
        "verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        "true" => reply.boolean(true),
        "false" => reply.boolean(false),
        _ => {
            return Err(CommandError::Static(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    DONE
}
