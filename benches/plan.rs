//! Planning for clusters of growing size: each part should take ten times as long for ten times the hosts.
//!
//! `build` is the graph alone, over facts made by hand; the others start from the files of [`support::Files`].

#[path = "../tests/it/graph/cluster.rs"]
mod cluster;
mod support;

use cluster::{Cluster, shipped};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mkectl::catalogue::Bundle;
use mkectl::plan::tables::Tables;
use mkectl::plan::{self, build};
use std::hint::black_box;
use support::{Files, Parsed};

const HOSTS: [usize; 3] = [100, 1_000, 10_000];

fn builder(c: &mut Criterion) {
    let catalogue = shipped();
    let mut group = c.benchmark_group("build");
    group.sample_size(10);
    for hosts in HOSTS {
        let cluster = Cluster::new(5, hosts - 5);
        let situation = cluster.situation();
        group.throughput(Throughput::Elements(hosts as u64));
        group.bench_with_input(BenchmarkId::from_parameter(hosts), &situation, |b, situation| {
            b.iter(|| build(&catalogue, black_box(situation)).expect("the shipped catalogue unfolds"));
        });
    }
    group.finish();
}

fn whole(c: &mut Criterion) {
    let tables = Tables::load(&Bundle::embedded()).expect("the shipped tables load");
    for hosts in HOSTS {
        let files = Files::cluster(hosts);
        let parsed = files.parse();
        let plan = parsed.plan(&tables);
        let json = plan::write(&plan).expect("a plan is JSON");
        let mut group = c.benchmark_group("plan");
        group
            .sample_size(10)
            .throughput(Throughput::Elements(hosts as u64));
        group.bench_with_input(BenchmarkId::new("parse", hosts), &files, |b, files| {
            b.iter(|| black_box(files).parse());
        });
        group.bench_with_input(BenchmarkId::new("make", hosts), &parsed, |b, parsed: &Parsed| {
            b.iter(|| black_box(parsed).make(&tables));
        });
        group.bench_with_input(BenchmarkId::new("digest", hosts), &plan, |b, plan| {
            b.iter(|| plan::digest::digest(black_box(&plan.spec)).expect("a plan is JSON"));
        });
        group.bench_with_input(BenchmarkId::new("write", hosts), &plan, |b, plan| {
            b.iter(|| plan::write(black_box(plan)).expect("a plan is JSON"));
        });
        group.bench_with_input(BenchmarkId::new("read", hosts), &json, |b, json| {
            b.iter(|| plan::read(black_box(json)).expect("what was written is a plan"));
        });
        group.finish();
    }
}

criterion_group!(benches, builder, whole);
criterion_main!(benches);
