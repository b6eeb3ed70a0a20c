//! How fast octets become views and views become octets: `cargo bench -p feige-core --bench wire`.
//!
//! | name | octets | what it is |
//! |---|---|---|
//! | entry | 90 | BR_ENTRY of FeiQ with a name in GBK |
//! | chat | 300 | SENDMSG in UTF-8 |
//! | offer | 1,200 | SENDMSG with some 800 octets of text and a list of files |
//! | long | 8,192 | the longest SENDMSG that everybody receives |
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use feige_core::wire::ipmsg::{
    Datagram, Entry, EscapedName, FileRequest, FolderHeader, FolderScan, Header, MAX_DATAGRAM,
};

/// A FeiQ entry as captured.
const ENTRY: &[u8] =
    b"1_lbt80_8#128#80FA5B42A569#0#0#0#4000#9:1505470103:hasee:DESKTOP-KG65FBS:6291459:35_\xcb\xef\xd6\xbe\xb3\xc9";

fn message(options: &str, len: usize, tail: &[u8]) -> Vec<u8> {
    let mut octets = format!("1:1700000020:alice:DESKTOP-KG65FBS:{options}:").into_bytes();
    let text = "你好, see http://example.org:80/ ";
    let room = len - tail.len();
    octets.extend(text.bytes().cycle().take(room - octets.len()));
    octets.extend_from_slice(tail);
    assert_eq!(octets.len(), len);
    octets
}

fn datagrams() -> [(&'static str, Vec<u8>); 4] {
    let mut list = b"\0".to_vec();
    for id in 1..=9 {
        list.extend(format!("{id}:report {id} of last year.pdf:12345:65a0b0c0:1:\x07").bytes());
    }
    list.push(0);
    [
        ("entry", ENTRY.to_vec()),
        ("chat", message("8388896", 300, b"\0")),
        ("offer", message("10486048", 1200, &list)),
        ("long", message("8388896", MAX_DATAGRAM, b"\0")),
    ]
}

fn each(c: &mut Criterion, group: &str, mut bench: impl FnMut(&mut BenchmarkGroup<'_, WallTime>, &str, &[u8])) {
    let mut group = c.benchmark_group(group);
    for (name, octets) in datagrams() {
        group.throughput(Throughput::Bytes(octets.len() as u64));
        bench(&mut group, name, &octets);
    }
    group.finish();
}

fn parse(c: &mut Criterion) {
    each(c, "parse", |group, name, octets| {
        group.bench_function(name, |b| b.iter(|| Datagram::parse(black_box(octets)).unwrap()));
    });
    each(c, "parse header", |group, name, octets| {
        group.bench_function(name, |b| b.iter(|| Header::parse(black_box(octets)).unwrap()));
    });
    let mut group = c.benchmark_group("look");
    let [(_, entry), _, (_, offer), _] = datagrams();
    group.throughput(Throughput::Bytes(entry.len() as u64));
    group.bench_function("entry", |b| {
        b.iter(|| Entry::of(&Datagram::parse(black_box(&entry)).unwrap()).nick());
    });
    group.throughput(Throughput::Bytes(offer.len() as u64));
    group.bench_function("offer", |b| {
        b.iter(|| {
            let datagram = Datagram::parse(black_box(&offer)).unwrap();
            let sizes = datagram.attachments().map(|attachment| attachment.unwrap().size.unwrap());
            assert_eq!(sizes.sum::<u64>(), 9 * 0x12345);
        });
    });
    group.finish();
}

fn emit(c: &mut Criterion) {
    each(c, "emit", |group, name, octets| {
        let datagram = Datagram::parse(octets).unwrap();
        let mut buffer = [0; MAX_DATAGRAM];
        group.bench_function(name, |b| b.iter(|| black_box(&datagram).emit(black_box(&mut buffer)).unwrap()));
    });
}

fn stream(c: &mut Criterion) {
    let mut group = c.benchmark_group("stream");
    let header = b"002f:a.txt:000000003:1:14=65a0b0c0:16=65a0b0c0:";
    group.throughput(Throughput::Bytes(header.len() as u64));
    group.bench_function("folder header, scan", |b| b.iter(|| FolderHeader::scan(black_box(header), false).unwrap()));
    let Ok(FolderScan::Header { header, .. }) = FolderHeader::scan(header, false) else { panic!() };
    let header = FolderHeader { name: EscapedName::plain(b"a.txt"), ..header };
    group.bench_function("folder header, emit", |b| {
        let mut buffer = [0; 64];
        b.iter(|| black_box(&header).emit(black_box(&mut buffer)).unwrap());
    });
    let request = b"1:1700000080:u:h:8388704:6553f150:12345678:0:\0";
    group.throughput(Throughput::Bytes(request.len() as u64));
    group.bench_function("request, scan and parse", |b| {
        b.iter(|| (FileRequest::scan(black_box(request)), FileRequest::parse(black_box(request)).unwrap()));
    });
    group.finish();
}

criterion_group!(benches, parse, emit, stream);
criterion_main!(benches);
