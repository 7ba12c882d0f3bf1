//! `MEMORY`.

use super::memory_report::{MemoryReport, human};
use super::{CANNOT_READ, Call, DONE, Executed};
use crate::command::error::SYNTAX;
use crate::server::memory as process_memory;
use crate::shard::clock;
use crate::storage::Address;

/// Below so many bytes there is nothing to judge.
const JUDGED_BYTES_MIN: u64 = 5 << 20;
/// Bytes by which memory must be in excess to be worth a word.
const EXCESS_BYTES_MIN: i64 = 10 << 20;
/// Elements of a collection that MEMORY USAGE judges by, as in Redis.
const SAMPLES_DEFAULT: usize = 5;
/// Bytes per client, on average, that are unusual.
const CLIENT_BYTES_MAX: u64 = 200 * 1024;

/// `MEMORY subcommand …`
pub(super) fn memory(call: &mut Call<'_>) -> Executed {
    match call.subcommand().as_str() {
        "DOCTOR" => {
            let report = doctor(&MemoryReport::take(call.server), call.server.clients.len() as u64);
            call.text(&report)
        }
        "HELP" => call.help("MEMORY"),
        "MALLOC-STATS" => malloc_stats(call),
        "PURGE" => {
            process_memory::purge();
            call.ok()
        }
        "STATS" => stats(call),
        "USAGE" => usage(call),
        _ => Err(call.wrong_subcommand()),
    }
}

fn usage(call: &mut Call<'_>) -> Executed {
    let mut options = &call.args[3..];
    let mut samples = SAMPLES_DEFAULT;
    while let [option, _count, rest @ ..] = options {
        if !option.eq_ignore_ascii_case(b"samples") {
            return Err(SYNTAX);
        }
        let count = call.integer_at(call.args.len() - options.len() + 1)?;
        samples = usize::try_from(count).map_err(|_negative| SYNTAX)?;
        options = rest;
    }
    if !options.is_empty() {
        return Err(SYNTAX);
    }
    let router = call.server.router();
    let shard = router.shard_of_key(call.args[2]).ok_or(CANNOT_READ)?;
    let at = Address::new(call.session.db, call.args[2]);
    let bytes = {
        let store = shard.replica();
        store.engine(at.db, at.key).memory_usage(at, samples, shard.read_time(clock::now()))?
    };
    let mut reply = call.reply();
    match bytes {
        Some(bytes) => reply.integer(i64::try_from(bytes).unwrap_or(i64::MAX)),
        None => reply.null(),
    }
    DONE
}

/// A value of `MEMORY STATS`.
enum Figure {
    Count(i64),
    Ratio(f64),
}

fn stats(call: &mut Call<'_>) -> Executed {
    let report = MemoryReport::take(call.server);
    let count = |value: u64| Figure::Count(i64::try_from(value).unwrap_or(i64::MAX));
    let before = [
        ("peak.allocated", count(report.peak)),
        ("total.allocated", count(report.used)),
        ("startup.allocated", count(report.startup)),
        ("replication.backlog", count(0)),
        ("clients.slaves", count(0)),
        ("clients.normal", count(report.clients)),
        ("cluster.links", count(0)),
        ("aof.buffer", count(report.log_queue)),
        ("lua.caches", count(0)),
        ("functions.caches", count(0)),
    ];
    let [fragmentation, resident, extra, total] = report.overheads();
    let after = [
        ("overhead.total", count(report.overhead)),
        ("keys.count", count(report.keys)),
        ("keys.bytes-per-key", count(report.per_key())),
        ("dataset.bytes", count(report.dataset)),
        ("dataset.percentage", Figure::Ratio(report.dataset_percent())),
        ("peak.percentage", Figure::Ratio(report.peak_percent())),
        ("allocator.allocated", count(report.allocator.allocated)),
        ("allocator.active", count(report.allocator.active)),
        ("allocator.resident", count(report.allocator.resident)),
        ("allocator-fragmentation.ratio", Figure::Ratio(fragmentation.0)),
        ("allocator-fragmentation.bytes", Figure::Count(fragmentation.1)),
        ("allocator-rss.ratio", Figure::Ratio(resident.0)),
        ("allocator-rss.bytes", Figure::Count(resident.1)),
        ("rss-overhead.ratio", Figure::Ratio(extra.0)),
        ("rss-overhead.bytes", Figure::Count(extra.1)),
        ("fragmentation", Figure::Ratio(total.0)),
        ("fragmentation.bytes", Figure::Count(total.1)),
    ];
    let mut reply = call.reply();
    reply.map(before.len() + report.databases.len() + report.engines.len() + after.len());
    let figures = |reply: &mut crate::resp::Reply<'_>, figures: &[(&str, Figure)]| {
        for (name, figure) in figures {
            reply.bulk(name.as_bytes());
            match figure {
                Figure::Count(value) => reply.integer(*value),
                Figure::Ratio(value) => reply.double(*value),
            }
        }
    };
    figures(&mut reply, &before);
    for database in &report.databases {
        reply.bulk_display(format_args!("db.{}", database.number));
        // Engines keep no account of tables and expiries apart from the data.
        reply.map(3);
        for part in ["overhead.hashtable.main", "overhead.hashtable.expires", "overhead.hashtable.slot-to-keys"] {
            reply.bulk(part.as_bytes());
            reply.integer(0);
        }
    }
    for (engine, bytes) in &report.engines {
        reply.bulk_display(format_args!("engine.{engine}"));
        reply.integer(i64::try_from(*bytes).unwrap_or(i64::MAX));
    }
    figures(&mut reply, &after);
    DONE
}

/// What is unusual, one sentence each.
fn doctor(report: &MemoryReport, clients: u64) -> String {
    if report.used < JUDGED_BYTES_MIN {
        return "This server uses too little memory for a judgement.\n".to_owned();
    }
    let mut findings = Vec::new();
    if report.peak > report.used + report.used / 2 {
        findings.push(format!(
            "Peak: memory once reached {}, more than half above what is used now. The allocator may keep what was freed; \
             MEMORY PURGE returns what it can.",
            human(report.peak)
        ));
    }
    let [fragmentation, resident, extra, total] = report.overheads();
    let excessive = |(ratio, bytes): (f64, i64), ratio_max: f64| ratio > ratio_max && bytes > EXCESS_BYTES_MIN;
    if excessive(total, 1.4) {
        findings.push(format!(
            "Resident memory: the process holds {:.2} times what is used. Caches of the engines on disk and mapped files \
             count here too.",
            total.0
        ));
    }
    if excessive(fragmentation, 1.1) {
        findings
            .push(format!("Fragmentation: the allocator's pages hold {:.2} times what is allocated.", fragmentation.0));
    }
    if excessive(resident, 1.1) {
        findings.push(format!(
            "Allocator: {:.2} times its active pages are resident; MEMORY PURGE returns the rest.",
            resident.0
        ));
    }
    if excessive(extra, 1.1) {
        findings.push(format!(
            "Outside the allocator: the process holds {:.2} times what the allocator does, for mapped files as a rule.",
            extra.0
        ));
    }
    if clients > 0 && report.clients / clients > CLIENT_BYTES_MAX {
        findings.push(
            "Clients: their buffers take more than 200 kB each on average; CLIENT LIST shows whose are large."
                .to_owned(),
        );
    }
    if findings.is_empty() {
        return "Nothing unusual was found about the use of memory.\n".to_owned();
    }
    findings.iter().map(|finding| format!(" * {finding}\n")).collect()
}

fn malloc_stats(call: &mut Call<'_>) -> Executed {
    let mut text = Vec::new();
    if tikv_jemalloc_ctl::stats_print::stats_print(&mut text, Default::default()).is_err() || text.is_empty() {
        text = b"The allocator has no report.\n".to_vec();
    }
    call.reply().verbatim("txt", &text);
    DONE
}
