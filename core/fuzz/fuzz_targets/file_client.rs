//! The file client against any server, any store and any driver.
#![no_main]

mod machine;

use arbitrary::Unstructured;
use feige_core::stream::{Announced, FileClient, Metadata};
use feige_core::time::Instant;
use feige_core::wire::ipmsg::FileRequest;
use libfuzzer_sys::fuzz_target;

/// What the peer likes to say.
const PHRASES: &[&[u8]] = &[&[b'x'; 64]];

fuzz_target!(|input: (u64, Option<u64>, &[u8])| {
    let (offset, size, data) = input;
    let Ok(request) = FileRequest::parse(b"1:9:u:h:96:7:1:0:\0") else { unreachable!() };
    let request = FileRequest { offset, ..request };
    let announced = size.map_or(Announced::Unknown { limit: 1 << 40 }, Announced::Size);
    let mut buffer = [0xa5; 64];
    let client = FileClient::new(Instant::START, &mut buffer, &request, announced, Metadata::default());
    let Ok(mut client) = client else { unreachable!() };
    // Input that runs out ends a run; it is no error.
    let _ = machine::exercise(&mut client, PHRASES, &mut Unstructured::new(data));
    let most = size.unwrap_or(1 << 40).saturating_sub(offset);
    assert!(client.received() <= most);
});
