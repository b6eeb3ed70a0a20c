//! The folder client against any server, any store and any driver.
#![no_main]

mod machine;

use arbitrary::Unstructured;
use feige_core::stream::{FolderClient, Limits};
use feige_core::time::Instant;
use feige_core::wire::ipmsg::FileRequest;
use libfuzzer_sys::fuzz_target;

/// What the peer likes to say.
const PHRASES: &[&[u8]] = &[
    b"0013:d:000000000:2:",
    b"0013:a:000000005:1:",
    b"0013:b:000000200:1:",
    b"0014:ln:000000000:4:",
    b"000b:.:0:3:",
    b"0000:",
    b"0<\0\0\0\0\0\0",
    b"hello",
];

fuzz_target!(|data: &[u8]| {
    let Some((&room, data)) = data.split_first() else { return };
    let Ok(request) = FileRequest::parse(b"1:9:u:h:98:7:1:0:\0") else { unreachable!() };
    let limits = Limits { depth: 5, entries: 50, octets: 1 << 40 };
    let mut buffer = vec![0xa5; usize::from(room) * 8];
    let Ok(mut client) = FolderClient::new(Instant::START, &mut buffer, &request, limits) else { return };
    // Input that runs out ends a run; it is no error.
    let _ = machine::exercise(&mut client, PHRASES, &mut Unstructured::new(data));
    let totals = client.totals();
    assert!(totals.files + totals.folders + totals.skipped <= limits.entries);
});
