//! MD5 in one stream and side by side, from memory.
//!
//! `taskset -c 1 cargo bench -p feige --bench digest`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use feige::digest::{Lanes, Stream};
use feige_core::digest::{Digest, Hasher, Running};

/// Octets that no two blocks have in common.
fn octets(count: usize) -> Vec<u8> {
    (0..count as u32).map(|at| (at.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect()
}

fn one_stream(criterion: &mut Criterion) {
    let input = octets(1 << 20);
    let mut group = criterion.benchmark_group("one stream");
    group.throughput(Throughput::Bytes(input.len() as u64));
    group.bench_function("md-5", |bencher| {
        bencher.iter(|| {
            let mut running = Running::new();
            running.update(black_box(&input));
            running.finish()
        });
    });
    group.bench_function("Stream", |bencher| {
        bencher.iter(|| {
            let mut stream = Stream::new();
            stream.update(black_box(&input));
            stream.finish()
        });
    });
    group.finish();
}

fn side_by_side(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("Lanes");
    let shapes = [
        ("8 x 64 KiB", vec![65_536; 8]),
        ("16 x 64 KiB", vec![65_536; 16]),
        ("24 x 64 KiB", vec![65_536; 24]),
        // Runs of the verified transfer, to those who take no long ones and to others.
        ("16 x 32 KiB", vec![32_768; 16]),
        ("32 x 32 KiB", vec![32_768; 32]),
        ("16 x 4 KiB", vec![4_096; 16]),
        ("64 x 0 to 8 KiB", (0..64).map(|at| at * 7_919 % 8_192).collect()),
    ];
    for (name, lengths) in shapes {
        // One behind the other, as the blocks of a file lie in a buffer.
        let octets = octets(lengths.iter().sum());
        let mut rest = octets.as_slice();
        let inputs: Vec<&[u8]> = lengths
            .iter()
            .map(|&length| {
                let (input, after) = rest.split_at(length);
                rest = after;
                input
            })
            .collect();
        let mut digests = vec![Digest::default(); inputs.len()];
        let mut lanes = Lanes::new();
        group.throughput(Throughput::Bytes(octets.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| lanes.md5(black_box(&inputs), &mut digests)));
    }
    group.finish();
}

criterion_group!(benches, one_stream, side_by_side);
criterion_main!(benches);
