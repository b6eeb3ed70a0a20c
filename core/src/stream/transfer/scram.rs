//! SCRAM-SHA-256: signing in with a password that never crosses the wire and that the server does not know.
//!
//! ```text
//!   ClientExchange                                              ServerExchange
//!        first()      -- n,,n=alice,r=… ---------------------->      first()      whose account?  user()
//!        challenge()  <- r=…,s=…,i=65536 ----------------------      challenge()  with the account's Verifier
//!                     -- c=biws,r=…,p=… ---------------------->      finish()     the client is proven
//!        confirm()    <- v=… ----------------------------------                   the server is proven
//! ```
//!
//! The server keeps a [`Verifier`]: who steals it can neither sign in with it nor read the password out of it but by
//! trying all. An unknown user gets a verifier that is made up ([`decoy`]) and takes every step with it, so that
//! a wrong name and a wrong password look and cost the same.
//!
//! **Guarantees**: a proof is good for one exchange only, because both sides put a nonce of their own into what is
//! signed; which is as good as the randomness that the caller brings. Proofs and signatures are compared in
//! constant time. Each step can be taken once, in its turn. Not bound to a channel: there is no encryption yet that
//! it could be bound to, and who sits in between can hijack the connection after the sign-in.
//!
//! **Memory**: an exchange is at most 512 octets at the server and 192 at the client; messages go to lent buffers, for
//! which [`MESSAGE_MAX`] octets are always enough. **Time**: at the server a handful of hashes; at the client
//! [`derive()`], which is slow on purpose. **Protocol**: RFC 5802 and RFC 7677; `docs/protocol/transfer.md`, rule
//! R-VT-15.

#[cfg(test)]
mod tests;

use core::fmt;
use core::ops::RangeInclusive;

use base64ct::{Base64, Encoding};
use heapless::String;
use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::Verifier;
use crate::wire::Writer;
use crate::wire::transfer::ErrorCode;

/// The longest name of a user, in octets.
pub const USER_MAX: usize = 64;

/// The longest nonce that a client may bring, in octets.
pub const CLIENT_NONCE_MAX: usize = 64;

/// Random octets of a nonce; RFC 5802 wants it not to be guessed.
pub const NONCE: usize = 18;

/// How many octets of salt there may be.
pub const SALT: RangeInclusive<usize> = 8..=32;

/// How often a password may be hashed. Fewer times are too easily guessed through (RFC 7677, section 4); with more, a
/// server could keep its clients busy.
pub const ITERATIONS: RangeInclusive<u32> = 4096..=600_000;

/// Octets of the longest message: a client's first whose name consists of commas.
pub const MESSAGE_MAX: usize = 3 + BARE_MAX;

/// What somebody is told whose sign-in cannot begin.
pub(super) const NOT_BEGUN: (ErrorCode, &str) = (ErrorCode::BadRequest, "the message is not of SCRAM-SHA-256");

/// Octets of a nonce, of a hash and of a salt in base64.
const NONCE_TEXT: usize = base64_len(NONCE);
const HASH_TEXT: usize = base64_len(32);
const SALT_TEXT: usize = base64_len(*SALT.end());

/// Octets of a client's first message without its front: `n=`, a name with every octet escaped, `,r=`, a nonce.
const BARE_MAX: usize = 2 + 3 * USER_MAX + 3 + CLIENT_NONCE_MAX;

/// Octets of the longest nonce of our own as a server.
const SERVER_NONCE_MAX: usize = 32;

/// Octets of both nonces, one behind the other, when we are the client: a server's may be as long as a client's.
const BOTH_NONCES: usize = 2 * CLIENT_NONCE_MAX;

const fn base64_len(octets: usize) -> usize {
    octets.div_ceil(3).saturating_mul(4)
}

type Hash = [u8; 32];
type User = String<USER_MAX, u8>;

/// Why a sign-in came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScramError {
    /// The peer sent something that is no message of this mechanism, or not the one that is due.
    Malformed,
    /// The peer wants to bind a channel, to act for somebody else, or an extension that is not known here.
    Unsupported,
    /// A name, a nonce or a salt is longer or shorter than is taken here.
    Length,
    /// The password would be hashed too few or too many times, see [`ITERATIONS`].
    Iterations(u32),
    /// The peer's answer does not belong to this exchange.
    Nonce,
    /// Server: the client does not know the password, or the user is not known.
    WrongProof,
    /// Client: the server says that it failed.
    Refused,
    /// Client: the server does not know the verifier of the password: it is somebody else's.
    WrongServer,
    /// This step was not due.
    OutOfTurn,
    /// The buffer is too small for the message.
    BufferTooSmall,
}

impl fmt::Display for ScramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the sign-in message makes no sense"),
            Self::Unsupported => f.write_str("the peer asks for a way to sign in that is not supported"),
            Self::Length => f.write_str("a name, nonce or salt of the sign-in is too long or too short"),
            Self::Iterations(count) => {
                let (least, most) = (ITERATIONS.start(), ITERATIONS.end());
                write!(f, "the password would be hashed {count} times; {least} to {most} are accepted")
            }
            Self::Nonce => f.write_str("the sign-in message belongs to another exchange"),
            Self::WrongProof | Self::Refused => f.write_str("wrong name or password"),
            Self::WrongServer => f.write_str("the server does not know this account: it may not be who it says"),
            Self::OutOfTurn => f.write_str("this step of the sign-in is not due"),
            Self::BufferTooSmall => f.write_str("the buffer is too small for the sign-in message"),
        }
    }
}

impl core::error::Error for ScramError {}

/// What a server keeps of a password, besides salt and iterations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// SHA-256 of the client's key: checks proofs, and cannot make them.
    pub stored_key: [u8; 32],
    /// The server's key: makes signatures.
    pub server_key: [u8; 32],
}

/// Keeps keys out of logs.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

/// Makes the keys of an account (RFC 5802, section 3). `password` has been prepared (RFC 4013): in particular it has no
/// NUL, which at the end of a short password would make no difference.
///
/// Takes as long as `iterations` times two blocks of SHA-256.
#[must_use]
pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Keys {
    let (client_key, server_key) = both_keys(password, salt, iterations);
    Keys { stored_key: sha256(&client_key), server_key }
}

/// The salt of an account that does not exist: always the same for a user, as it would be for one that does.
///
/// `secret` is random and known to nobody else. Names that are one and the same to the caller must be spelled the same.
#[must_use]
pub fn decoy(secret: &[u8; 32], user: &str) -> [u8; 16] {
    let hash = finalized(hmac(secret).chain_update(user));
    hash.first_chunk().copied().unwrap_or_default()
}

/// The server's side.
pub struct ServerExchange {
    user: User,
    /// `c=` of the client's last message: the front of its first one, in base64.
    binding: [u8; 4],
    stage: ServerStage,
}

enum ServerStage {
    /// The client's first message, without its front, and our nonce.
    Begun {
        bare: String<BARE_MAX, u16>,
        nonce: String<CLIENT_NONCE_MAX, u8>,
    },
    /// Waits for the proof.
    Challenged(Challenged),
    Over,
}

struct Challenged {
    /// HMACs of the messages so far, with the stored key and with the server's key.
    client_signature: Hmac<Sha256>,
    server_signature: Hmac<Sha256>,
    stored_key: Hash,
    nonces: String<{ CLIENT_NONCE_MAX + SERVER_NONCE_MAX }, u8>,
}

impl ServerExchange {
    /// Takes the client's first message. `nonce` is random, other for every exchange.
    ///
    /// # Errors
    /// A [`ScramError`] if the message makes no sense, or asks for something that is not offered.
    pub fn first(client_first: &str, nonce: &[u8; NONCE]) -> Result<Self, ScramError> {
        Self::first_with(client_first, encoded(nonce, &mut [0; NONCE_TEXT])?)
    }

    fn first_with(client_first: &str, nonce: &str) -> Result<Self, ScramError> {
        let (bare, binding) = if let Some(bare) = client_first.strip_prefix("n,,") {
            (bare, *b"biws")
        } else if let Some(bare) = client_first.strip_prefix("y,,") {
            (bare, *b"eSws")
        } else if ["p=", "n,a=", "y,a="].iter().any(|front| client_first.starts_with(front)) {
            return Err(ScramError::Unsupported);
        } else {
            return Err(ScramError::Malformed);
        };
        let mut parts = Attributes::of(bare);
        let user = unescaped(attribute(parts.next(), "n=")?)?;
        let theirs = attribute(parts.next(), "r=")?;
        if theirs.len() > CLIENT_NONCE_MAX {
            return Err(ScramError::Length);
        }
        check_nonce(theirs)?;
        check_extensions(parts)?;
        let stage = ServerStage::Begun { bare: owned(bare)?, nonce: owned(nonce)? };
        Ok(Self { user, binding, stage })
    }

    /// Who wants to sign in: 1 to [`USER_MAX`] octets without control characters.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Writes the server's first message to `out`. `verifier` is that of [`Self::user`].
    ///
    /// # Errors
    /// [`ScramError::Length`] or [`ScramError::Iterations`] if the verifier is not one that clients accept;
    /// [`ScramError::OutOfTurn`]; [`ScramError::BufferTooSmall`]. The exchange is over then.
    pub fn challenge<'o>(&mut self, verifier: &Verifier<'_>, out: &'o mut [u8]) -> Result<&'o str, ScramError> {
        let ServerStage::Begun { bare, nonce: ours } = core::mem::replace(&mut self.stage, ServerStage::Over) else {
            return Err(ScramError::OutOfTurn);
        };
        if !SALT.contains(&verifier.salt.len()) {
            return Err(ScramError::Length);
        }
        if !ITERATIONS.contains(&verifier.iterations) {
            return Err(ScramError::Iterations(verifier.iterations));
        }
        let theirs = attribute(Attributes::of(&bare).nth(1), "r=")?;
        let mut nonces = owned(theirs)?;
        nonces.push_str(&ours).map_err(|_| ScramError::Length)?;

        let mut writer = Writer::new(out);
        writer.octets(b"r=").octets(nonces.as_bytes());
        writer.octets(b",s=").octets(encoded(verifier.salt, &mut [0; SALT_TEXT])?.as_bytes());
        writer.octets(b",i=").decimal(verifier.iterations.into());
        let message = written(writer.finish().ok(), out)?;

        let signed = |key| hmac(key).chain_update(bare.as_str()).chain_update(",").chain_update(message);
        self.stage = ServerStage::Challenged(Challenged {
            client_signature: signed(&verifier.stored_key),
            server_signature: signed(&verifier.server_key),
            stored_key: verifier.stored_key,
            nonces,
        });
        Ok(message)
    }

    /// Takes the client's last message. If that proves who the client is, writes the server's last message, which
    /// proves who the server is, to `out`.
    ///
    /// # Errors
    /// [`ScramError::WrongProof`] if the client does not know the password; or another [`ScramError`]. Whatever it is,
    /// the client is not signed in, and the exchange is over.
    pub fn finish<'o>(&mut self, client_final: &str, out: &'o mut [u8]) -> Result<&'o str, ScramError> {
        let ServerStage::Challenged(mut challenged) = core::mem::replace(&mut self.stage, ServerStage::Over) else {
            return Err(ScramError::OutOfTurn);
        };
        let end = client_final.bytes().rposition(|octet| octet == b',').ok_or(ScramError::Malformed)?;
        let unproven = client_final.get(..end).ok_or(ScramError::Malformed)?;
        let proof = decoded_hash(attribute(client_final.get(end.saturating_add(1)..), "p=")?)?;
        let mut parts = Attributes::of(unproven);
        if attribute(parts.next(), "c=")?.as_bytes() != self.binding {
            return Err(ScramError::Unsupported);
        }
        if attribute(parts.next(), "r=")? != challenged.nonces {
            return Err(ScramError::Nonce);
        }
        check_extensions(parts)?;

        for signature in [&mut challenged.client_signature, &mut challenged.server_signature] {
            signature.update(b",");
            signature.update(unproven.as_bytes());
        }
        let client_key = xor(proof, &finalized(challenged.client_signature));
        if !same(sha256(&client_key), challenged.stored_key) {
            return Err(ScramError::WrongProof);
        }
        let mut writer = Writer::new(out);
        let signature = finalized(challenged.server_signature);
        writer.octets(b"v=").octets(encoded(&signature, &mut [0; HASH_TEXT])?.as_bytes());
        written(writer.finish().ok(), out)
    }
}

/// Keeps keys out of logs.
impl fmt::Debug for ServerExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerExchange")
    }
}

/// The client's side.
pub struct ClientExchange {
    user: User,
    nonce: String<CLIENT_NONCE_MAX, u8>,
    stage: ClientStage,
}

enum ClientStage {
    Begun,
    /// Waits for this signature of the server.
    Proven(Hash),
    Over,
}

impl ClientExchange {
    /// Signs in as `user`. `nonce` is random, other for every exchange.
    ///
    /// # Errors
    /// [`ScramError::Length`] or [`ScramError::Malformed`] if there can be no user of this name.
    pub fn new(user: &str, nonce: &[u8; NONCE]) -> Result<Self, ScramError> {
        Self::with_nonce(user, encoded(nonce, &mut [0; NONCE_TEXT])?)
    }

    fn with_nonce(user: &str, nonce: &str) -> Result<Self, ScramError> {
        let user = owned(user)?;
        check_user(&user)?;
        Ok(Self { user, nonce: owned(nonce)?, stage: ClientStage::Begun })
    }

    /// Writes the client's first message to `out`.
    ///
    /// # Errors
    /// [`ScramError::BufferTooSmall`].
    pub fn first<'o>(&self, out: &'o mut [u8]) -> Result<&'o str, ScramError> {
        let mut writer = Writer::new(out);
        writer.octets(b"n,,");
        self.bare(|piece| {
            writer.octets(piece);
        });
        written(writer.finish().ok(), out)
    }

    /// Takes the server's first message and writes the client's last one, which proves that `password` is known, to
    /// `out`. The password has been prepared (RFC 4013). This is the slow step, see [`derive()`].
    ///
    /// # Errors
    /// A [`ScramError`] if the message makes no sense, answers somebody else, or asks for too little or too much work;
    /// [`ScramError::BufferTooSmall`]. The exchange is over then.
    pub fn challenge<'o>(
        &mut self,
        server_first: &str,
        password: &str,
        out: &'o mut [u8],
    ) -> Result<&'o str, ScramError> {
        if !matches!(core::mem::replace(&mut self.stage, ClientStage::Over), ClientStage::Begun) {
            return Err(ScramError::OutOfTurn);
        }
        let mut parts = Attributes::of(server_first);
        let nonces = attribute(parts.next(), "r=")?;
        let theirs = nonces.strip_prefix(self.nonce.as_str()).ok_or(ScramError::Nonce)?;
        check_nonce(theirs)?;
        if nonces.len() > BOTH_NONCES {
            return Err(ScramError::Length);
        }
        let mut salt = [0; *SALT.end()];
        let salt = decoded(attribute(parts.next(), "s=")?, &mut salt)?;
        if !SALT.contains(&salt.len()) {
            return Err(ScramError::Length);
        }
        let iterations = iterations(attribute(parts.next(), "i=")?)?;
        check_extensions(parts)?;

        // Everything that does not need the password first: a buffer that is too small is not worth the time.
        let mut writer = Writer::new(out);
        writer.octets(b"c=biws,r=").octets(nonces.as_bytes());
        let unproven = writer.wanted();
        writer.octets(b",p=").octets(&[b'='; HASH_TEXT]);
        let len = writer.finish().map_err(|_| ScramError::BufferTooSmall)?;

        let (client_key, server_key) = both_keys(password, salt, iterations);
        let signature = |key: &Hash| {
            let mut signature = hmac(key);
            self.bare(|piece| signature.update(piece));
            for piece in [",", server_first, ",c=biws,r=", nonces] {
                signature.update(piece.as_bytes());
            }
            finalized(signature)
        };
        let proof = xor(signature(&sha256(&client_key)), &client_key);
        let mut text = [0; HASH_TEXT];
        let room = out.get_mut(unproven..len).ok_or(ScramError::BufferTooSmall)?;
        Writer::new(room).octets(b",p=").octets(encoded(&proof, &mut text)?.as_bytes());
        self.stage = ClientStage::Proven(signature(&server_key));
        written(Some(len), out)
    }

    /// Takes the server's last message. Only if it is right is this the server that has the account.
    ///
    /// # Errors
    /// [`ScramError::WrongServer`] if it is not; [`ScramError::Refused`] if it says that the proof is wrong; or another
    /// [`ScramError`]. The exchange is over in any case.
    pub fn confirm(&mut self, server_final: &str) -> Result<(), ScramError> {
        let ClientStage::Proven(expected) = core::mem::replace(&mut self.stage, ClientStage::Over) else {
            return Err(ScramError::OutOfTurn);
        };
        if server_final.starts_with("e=") {
            return Err(ScramError::Refused);
        }
        let mut parts = Attributes::of(server_final);
        let signature = decoded_hash(attribute(parts.next(), "v=")?)?;
        check_extensions(parts)?;
        if same(signature, expected) { Ok(()) } else { Err(ScramError::WrongServer) }
    }

    /// The first message without its front, piece by piece.
    fn bare(&self, mut piece: impl FnMut(&[u8])) {
        piece(b"n=");
        for octet in self.user.bytes() {
            match octet {
                b',' => piece(b"=2C"),
                b'=' => piece(b"=3D"),
                octet => piece(&[octet]),
            }
        }
        piece(b",r=");
        piece(self.nonce.as_bytes());
    }
}

/// Keeps nonces out of logs.
impl fmt::Debug for ClientExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientExchange")
    }
}

/// What stands between the commas of a message. Not `split`, which contains a panic that the compiler cannot rule out
/// once it is called from many places.
struct Attributes<'a>(Option<&'a str>);

impl<'a> Attributes<'a> {
    fn of(message: &'a str) -> Self {
        Self(Some(message))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0.take()?;
        let Some(comma) = rest.bytes().position(|octet| octet == b',') else { return Some(rest) };
        self.0 = rest.get(comma.saturating_add(1)..);
        rest.get(..comma)
    }
}

/// The value of the attribute `name`, which must be the one that comes next.
fn attribute<'a>(part: Option<&'a str>, name: &str) -> Result<&'a str, ScramError> {
    match part {
        Some(part) if part.starts_with("m=") => Err(ScramError::Unsupported),
        part => part.and_then(|part| part.strip_prefix(name)).ok_or(ScramError::Malformed),
    }
}

/// What else comes: extensions are ignored, unless they must not be (RFC 5802, section 5.1).
fn check_extensions<'a>(parts: impl Iterator<Item = &'a str>) -> Result<(), ScramError> {
    for part in parts {
        match part.as_bytes() {
            [b'm', b'=', ..] => return Err(ScramError::Unsupported),
            [name, b'=', _, ..] if name.is_ascii_alphabetic() => {}
            _ => return Err(ScramError::Malformed),
        }
    }
    Ok(())
}

fn check_nonce(nonce: &str) -> Result<(), ScramError> {
    if !nonce.is_empty() && nonce.bytes().all(|octet| octet.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(ScramError::Malformed)
    }
}

fn check_user(user: &str) -> Result<(), ScramError> {
    if user.is_empty() || user.chars().any(char::is_control) { Err(ScramError::Malformed) } else { Ok(()) }
}

/// A name as it was before commas and equals signs were escaped.
fn unescaped(escaped: &str) -> Result<User, ScramError> {
    let mut user = User::new();
    let mut rest = escaped.chars();
    while let Some(character) = rest.next() {
        let character = match character {
            '=' => match (rest.next(), rest.next()) {
                (Some('2'), Some('C')) => ',',
                (Some('3'), Some('D')) => '=',
                _ => return Err(ScramError::Malformed),
            },
            character => character,
        };
        user.push(character).map_err(|_| ScramError::Length)?;
    }
    check_user(&user)?;
    Ok(user)
}

fn iterations(digits: &str) -> Result<u32, ScramError> {
    if digits.is_empty() || digits.starts_with('0') || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(ScramError::Malformed);
    }
    // A number of digits that does not fit is too many iterations all the same.
    let count = digits.parse().unwrap_or(u32::MAX);
    if ITERATIONS.contains(&count) { Ok(count) } else { Err(ScramError::Iterations(count)) }
}

fn owned<const N: usize, L: heapless::LenType>(text: &str) -> Result<String<N, L>, ScramError> {
    let mut owned = String::new();
    owned.push_str(text).map_err(|_| ScramError::Length)?;
    Ok(owned)
}

/// What a writer has put to the front of `out`, if it had room.
fn written(len: Option<usize>, out: &[u8]) -> Result<&str, ScramError> {
    let octets = len.and_then(|len| out.get(..len)).ok_or(ScramError::BufferTooSmall)?;
    core::str::from_utf8(octets).map_err(|_| ScramError::Malformed)
}

fn encoded<'o>(octets: &[u8], out: &'o mut [u8]) -> Result<&'o str, ScramError> {
    Base64::encode(octets, out).map_err(|_| ScramError::Length)
}

fn decoded<'o>(text: &str, out: &'o mut [u8]) -> Result<&'o [u8], ScramError> {
    Base64::decode(text, out).map_err(|error| match error {
        base64ct::Error::InvalidLength => ScramError::Length,
        base64ct::Error::InvalidEncoding => ScramError::Malformed,
    })
}

fn decoded_hash(text: &str) -> Result<Hash, ScramError> {
    let mut hash = [0; 32];
    let len = decoded(text, &mut hash).map_err(|_| ScramError::Malformed)?.len();
    if len == hash.len() { Ok(hash) } else { Err(ScramError::Malformed) }
}

/// `ClientKey` and `ServerKey` of RFC 5802.
fn both_keys(password: &str, salt: &[u8], iterations: u32) -> (Hash, Hash) {
    let salted: Hash = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), salt, iterations);
    let key = |name: &str| finalized(hmac(&salted).chain_update(name));
    (key("Client Key"), key("Server Key"))
}

/// An HMAC to come. HMAC fills keys up with zeros to a whole block (RFC 2104, section 2); given a whole block,
/// nothing can fail.
fn hmac(key: &Hash) -> Hmac<Sha256> {
    let mut block = [0; 64];
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    Hmac::new(&block.into())
}

fn finalized(mac: Hmac<Sha256>) -> Hash {
    mac.finalize().into_bytes().into()
}

fn sha256(octets: &[u8]) -> Hash {
    Sha256::digest(octets).into()
}

fn xor(mut one: Hash, other: &Hash) -> Hash {
    for (octet, other) in one.iter_mut().zip(other) {
        *octet ^= other;
    }
    one
}

/// Compares in constant time.
fn same(one: Hash, other: Hash) -> bool {
    CtOutput::<Sha256>::new(one.into()) == CtOutput::new(other.into())
}
