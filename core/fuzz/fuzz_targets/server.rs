//! The server against any client, any store and any driver.
#![no_main]

mod machine;

use arbitrary::Unstructured;
use feige_core::stream::Server;
use feige_core::time::Instant;
use libfuzzer_sys::fuzz_target;

/// What the peer likes to say.
const PHRASES: &[&[u8]] = &[b"1:9:u:h:96:7:1:0:\0", b"1:9:u:h:98:7:1:\0", b"1:9:u:h:96:7:1", b":3:"];

fuzz_target!(|data: &[u8]| {
    let Some((&room, data)) = data.split_first() else { return };
    let mut buffer = vec![0xa5; usize::from(room) * 8];
    // Input that runs out ends a run; it is no error.
    let _ = machine::exercise(&mut Server::new(Instant::START, &mut buffer), PHRASES, &mut Unstructured::new(data));
});
