//! How much the machines and the blocking driver cost, without a network and without a disk.
//!
//! `cargo bench -p feige-core --bench stream`

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use embedded_io::{ErrorType, Read, Write};
use feige_core::drive::blocking::{self, Scratch, Transport};
use feige_core::stream::{Entry, FolderClient, Limits, Metadata, Opened, Outcome, Server, Store, Target};
use feige_core::time::Instant;
use feige_core::wire::ipmsg::{FileRequest, Header, Options, PacketNo, PacketToken, RequestKind, RequestedId};

const FILES: u32 = 10_000;

/// The largest file: 64 KiB of the same octet.
static OCTETS: [u8; 65_536] = [b'x'; 65_536];

/// A folder of [`FILES`] files of `size` octets; keeps nothing that it receives.
struct Flat {
    size: u64,
    next: u32,
}

impl Store for Flat {
    type Error = Infallible;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, Infallible> {
        let metadata = Metadata { modified: Some(0x65a0_b0c0), created: Some(0x65a0_b0c0), ..Metadata::default() };
        Ok(match target {
            Target::Request(_) => {
                self.next = 0;
                Opened::Folder(Entry { name: "docs".into(), size: 0, metadata })
            }
            Target::Next if self.next == FILES => Opened::Leave,
            Target::Next => {
                self.next += 1;
                Opened::File(Entry { name: "a file name.txt".into(), size: self.size, metadata })
            }
            Target::File(_) | Target::Folder(_) | Target::Leave(_) | Target::Ask(_) => Opened::Ready,
        })
    }

    fn load(&mut self, at: u64, into: &mut [u8]) -> Result<usize, Infallible> {
        let left = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX);
        let count = left.min(into.len());
        into[..count].copy_from_slice(&OCTETS[..count]);
        Ok(count)
    }

    fn save(&mut self, _: u64, octets: &[u8]) -> Result<(), Infallible> {
        black_box(octets);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Reads from a slice; writes to nowhere, or to a vector.
struct Memory<'a> {
    input: &'a [u8],
    output: Option<Vec<u8>>,
}

impl ErrorType for Memory<'_> {
    type Error = Infallible;
}

impl Read for Memory<'_> {
    fn read(&mut self, room: &mut [u8]) -> Result<usize, Infallible> {
        let count = room.len().min(self.input.len());
        let (now, later) = self.input.split_at(count);
        room[..count].copy_from_slice(now);
        self.input = later;
        Ok(count)
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, octets: &[u8]) -> Result<usize, Infallible> {
        match &mut self.output {
            Some(output) => output.extend_from_slice(octets),
            None => _ = black_box(octets),
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Transport for Memory<'_> {
    fn limit(&mut self, _: Option<Duration>) -> Result<(), Infallible> {
        Ok(())
    }

    fn shutdown(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

fn request() -> FileRequest<'static> {
    let kind = RequestKind::Folder;
    let header = Header {
        version: "1".into(),
        packet_no: PacketToken("9".into()),
        user: "u".into(),
        host: "h".into(),
        command: kind.command(),
        options: Options::default(),
    };
    FileRequest { header, kind, packet_no: PacketNo(1), id: RequestedId::of(1), offset: 0 }
}

fn serve(size: u64, buffer: &mut [u8], output: Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut memory = Memory { input: b"1:9:u:h:98:1:1:0:\0", output };
    let mut scratch = [0; 4096];
    let server = Server::new(Instant::START, buffer);
    let store = &mut Flat { size, next: 0 };
    let outcome = blocking::run(server, &mut memory, store, &mut Scratch(&mut scratch), || Instant::START);
    assert!(matches!(outcome, Ok(Outcome::Complete(totals)) if totals.files == FILES));
    memory.output
}

fn fetch(stream: &[u8], buffer: &mut [u8]) {
    let client = FolderClient::new(Instant::START, buffer, &request(), Limits::default());
    let client = client.expect("the buffer holds a request");
    let mut memory = Memory { input: stream, output: None };
    let mut scratch = [0; 4096];
    let store = &mut Flat { size: 0, next: 0 };
    let outcome = blocking::run(client, &mut memory, store, &mut Scratch(&mut scratch), || Instant::START);
    assert!(matches!(outcome, Ok(Outcome::Complete(totals)) if totals.files == FILES));
}

/// Empty files: nothing but headers. Then 4 KiB, which share buffers, and 64 KiB through a scratch buffer of 4 KiB:
/// the driver's cost per step.
fn folders(c: &mut Criterion) {
    for (name, size, room) in [
        ("headers", 0, 64 * 1024),
        ("headers, 512-octet buffer", 0, 512),
        ("4 KiB files", 4096, 64 * 1024),
        ("64 KiB files, 4 KiB steps", 65_536, 4096),
    ] {
        let mut buffer = vec![0; room];
        let stream = serve(size, &mut buffer, Some(Vec::new())).unwrap_or_default();
        let mut group = c.benchmark_group(name);
        group.sample_size(20).throughput(match size {
            0 => Throughput::Elements(u64::from(FILES)),
            _ => Throughput::Bytes(u64::from(FILES) * size),
        });
        group.bench_function("serve", |b| b.iter(|| serve(size, &mut buffer, None)));
        group.bench_function("fetch", |b| b.iter(|| fetch(&stream, &mut buffer)));
        group.finish();
    }
}

criterion_group!(benches, folders);
criterion_main!(benches);
