//! Headers of the verified transfer: what is read can be written and is read the same again.
#![no_main]

use feige_core::wire::transfer::{LENGTH, Path, Prefix, Reply, Request, decode, encode, prefix};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    if let Ok(Prefix::Header(len)) = prefix(octets, 4096) {
        assert!((1..=4096).contains(&len));
    }
    let mut buffer = vec![0xa5; octets.len() + 64];
    if let Ok(request) = decode::<Request<'_>>(octets) {
        let len = encode(&request, &mut buffer).unwrap();
        assert_eq!(decode(&buffer[LENGTH..len]), Ok(request));
        assert_eq!(encode(&request, &mut buffer[..len - 1]).unwrap_err().needed, len);
        assert!(len <= octets.len() + LENGTH, "numbers have no shorter form");
        if let Request::Stat { path } | Request::Get(feige_core::wire::transfer::Get { path, .. }) = request {
            check(path);
        }
    }
    if let Ok(reply) = decode::<Reply<'_>>(octets) {
        let len = encode(&reply, &mut buffer).unwrap();
        assert_eq!(decode(&buffer[LENGTH..len]), Ok(reply));
        assert_eq!(encode(&reply, &mut []).unwrap_err().needed, len);
    }
});

/// Paths stay below the home.
fn check(text: &str) {
    let Ok(path) = Path::parse(text) else { return };
    assert_eq!(Path::parse(path.as_str()), Ok(path));
    assert!(path.names().count() <= Path::DEPTH);
    assert!(path.names().all(|name| !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', '\0'])));
    if let Some((folder, name)) = path.split() {
        assert_eq!(folder.names().count() + 1, path.names().count());
        assert_eq!(path.names().last(), Some(name));
    }
}
