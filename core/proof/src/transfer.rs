//! Everything that sessions of the verified transfer protocol do.

use core::hint::black_box;

use feige_core::stream::transfer::Verifier;
use feige_core::stream::transfer::scram::{self, ClientExchange, ServerExchange};

use crate::{keep, shown};

pub fn proof(octets: &'static [u8]) {
    let Ok(text) = core::str::from_utf8(octets) else { return };
    let mut out = [0; scram::MESSAGE_MAX];
    server_signs_in(text, octets, &mut out);
    client_signs_in(text, &mut out);
}

/// Each step at any time, with anything, into a buffer of any size.
#[inline(never)]
fn server_signs_in(text: &str, octets: &[u8], out: &mut [u8]) {
    let keys = scram::derive(text, octets, black_box(4096));
    keep(scram::decoy(&black_box([0; 32]), text));
    let mut exchange = match ServerExchange::first(text, &black_box([0; scram::NONCE])) {
        Ok(exchange) => exchange,
        Err(error) => return shown(Err::<(), _>(error)),
    };
    keep(exchange.user());
    while black_box(true) {
        let verifier = Verifier {
            salt: octets,
            iterations: black_box(4096),
            stored_key: keys.stored_key,
            server_key: keys.server_key,
        };
        let out = out.get_mut(..black_box(1)).unwrap_or_default();
        shown(exchange.challenge(&verifier, out));
        shown(exchange.finish(text, out));
    }
}

#[inline(never)]
fn client_signs_in(text: &str, out: &mut [u8]) {
    let mut exchange = match ClientExchange::new(text, &black_box([0; scram::NONCE])) {
        Ok(exchange) => exchange,
        Err(error) => return shown(Err::<(), _>(error)),
    };
    while black_box(true) {
        let out = out.get_mut(..black_box(1)).unwrap_or_default();
        shown(exchange.first(out));
        shown(exchange.challenge(text, text, out));
        shown(exchange.confirm(text));
    }
}
