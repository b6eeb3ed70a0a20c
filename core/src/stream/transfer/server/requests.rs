//! What the words of a client mean to a server.

use super::{Server, Stage, Upload, Who};
use crate::digest::{Digest, Hasher};
use crate::stream::transfer::scram::{self, ServerExchange};
use crate::stream::transfer::{FEATURES, Input, Settings, most_blocks};
use crate::wire::transfer::{Data, ErrorCode, Hello, Put, Reply, Request, VERSION, block_len, body_len};

impl<H: Hasher, I: Input + ?Sized> Server<'_, '_, H, I> {
    /// Turns to what the header at the front of the input asks for.
    // In a frame of its own, which is not there while blocks are hashed.
    #[inline(never)]
    pub(super) fn dispatch(&mut self) {
        // R-VT-6: nobody knows what body it has.
        let Ok(request) = self.request() else {
            return self.close_with(ErrorCode::Unsupported, "the request is not known");
        };
        match (self.session.who, request) {
            (Who::Nobody, Request::Hello(hello)) => self.hello(hello.version, hello.features),
            (Who::Nobody, _) => self.close_with(ErrorCode::BadRequest, "the first message has to be a hello"),
            // A nonce is good for one exchange only.
            (Who::Stranger, Request::SignIn { .. }) if self.session.exchange.is_some() => {
                self.close_with(ErrorCode::BadRequest, "the sign-in has begun already");
            }
            (Who::Stranger, Request::SignIn { message }) => match ServerExchange::first(message, &self.session.nonce) {
                Ok(exchange) => {
                    (self.session.exchange, self.session.stage) = (Some(exchange), Stage::Account);
                }
                Err(_) => self.close_with(scram::NOT_BEGUN.0, scram::NOT_BEGUN.1),
            },
            (Who::Stranger, Request::Proof { .. }) => self.proof(),
            (Who::Stranger, Request::Guest) => self.session.stage = Stage::Asking,
            (_, Request::Bye) => {
                self.take_header();
                self.session.stage = Stage::Closing;
                self.say(&Reply::Done);
            }
            (Who::Stranger, _) => self.close_with(ErrorCode::SignInRequired, "sign in first"),
            (Who::Known, Request::Data(data)) => self.data(data),
            (Who::Known, Request::Finish { digest }) => {
                self.take_header();
                self.finish(Some(digest));
            }
            (Who::Known, Request::Hello(_) | Request::SignIn { .. } | Request::Proof { .. } | Request::Guest) => {
                self.close_with(ErrorCode::BadRequest, "signed in already");
            }
            (Who::Known, _) if self.session.upload.is_some() => {
                self.close_with(ErrorCode::BadRequest, "the file that was announced is not finished");
            }
            (Who::Known, Request::Put(put)) if put.inline && inline_body(&put).is_none() => {
                self.close_with(ErrorCode::BadRequest, "a file that comes with its announcement is one block at most");
            }
            (Who::Known, _) => self.session.stage = Stage::Asking,
        }
    }

    pub(super) fn hello(&mut self, version: u8, features: u64) {
        self.take_header();
        if version == 0 {
            return self.close_with(ErrorCode::BadRequest, "there is no version 0");
        }
        let Settings { max_header, window, max_block, software } = self.session.settings;
        let version = VERSION.min(version);
        self.session.who = Who::Stranger;
        self.session.most_blocks = most_blocks(features);
        self.say(&Reply::Hello(Hello { version, features: FEATURES, max_header, window, max_block, software }));
    }

    /// Checks the proof, and lets the store know the result.
    pub(super) fn proof(&mut self) {
        let Some(mut exchange) = self.session.exchange.take() else {
            return self.close_with(ErrorCode::BadRequest, "a proof without a beginning");
        };
        let mut room = [0; scram::MESSAGE_MAX];
        let message = match self.request() {
            Ok(Request::Proof { message }) => exchange.finish(message, &mut room).ok(),
            _ => None,
        };
        let head = self.session.link.outlet.end();
        let proven = message.is_some();
        self.take_header();
        self.session.exchange = Some(exchange);
        self.session.stage = Stage::SignedIn { proven, head };
        if let Some(message) = message {
            self.say(&Reply::SignIn { message });
        }
    }

    /// A run of blocks is at the front of the input.
    pub(super) fn data(&mut self, data: Data) {
        self.take_header();
        match &self.session.upload {
            Some(Upload::Open { file, .. }) => match file.run(data) {
                Some(segment) => self.session.stage = Stage::Receiving(segment),
                None => {
                    self.fail_upload(
                        body_len(data.len, file.block()),
                        ErrorCode::BadRequest,
                        "not the run that is due",
                    );
                }
            },
            Some(Upload::Failed { block }) => self.session.stage = Stage::Skipping(body_len(data.len, *block)),
            None => self.close_with(ErrorCode::BadRequest, "no file was announced"),
        }
    }

    /// The store does not want the rest of the file that is received.
    pub(super) fn refuse_rest(&mut self, code: ErrorCode, text: &str) {
        let left = match &self.session.stage {
            Stage::Receiving(segment) => segment.left(),
            _ => 0,
        };
        self.fail_upload(left, code, text);
    }

    /// The file that is being received is not wanted any more, and passed over (R-VT-66); `left` octets of its present
    /// run are to come.
    pub(super) fn fail_upload(&mut self, left: u64, code: ErrorCode, text: &str) {
        self.session.upload = match self.session.upload.take() {
            Some(Upload::Open { file, inline: false }) => Some(Upload::Failed { block: file.block() }),
            _ => None,
        };
        self.session.stage = Stage::Skipping(left);
        self.say(&Reply::Error { code, text });
    }

    /// No more octets of the file will come of themselves. `told` is what the client says about them.
    pub(super) fn finish(&mut self, told: Option<Digest>) {
        let Some(Upload::Open { file, inline }) = &mut self.session.upload else {
            match self.session.upload.take() {
                // It was answered already.
                Some(_) => {}
                None => self.close_with(ErrorCode::BadRequest, "no file was announced"),
            }
            return;
        };
        let error = if !file.all_came() {
            (ErrorCode::BadRequest, "the file ended short")
        } else if file.is_sound() && told.is_none_or(|told| told == file.digest()) {
            self.session.stage = Stage::Completing;
            return;
        } else if !*inline && let Some((at, len)) = file.repair() {
            return self.say(&Reply::Repair { at, len });
        } else {
            (ErrorCode::DigestMismatch, "what came is not what was sent; send it again")
        };
        self.session.upload = None;
        self.say(&Reply::Error { code: error.0, text: error.1 });
    }
}

/// How many octets of data, and of body in all, an announcement has with it; `None` if it must not.
pub(super) fn inline_body(put: &Put<'_>) -> Option<(u32, u64)> {
    let block = block_len(put.block)?;
    let len = u32::try_from(put.size).ok().filter(|&len| len <= block)?;
    Some((len, body_len(len, block)))
}
