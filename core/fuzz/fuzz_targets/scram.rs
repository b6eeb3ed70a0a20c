//! Messages of a sign-in, to both sides; and any name and password between them.
#![no_main]

use feige_core::stream::transfer::Verifier;
use feige_core::stream::transfer::scram::{ClientExchange, MESSAGE_MAX, NONCE, ServerExchange, derive};
use libfuzzer_sys::fuzz_target;

const SALT: &[u8] = b"0123456789abcdef";

fuzz_target!(|input: (&str, &str, &str)| {
    let (one, two, three) = input;
    let mut room = [0xa5; MESSAGE_MAX];
    let keys = [1; 32];
    let verifier = Verifier { salt: SALT, iterations: 4096, stored_key: keys, server_key: keys };
    if let Ok(mut server) = ServerExchange::first(one, &[1; NONCE]) {
        assert!(!server.user().is_empty());
        assert!(server.challenge(&verifier, &mut room).is_ok(), "the room is always enough");
        assert!(server.finish(two, &mut room).is_err(), "nobody knows a password for these keys");
        assert!(server.finish(two, &mut room).is_err(), "each step is taken once");
    }

    let Ok(mut client) = ClientExchange::new(one, &[2; NONCE]) else { return };
    let first = client.first(&mut room).expect("the room is always enough").to_owned();
    let nonce = first.rsplit_once("r=").expect("a nonce").1;
    // What the server says begins as it should, or not; it must not ask for hours of work.
    let said = format!("r={nonce}{three}");
    let slow = said.rsplit_once(",i=").is_some_and(|(_, count)| count.len() > 4);
    assert!(client.confirm(two).is_err());
    if !slow {
        let mut client = ClientExchange::new(one, &[2; NONCE]).expect("as before");
        if client.challenge(&said, two, &mut room).is_ok() {
            assert!(client.confirm(three).is_err(), "a server that guesses is none");
        }
    }

    // Both sides understand each other whatever the name and the password are.
    let keys = derive(two, SALT, 4096);
    let verifier = Verifier { stored_key: keys.stored_key, server_key: keys.server_key, ..verifier };
    let mut client = ClientExchange::new(one, &[2; NONCE]).expect("as before");
    let mut server = ServerExchange::first(&first, &[1; NONCE]).expect("a name that a client may have");
    assert_eq!(server.user(), one);
    let challenge = server.challenge(&verifier, &mut room).expect("a sound verifier").to_owned();
    let proof = client.challenge(&challenge, two, &mut room).expect("a sound challenge").to_owned();
    let signature = server.finish(&proof, &mut room).expect("the password").to_owned();
    assert_eq!(client.confirm(&signature), Ok(()));
});
