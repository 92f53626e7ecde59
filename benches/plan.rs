//! The builder over clusters of growing size, with the shipped catalogue and every fact recorded.

#[path = "../tests/it/graph/cluster.rs"]
mod cluster;

use cluster::{Cluster, shipped};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mkectl::plan::build;
use std::hint::black_box;

fn builder(c: &mut Criterion) {
    let catalogue = shipped();
    let mut group = c.benchmark_group("build");
    group.sample_size(10);
    for hosts in [100, 1_000, 10_000] {
        let cluster = Cluster::new(5, hosts - 5);
        let situation = cluster.situation();
        group.throughput(Throughput::Elements(hosts as u64));
        group.bench_with_input(BenchmarkId::from_parameter(hosts), &situation, |b, situation| {
            b.iter(|| build(&catalogue, black_box(situation)).expect("the shipped catalogue unfolds"));
        });
    }
    group.finish();
}

criterion_group!(benches, builder);
criterion_main!(benches);
