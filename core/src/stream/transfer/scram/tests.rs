//! The example of RFC 7677 on both sides, and everything that is not like it.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::*;

/// RFC 7677, section 3.
mod rfc {
    pub(super) const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    pub(super) const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    pub(super) const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    pub(super) const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    pub(super) const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                           p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    pub(super) const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    pub(super) const PASSWORD: &str = "pencil";
    pub(super) const SALT: [u8; 16] =
        [0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81];
}

/// Room for any message.
fn room() -> [u8; MESSAGE_MAX] {
    [0; MESSAGE_MAX]
}

fn verifier(password: &str) -> Verifier<'static> {
    let Keys { stored_key, server_key } = derive(password, &rfc::SALT, 4096);
    Verifier { salt: &rfc::SALT, iterations: 4096, stored_key, server_key }
}

/// A server that has sent the RFC's challenge.
fn challenged(password: &str) -> ServerExchange {
    let mut server = ServerExchange::first_with(rfc::CLIENT_FIRST, rfc::SERVER_NONCE).expect("the RFC's message");
    server.challenge(&verifier(password), &mut room()).expect("the RFC's verifier");
    server
}

/// A client that has sent the RFC's first message.
fn client() -> ClientExchange {
    ClientExchange::with_nonce("user", rfc::CLIENT_NONCE).expect("the RFC's name")
}

/// proves: R-VT-15
#[test]
fn the_client_of_the_rfc() {
    let mut client = client();
    assert_eq!(client.first(&mut room()), Ok(rfc::CLIENT_FIRST));
    assert_eq!(client.challenge(rfc::SERVER_FIRST, rfc::PASSWORD, &mut room()), Ok(rfc::CLIENT_FINAL));
    assert_eq!(client.confirm(rfc::SERVER_FINAL), Ok(()));
}

/// proves: R-VT-15
#[test]
fn the_server_of_the_rfc() {
    let mut server = ServerExchange::first_with(rfc::CLIENT_FIRST, rfc::SERVER_NONCE).expect("the RFC's message");
    assert_eq!(server.user(), "user");
    assert_eq!(server.challenge(&verifier(rfc::PASSWORD), &mut room()), Ok(rfc::SERVER_FIRST));
    assert_eq!(server.finish(rfc::CLIENT_FINAL, &mut room()), Ok(rfc::SERVER_FINAL));
}

/// A whole sign-in with nonces as they are used.
fn sign_in(user: &str, password: &str, verifier: &Verifier<'_>) -> Result<(), ScramError> {
    let (mut to_server, mut to_client) = (room(), room());
    let mut client = ClientExchange::new(user, &[7; NONCE])?;
    let mut server = ServerExchange::first(client.first(&mut to_server)?, &[8; NONCE])?;
    assert_eq!(server.user(), user);
    let challenge = server.challenge(verifier, &mut to_client)?;
    let proof = client.challenge(challenge, password, &mut to_server)?;
    client.confirm(server.finish(proof, &mut to_client)?)
}

/// proves: R-VT-15
#[test]
fn the_password_opens_and_nothing_else_does() {
    let account = verifier("correct horse");
    assert_eq!(sign_in("alice", "correct horse", &account), Ok(()));
    for wrong in ["", "correct hors", "correct horse ", "Correct horse", "\0correct horse"] {
        assert_eq!(sign_in("alice", wrong, &account), Err(ScramError::WrongProof), "{wrong:?}");
    }
    // Longer than a block of the hash.
    let long = "p".repeat(1024);
    assert_eq!(sign_in("alice", &long, &verifier(&long)), Ok(()));
    assert_eq!(sign_in("alice", &long[1..], &verifier(&long)), Err(ScramError::WrongProof));
}

/// proves: R-VT-15
#[test]
fn an_unknown_user_sees_what_a_known_one_sees() {
    let secret = [3; 32];
    let salt = decoy(&secret, "mallory");
    assert_eq!(salt, decoy(&secret, "mallory"), "the same at every attempt");
    assert_ne!(salt, decoy(&secret, "malory"));
    assert_ne!(salt, decoy(&[4; 32], "mallory"), "not to be told without the secret");
    let made_up = Verifier { salt: &salt, iterations: 4096, stored_key: [9; 32], server_key: [9; 32] };
    assert_eq!(sign_in("mallory", "pencil", &made_up), Err(ScramError::WrongProof));

    // The challenges have the same form, and the failures are the same.
    let challenge = |verifier: &Verifier<'_>| {
        let mut server = ServerExchange::first_with(rfc::CLIENT_FIRST, rfc::SERVER_NONCE).expect("good");
        server.challenge(verifier, &mut room()).expect("good").len()
    };
    assert_eq!(challenge(&made_up), challenge(&verifier("pencil")));
}

#[test]
fn every_name_survives_its_way() {
    for user in ["a", "a,b", "a=b", "=2C", ",,==", "飞鸽", "n=x,r=y", &",".repeat(USER_MAX)] {
        assert_eq!(sign_in(user, "pw", &verifier("pw")), Ok(()), "{user}");
    }
    let mut out = room();
    let client = ClientExchange::new(&"=".repeat(USER_MAX), &[0xff; NONCE]).expect("the longest name");
    assert!(client.first(&mut out).expect("room for any message").len() <= MESSAGE_MAX);
    let nonce = [0; NONCE];
    assert_eq!(ClientExchange::new(&"x".repeat(USER_MAX + 1), &nonce).unwrap_err(), ScramError::Length);
    for wrong in ["", "a\0", "a\nb", "\u{9b}31m"] {
        assert_eq!(ClientExchange::new(wrong, &nonce).unwrap_err(), ScramError::Malformed, "{wrong:?}");
    }
}

#[test]
fn a_first_message_is_taken_or_refused() {
    use ScramError::{Length, Malformed, Unsupported};
    let first = |message: &str| ServerExchange::first_with(message, "x").map(|server| server.user().to_string());
    for (message, user) in [
        ("n,,n=user,r=x", "user"),
        ("y,,n=user,r=x", "user"),
        ("n,,n=a=2Cb=3Dc,r=!~", "a,b=c"),
        ("n,,n=user,r=x,t=later", "user"),
    ] {
        assert_eq!(first(message).as_deref(), Ok(user), "{message}");
    }
    let (long_user, long_nonce) = ("u".repeat(USER_MAX + 1), "r".repeat(CLIENT_NONCE_MAX + 1));
    let long_extension = format!("n,,n=u,r=x,t={}", "t".repeat(BARE_MAX));
    for (message, error) in [
        ("p=tls-unique,,n=user,r=x", Unsupported),
        ("n,a=root,n=user,r=x", Unsupported),
        ("n,,m=x,n=user,r=x", Unsupported),
        ("n,,n=user,m=x,r=x", Unsupported),
        ("n,,n=user,r=x,m=x", Unsupported),
        ("n,,n=user,r=x,t=x,m=x", Unsupported),
        ("", Malformed),
        ("n,,", Malformed),
        ("N,,n=user,r=x", Malformed),
        ("n=user,r=x", Malformed),
        ("n,,n=,r=x", Malformed),
        ("n,,n=user", Malformed),
        ("n,,n=user,r=", Malformed),
        ("n,,r=x,n=user", Malformed),
        ("n,,n=user,,r=x", Malformed),
        ("n,,n=us=er,r=x", Malformed),
        ("n,,n=us=2cer,r=x", Malformed),
        ("n,,n=user=,r=x", Malformed),
        ("n,,n=user=3,r=x", Malformed),
        ("n,,n=us\0er,r=x", Malformed),
        ("n,,n=us\x1b[2Jer,r=x", Malformed),
        ("n,,n=user,r=x y", Malformed),
        ("n,,n=user,r=x\0", Malformed),
        ("n,,n=user,r=é", Malformed),
        ("n,,n=user,r=x,", Malformed),
        ("n,,n=user,r=x,t", Malformed),
        ("n,,n=user,r=x,t=", Malformed),
        ("n,,n=user,r=x,1=x", Malformed),
        (&format!("n,,n={long_user},r=x"), Length),
        (&format!("n,,n=u,r={long_nonce}"), Length),
        (&long_extension, Length),
    ] {
        assert_eq!(first(message), Err(error), "{message:?}");
    }
}

#[test]
fn a_final_message_proves_the_client_or_does_not() {
    use ScramError::{Malformed, Nonce, Unsupported, WrongProof};
    let (unproven, proof) = rfc::CLIENT_FINAL.split_once(",p=").expect("with a proof");
    let nonces = unproven.trim_start_matches("c=biws,r=");
    for (message, error) in [
        (String::new(), Malformed),
        (unproven.into(), Malformed),
        (format!("{unproven},p="), Malformed),
        (format!("{unproven},p={proof}="), Malformed),
        (format!("{unproven},p={proof},x=y"), Malformed),
        (format!("{unproven},p={}", &proof[..40]), Malformed),
        (format!("{unproven},p={proof}{proof}"), Malformed),
        (format!("{unproven},p=dHzb\0{}", &proof[5..]), Malformed),
        (format!("{unproven},p=AAAA{}", &proof[4..]), WrongProof),
        // What was signed is another message than what came.
        (format!("{unproven},x=y,p={proof}"), WrongProof),
        (format!("{unproven},m=y,p={proof}"), Unsupported),
        // The front of the first message was `n,,`.
        (format!("c=eSws,r={nonces},p={proof}"), Unsupported),
        (format!("c=,r={nonces},p={proof}"), Unsupported),
        (format!("r={nonces},c=biws,p={proof}"), Malformed),
        (format!("c=biws,r={nonces}x,p={proof}"), Nonce),
        (format!("c=biws,r={},p={proof}", &nonces[1..]), Nonce),
        (format!("c=biws,r={},p={proof}", rfc::CLIENT_NONCE), Nonce),
        (rfc::CLIENT_FINAL.to_uppercase(), Malformed),
    ] {
        assert_eq!(challenged(rfc::PASSWORD).finish(&message, &mut room()), Err(error), "{message:?}");
    }
    assert_eq!(challenged("pencil2").finish(rfc::CLIENT_FINAL, &mut room()), Err(WrongProof));
    assert_eq!(challenged(rfc::PASSWORD).finish(rfc::CLIENT_FINAL, &mut room()), Ok(rfc::SERVER_FINAL));
}

/// proves: R-VT-15
#[test]
fn a_proof_is_good_once() {
    let mut server = challenged(rfc::PASSWORD);
    assert!(server.finish(rfc::CLIENT_FINAL, &mut room()).is_ok());
    assert_eq!(server.finish(rfc::CLIENT_FINAL, &mut room()), Err(ScramError::OutOfTurn));

    // Recorded and played to another exchange of the same user: our nonce is another one.
    let mut other = ServerExchange::first_with(rfc::CLIENT_FIRST, "other").expect("good");
    other.challenge(&verifier(rfc::PASSWORD), &mut room()).expect("good");
    assert_eq!(other.finish(rfc::CLIENT_FINAL, &mut room()), Err(ScramError::Nonce));

    // Guessing goes on with a new exchange only, which can be counted.
    let mut server = challenged("another");
    assert_eq!(server.finish(rfc::CLIENT_FINAL, &mut room()), Err(ScramError::WrongProof));
    assert_eq!(server.finish(rfc::CLIENT_FINAL, &mut room()), Err(ScramError::OutOfTurn));
}

#[test]
fn steps_come_in_their_turn() {
    let mut server = ServerExchange::first_with(rfc::CLIENT_FIRST, rfc::SERVER_NONCE).expect("good");
    assert_eq!(server.finish(rfc::CLIENT_FINAL, &mut room()), Err(ScramError::OutOfTurn));
    let mut server = challenged(rfc::PASSWORD);
    assert_eq!(server.challenge(&verifier(rfc::PASSWORD), &mut room()), Err(ScramError::OutOfTurn));
    let mut early = client();
    assert_eq!(early.confirm(rfc::SERVER_FINAL), Err(ScramError::OutOfTurn));
    let mut twice = client();
    assert!(twice.challenge(rfc::SERVER_FIRST, rfc::PASSWORD, &mut room()).is_ok());
    assert_eq!(twice.challenge(rfc::SERVER_FIRST, rfc::PASSWORD, &mut room()), Err(ScramError::OutOfTurn));
}

#[test]
fn a_challenge_is_taken_or_refused() {
    use ScramError::{Iterations, Length, Malformed, Nonce, Unsupported};
    let good = "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    for message in [good, &format!("{good},t=x"), &good.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "W22ZaJ0SNY4=")] {
        assert!(client().challenge(message, "pencil", &mut room()).is_ok(), "{message}");
    }
    let long = format!("r=rOprNGfwEbeRWgbNEkqO{},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "x".repeat(BOTH_NONCES));
    let salt = |salt: &str| good.replace("W22ZaJ0SNY7soEsUEjb6gQ==", salt);
    let times = |times: &str| good.replace("4096", times);
    for (message, error) in [
        (String::new(), Malformed),
        ("e=other-error".into(), Malformed),
        (format!("m=x,{good}"), Unsupported),
        (format!("{good},m=x"), Unsupported),
        (format!("{good},"), Malformed),
        (good.replace("rOpr", "rOpR"), Nonce),
        // Our nonce alone: the server has added nothing.
        (good.replace("Ox,", "O,"), Malformed),
        (good.replace("Ox,", "Ox y,"), Malformed),
        (good.replace("Ox,", "Ox\0,"), Malformed),
        (good.replace("Ox,", "Oé,"), Malformed),
        (long, Length),
        (salt(""), Length),
        (salt("W22ZaJ0SNQ=="), Length),
        (salt(&"AAAA".repeat(11)), Length),
        (salt("W22ZaJ0SNY7soEsUEjb6gQ="), Malformed),
        (salt("W22ZaJ0SNY7soEsUEjb6gR=="), Malformed),
        (salt("W22ZaJ0SNY7s=EsUEjb6gQ=="), Malformed),
        (times(""), Malformed),
        (times("+4096"), Malformed),
        (times("-1"), Malformed),
        (times("04096"), Malformed),
        (times("4096 "), Malformed),
        (times("1"), Iterations(1)),
        (times("4095"), Iterations(4095)),
        (times("600001"), Iterations(600_001)),
        (times("99999999999999999999"), Iterations(u32::MAX)),
    ] {
        assert_eq!(client().challenge(&message, "pencil", &mut room()), Err(error), "{message:?}");
    }
}

/// proves: R-VT-15
#[test]
fn the_server_proves_itself_too() {
    use ScramError::{Malformed, OutOfTurn, Refused, Unsupported, WrongServer};
    for (message, result) in [
        (rfc::SERVER_FINAL.into(), Ok(())),
        (format!("{},x=y", rfc::SERVER_FINAL), Ok(())),
        (format!("{},m=y", rfc::SERVER_FINAL), Err(Unsupported)),
        (rfc::SERVER_FINAL.replace("v=6", "v=7"), Err(WrongServer)),
        (format!("v={}=", "A".repeat(43)), Err(WrongServer)),
        ("e=invalid-proof".into(), Err(Refused)),
        ("e=".into(), Err(Refused)),
        (String::new(), Err(Malformed)),
        ("v=".into(), Err(Malformed)),
        ("v=AAAA".into(), Err(Malformed)),
        ("v=\0".into(), Err(Malformed)),
    ] {
        let mut client = client();
        assert!(client.challenge(rfc::SERVER_FIRST, rfc::PASSWORD, &mut room()).is_ok());
        assert_eq!(client.confirm(&message), result, "{message:?}");
        assert_eq!(client.confirm(rfc::SERVER_FINAL), Err(OutOfTurn), "a second answer is none");
    }
    // Somebody who does not know the account cannot pass for its server, though it accepts any proof.
    let mut client = client();
    let challenge = rfc::SERVER_FIRST.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "AAAAAAAAAAAAAAAAAAAAAA==");
    assert!(client.challenge(&challenge, rfc::PASSWORD, &mut room()).is_ok());
    assert_eq!(client.confirm(rfc::SERVER_FINAL), Err(WrongServer));
}

/// Every message, cut off anywhere, is an error or proves nothing.
#[test]
fn truncated_messages_are_refused() {
    let cuts = |message: &'static str| (0..message.len()).filter_map(move |len| message.get(..len));
    for cut in cuts(rfc::CLIENT_FIRST) {
        // A nonce may have any length: then it is another exchange, which the client does not go on with.
        if let Ok(mut server) = ServerExchange::first_with(cut, rfc::SERVER_NONCE) {
            let mut out = room();
            let challenge = server.challenge(&verifier("pencil"), &mut out).expect("good");
            assert_eq!(client().challenge(challenge, "pencil", &mut room()), Err(ScramError::Nonce), "{cut}");
        }
    }
    for cut in cuts(rfc::SERVER_FIRST) {
        assert!(client().challenge(cut, rfc::PASSWORD, &mut room()).is_err(), "{cut}");
    }
    for cut in cuts(rfc::CLIENT_FINAL) {
        assert!(challenged(rfc::PASSWORD).finish(cut, &mut room()).is_err(), "{cut}");
    }
    let mut proven = client();
    assert!(proven.challenge(rfc::SERVER_FIRST, rfc::PASSWORD, &mut room()).is_ok());
    let ClientStage::Proven(expected) = proven.stage else { panic!("proven") };
    for cut in cuts(rfc::SERVER_FINAL) {
        proven.stage = ClientStage::Proven(expected);
        assert!(proven.confirm(cut).is_err(), "{cut}");
    }
}

/// Whatever somebody in between changes: nobody is signed in, or takes a stranger for the server.
///
/// proves: R-VT-15
#[test]
fn a_changed_octet_anywhere_spoils_it() {
    let account = verifier(rfc::PASSWORD);
    let begun = |first: &str| {
        let mut server = ServerExchange::first_with(first, rfc::SERVER_NONCE)?;
        server.challenge(&account, &mut room()).map(drop)?;
        Ok::<_, ScramError>(server)
    };
    for changed in changes(rfc::CLIENT_FIRST) {
        // Its proof is for what the client sent.
        if let Ok(mut server) = begun(&changed) {
            assert!(server.finish(rfc::CLIENT_FINAL, &mut room()).is_err(), "{changed:?}");
        }
    }
    // Of each character one change: the password is hashed for every one.
    for changed in changes(rfc::SERVER_FIRST).step_by(4) {
        let mut proof = room();
        if let Ok(proof) = client().challenge(&changed, rfc::PASSWORD, &mut proof) {
            let mut server = begun(rfc::CLIENT_FIRST).expect("good");
            assert!(server.finish(proof, &mut room()).is_err(), "{changed:?}");
        }
    }
    for changed in changes(rfc::CLIENT_FINAL) {
        let mut server = begun(rfc::CLIENT_FIRST).expect("good");
        assert!(server.finish(&changed, &mut room()).is_err(), "{changed:?}");
    }
    let mut proven = client();
    assert!(proven.challenge(rfc::SERVER_FIRST, rfc::PASSWORD, &mut room()).is_ok());
    let ClientStage::Proven(expected) = proven.stage else { panic!("proven") };
    for changed in changes(rfc::SERVER_FINAL) {
        proven.stage = ClientStage::Proven(expected);
        assert!(proven.confirm(&changed).is_err(), "{changed:?}");
    }
}

/// The message with each of its characters replaced by another one, in two ways, left out, and doubled.
fn changes(message: &str) -> impl Iterator<Item = String> {
    (0..message.len()).flat_map(move |at| {
        let (before, after) = (&message[..at], &message[at + 1..]);
        let old = &message[at..=at];
        let new = if old == "A" { "B" } else { "A" };
        [new, ",", "", &old.repeat(2)]
            .map(|new| format!("{before}{new}{after}"))
            .into_iter()
            .filter(move |changed| changed != message)
    })
}

#[test]
fn a_small_buffer_is_an_error() {
    let first = client();
    for len in 0..rfc::CLIENT_FIRST.len() {
        assert_eq!(first.first(&mut room()[..len]), Err(ScramError::BufferTooSmall));
    }
    assert_eq!(first.first(&mut room()[..rfc::CLIENT_FIRST.len()]), Ok(rfc::CLIENT_FIRST));
    let last = rfc::CLIENT_FINAL.len();
    let challenge = |out: &mut [u8]| client().challenge(rfc::SERVER_FIRST, rfc::PASSWORD, out).map(str::len);
    assert_eq!(challenge(&mut room()[..last - 1]), Err(ScramError::BufferTooSmall));
    assert_eq!(challenge(&mut room()[..last]), Ok(last));
    let account = verifier(rfc::PASSWORD);
    for (len, result) in [(rfc::SERVER_FIRST.len(), Ok(())), (85, Err(ScramError::BufferTooSmall))] {
        let mut server = ServerExchange::first_with(rfc::CLIENT_FIRST, rfc::SERVER_NONCE).expect("good");
        assert_eq!(server.challenge(&account, &mut room()[..len]).map(drop), result, "{len}");
    }
    let confirm = |out: &mut [u8]| challenged(rfc::PASSWORD).finish(rfc::CLIENT_FINAL, out).map(str::len);
    assert_eq!(confirm(&mut room()[..45]), Err(ScramError::BufferTooSmall));
    assert_eq!(confirm(&mut room()[..46]), Ok(46));
}

#[test]
fn a_verifier_that_no_client_accepts_is_not_sent() {
    for (salt, iterations, error) in [
        (&[0; 7][..], 4096, ScramError::Length),
        (&[0; 33], 4096, ScramError::Length),
        (&[0; 16], 4095, ScramError::Iterations(4095)),
        (&[0; 16], 600_001, ScramError::Iterations(600_001)),
    ] {
        let mut server = ServerExchange::first(rfc::CLIENT_FIRST, &[0; NONCE]).expect("good");
        let verifier = Verifier { salt, iterations, stored_key: [0; 32], server_key: [0; 32] };
        assert_eq!(server.challenge(&verifier, &mut room()), Err(error));
    }
}

#[test]
fn exchanges_are_small_and_keep_their_secrets() {
    assert!(size_of::<ServerExchange>() <= 512, "{}", size_of::<ServerExchange>());
    assert!(size_of::<ClientExchange>() <= 192, "{}", size_of::<ClientExchange>());
    let shown: Vec<String> =
        [format!("{:?}", challenged("x")), format!("{:?}", client()), format!("{:?}", derive("x", b"salt", 1))].into();
    assert_eq!(shown, ["ServerExchange", "ClientExchange", "Keys"]);
}
