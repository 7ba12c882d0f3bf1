//! Reading a raft log's segment never panics, whatever its bytes are.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The checksums keep most inputs out, so what lies behind them is also given them directly.
    let _ = kvorum_fuzz::raft::log::check_segment(bytes);
    kvorum_fuzz::raft::log::check_body(bytes);
});
