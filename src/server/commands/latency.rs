//! `LATENCY`: events that took longer than `latency-monitor-threshold`, and the distribution of all commands.

use std::fmt::Write as _;

use super::{Call, DONE, Executed};
use crate::command::CommandError;
use crate::server::dispatch::lossy;
use crate::shard::latency::Series;
use crate::shard::stats::{BUCKETS, bucket_bound};

/// `LATENCY subcommand …`
pub(super) fn latency(call: &mut Call<'_>) -> Executed {
    match call.subcommand().as_str() {
        "DOCTOR" => doctor(call),
        "GRAPH" => {
            let event = lossy(call.args[2]);
            let Some(series) = call.server.counters.slowlog.latency.series(&event) else {
                return Err(CommandError::Text(format!("ERR No samples available for event '{event}'")));
            };
            call.text(&graph(&event, &series))
        }
        "HELP" => call.help("LATENCY"),
        "HISTOGRAM" => histogram(call),
        "HISTORY" => {
            let series = call.server.counters.slowlog.latency.series(&lossy(call.args[2])).unwrap_or_default();
            let mut reply = call.reply();
            reply.array(series.samples.len());
            for sample in series.samples {
                reply.array(2);
                reply.integer(sample.unix_seconds);
                reply.integer(signed(sample.millis));
            }
            DONE
        }
        "LATEST" => latest(call),
        "RESET" => {
            let names = &call.args[2..];
            let chosen = |event: &str| names.is_empty() || names.iter().any(|name| name == &event.as_bytes());
            let count = call.server.counters.slowlog.latency.reset(chosen);
            call.integer(signed(count as u64))
        }
        _ => Err(call.wrong_subcommand()),
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn latest(call: &mut Call<'_>) -> Executed {
    let events = call.server.counters.slowlog.latency.events();
    let mut reply = call.reply();
    reply.array(events.len());
    for (event, series) in events {
        let last = series.samples.back().copied();
        reply.array(4);
        reply.bulk(event.as_bytes());
        reply.integer(last.map_or(0, |sample| sample.unix_seconds));
        reply.integer(last.map_or(0, |sample| signed(sample.millis)));
        reply.integer(signed(series.max_millis));
    }
    DONE
}

fn doctor(call: &mut Call<'_>) -> Executed {
    let events = call.server.counters.slowlog.latency.events();
    let mut text = if events.is_empty() {
        "No command took longer than latency-monitor-threshold milliseconds (0 turns the monitor off). ".to_owned()
    } else {
        "Commands that took longer than latency-monitor-threshold milliseconds:\n\n".to_owned()
    };
    for (event, series) in &events {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{event}: {} samples, worst {} ms.", series.samples.len(), series.max_millis);
    }
    text.push_str("SLOWLOG GET lists slow commands, INFO latencystats the distribution of each command's time.\n");
    call.text(&text)
}

/// The samples as columns, highest where it took longest.
fn graph(event: &str, series: &Series) -> String {
    const ROWS: u64 = 4;
    let millis = || series.samples.iter().map(|sample| sample.millis);
    let (low, high) = (millis().min().unwrap_or(0), millis().max().unwrap_or(0));
    let mut text = format!("{event} - high {high} ms, low {low} ms (all time high {} ms)\n", series.max_millis);
    text.push_str(&"-".repeat(80));
    text.push('\n');
    for row in (0..ROWS).rev() {
        for value in millis() {
            let level = (value - low) * ROWS / (high - low + 1);
            text.push(match level {
                level if level == row => '#',
                level if level > row => '|',
                _ if row == 0 => '_',
                _ => ' ',
            });
        }
        text.push('\n');
    }
    text
}

/// `LATENCY HISTOGRAM [command …]`: a container stands for its subcommands.
fn histogram(call: &mut Call<'_>) -> Executed {
    let names: Vec<String> = call.args[2..].iter().map(|name| lossy(name).to_ascii_lowercase()).collect();
    let wanted = |name: &str| {
        let container = name.split_once('|').map_or(name, |(container, _)| container);
        names.is_empty() || names.iter().any(|wanted| wanted == name || wanted == container)
    };
    let found: Vec<_> = call
        .server
        .counters
        .named()
        .filter(|(name, _)| wanted(name))
        .map(|(name, counters)| (name, counters.histogram()))
        .filter(|(_, histogram)| histogram.iter().any(|&count| count > 0))
        .collect();
    let mut reply = call.reply();
    reply.map(found.len());
    for (name, histogram) in found {
        reply.bulk(name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.integer(signed(histogram.iter().sum()));
        reply.bulk(b"histogram_usec");
        let points = cumulative(&histogram);
        reply.map(points.len());
        for (micros, count) in points {
            reply.integer(signed(micros));
            reply.integer(signed(count));
        }
    }
    DONE
}

/// Bounds in microseconds, from 1 on, with the number of executions that did not exceed them; bounds
/// at which the number does not grow are left out.
fn cumulative(histogram: &[u64; BUCKETS]) -> Vec<(u64, u64)> {
    let mut points: Vec<(u64, u64)> = Vec::new();
    let mut sum = 0;
    for (bucket, &count) in histogram.iter().enumerate().filter(|&(_, &count)| count > 0) {
        sum += count;
        // Redis's bounds end where those of its finer buckets do: 33 and not 32 after 16.
        let bound = bucket_bound(bucket);
        let micros = ((bound + bound / 128 - 1) / 1000).max(1);
        match points.last_mut() {
            Some(last) if last.0 == micros => last.1 = sum,
            _ => points.push((micros, sum)),
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::latency::Sample;

    #[test]
    fn bounds_are_those_of_redis() {
        let points = cumulative(&[1; BUCKETS]);
        let bounds: Vec<u64> = points.iter().map(|point| point.0).collect();
        assert_eq!(bounds[..11], [1, 2, 4, 8, 16, 33, 66, 132, 264, 528, 1056]);
        assert_eq!((points[0].1, points[1].1), (4, 5));
    }

    #[test]
    fn a_graph_has_its_highest_column_where_it_took_longest() {
        let samples = [(1, 10), (2, 40), (3, 20)].map(|(unix_seconds, millis)| Sample { unix_seconds, millis });
        let series = Series { samples: samples.into(), max_millis: 50 };
        let text = graph("command", &series);
        assert!(text.starts_with("command - high 40 ms, low 10 ms (all time high 50 ms)\n"), "{text}");
        assert_eq!(text.lines().skip(2).collect::<Vec<_>>(), [" # ", " | ", " |#", "#||"]);
    }
}
