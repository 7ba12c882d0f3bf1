//! What the protocol costs: requests in, replies out, and the pure work around them.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kvorum::resp::{ParseLimits, Parsed, Protocol, Reply, RequestParser};
use kvorum::types::decimal::LongDouble;
use kvorum::types::{glob, number, slot};
use smallvec::SmallVec;

/// Requests in one buffer: a deep pipeline.
const REQUESTS: usize = 64;
const LIMITS: ParseLimits =
    ParseLimits { max_args: 1024 * 1024, max_bulk_bytes: 512 * 1024 * 1024, authenticated: true };

fn pipeline(request: impl Fn(usize) -> String) -> Vec<u8> {
    (0..REQUESTS).flat_map(|index| request(index).into_bytes()).collect()
}

fn parse_all(parser: &mut RequestParser, buffer: &[u8]) -> usize {
    let mut bytes = 0;
    while parser.parse(buffer, &LIMITS) == Ok(Parsed::Request) {
        let mut args: SmallVec<[&[u8]; 8]> = SmallVec::new();
        parser.args_into(buffer, &mut args);
        bytes += args.iter().map(|arg| arg.len()).sum::<usize>();
    }
    parser.discard(parser.consumed());
    bytes
}

fn parser(criterion: &mut Criterion) {
    let value = "x".repeat(64);
    let word = |word: String| format!("${}\r\n{word}\r\n", word.len());
    let key = |index: usize| format!("key:{index:012}");
    let mut group = criterion.benchmark_group("parser");
    group.throughput(Throughput::Elements(REQUESTS as u64));
    for (name, buffer) in [
        ("set", pipeline(|index| format!("*3\r\n$3\r\nSET\r\n{}$64\r\n{value}\r\n", word(key(index))))),
        ("get", pipeline(|index| format!("*2\r\n$3\r\nGET\r\n{}", word(key(index))))),
        ("inline_set", pipeline(|index| format!("SET {} \"{value}\"\r\n", key(index)))),
    ] {
        let mut parser = RequestParser::new();
        group.bench_function(name, |bencher| bencher.iter(|| parse_all(&mut parser, black_box(&buffer))));
    }
    group.finish();
}

fn encoder(criterion: &mut Criterion) {
    let value = [b'x'; 64];
    let mut group = criterion.benchmark_group("encoder");
    group.throughput(Throughput::Elements(REQUESTS as u64));
    let mut bench = |name: &str, write: &dyn Fn(&mut Reply<'_>, usize)| {
        let mut out = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                let mut reply = Reply::new(&mut out, Protocol::Resp3);
                (0..REQUESTS).for_each(|index| write(&mut reply, black_box(index)));
                black_box(reply.len())
            });
        });
    };
    bench("ok", &|reply, _| reply.ok());
    bench("bulk", &|reply, _| reply.bulk(black_box(&value)));
    bench("small_integer", &|reply, index| reply.integer((index & 1) as i64));
    bench("large_integer", &|reply, index| reply.integer(index as i64 * 1_000_003));
    bench("bulk_display", &|reply, index| reply.bulk_display(index * 1_000_003));
    bench("double", &|reply, index| reply.double(index as f64 + 0.1));
    group.finish();
}

fn values(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("values");
    group.bench_function("slot_of_16_bytes", |bencher| {
        bencher.iter(|| slot::slot_of(black_box(b"key:000000000042")));
    });
    group.bench_function("parse_i64", |bencher| bencher.iter(|| number::parse_i64(black_box(b"1234567890123"))));
    group.bench_function("parse_f64", |bencher| bencher.iter(|| number::parse_f64(black_box(b"1234567.890123"))));
    group.bench_function("format_f64", |bencher| bencher.iter(|| number::format_f64(black_box(1234567.890123))));
    group.bench_function("glob", |bencher| {
        bencher.iter(|| glob::matches(black_box(b"user:*:session"), black_box(b"user:000042:session"), false));
    });
    group.bench_function("incrbyfloat", |bencher| {
        bencher.iter_batched(
            || (b"10.5".as_slice(), b"0.1".as_slice()),
            |(left, right)| {
                let sum = LongDouble::parse(black_box(left))? + LongDouble::parse(black_box(right))?;
                Some(sum.to_human_string())
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, parser, encoder, values);
criterion_main!(benches);
