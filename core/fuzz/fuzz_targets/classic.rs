//! The classic dialects: what is read can be written and is read the same again; more octets never unsay what fewer
//! said; a salted digest does not depend on how the octets came.
#![no_main]

use feige_core::wire::BufferTooSmall;
use feige_core::wire::classic::{CommandReply, JsonText, MAX_DEPTH, Object, Opening, Request, SaltedMd5, prefix};
use feige_core::wire::transfer::Prefix;
use libfuzzer_sys::fuzz_target;

/// What an emitter writes, without the length.
fn written(emit: impl Fn(&mut [u8]) -> Result<usize, BufferTooSmall>) -> Vec<u8> {
    let BufferTooSmall { needed } = emit(&mut []).unwrap_err();
    let mut buffer = vec![0xa5; needed];
    assert_eq!(emit(&mut buffer), Ok(needed));
    assert!(buffer[4..].is_ascii());
    assert_eq!(buffer[..4], u32::try_from(needed - 4).unwrap().to_le_bytes());
    buffer.split_off(4)
}

/// The deepest nesting, by counting braces outside of texts.
fn depth(octets: &[u8]) -> usize {
    let (mut depth, mut deepest, mut text, mut escaped) = (0_usize, 0, false, false);
    for &octet in octets {
        match (text, escaped, octet) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, false, b'"') => text = !text,
            (false, _, b'{' | b'[') => depth += 1,
            (false, _, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fuzz_target!(|octets: &[u8]| {
    let mut opening = Opening::More;
    for len in 0..=octets.len().min(8) {
        let next = Opening::of(&octets[..len]);
        assert!(matches!(opening, Opening::More | Opening::Brief) || next == opening, "{opening:?}, then {next:?}");
        opening = next;
    }
    let header = match prefix(octets) {
        Ok(Prefix::Header(len)) => octets[4..].get(..len).unwrap_or(octets),
        _ => octets,
    };

    let (mut whole, mut pieces) = (SaltedMd5::new(), SaltedMd5::new());
    whole.update(header);
    header.chunks(7).for_each(|piece| pieces.update(piece));
    assert_eq!(whole.finish(None), pieces.finish(None));

    let object = Object::parse(header);
    let request = Request::parse(header);
    let reply = CommandReply::parse(header);
    if let Ok(object) = object {
        assert!(depth(header) <= usize::from(MAX_DEPTH));
        assert!(core::str::from_utf8(header).is_ok());
        if let Some(text) = object.value("file_name").and_then(|value| value.text()) {
            let plain = text.to_string();
            assert_eq!(text, JsonText::plain(&plain));
            let mut buffer = vec![0; plain.len()];
            assert_eq!(text.copy_to(&mut buffer), Some(plain.as_str()));
        }
    } else {
        assert!(request.is_err() && reply.is_err());
    }
    if let Ok(request) = request {
        let again = match request {
            Request::Upload(upload) => written(|buffer| upload.emit(buffer)),
            Request::Put(put) => written(|buffer| put.emit(buffer)),
            Request::Salted(salted) => written(|buffer| salted.emit(buffer)),
        };
        assert_eq!(Request::parse(&again), Ok(request));
    }
    if let Ok(reply) = reply {
        let again = written(|buffer| reply.emit(buffer));
        assert_eq!(CommandReply::parse(&again), Ok(reply));
    }
});
