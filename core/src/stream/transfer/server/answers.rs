//! What the answers of the store mean to a server.

use super::requests::inline_body;
use super::{Server, Stage, Upload, Who};
use crate::digest::Hasher;
use crate::stream::transfer::receiving::Receiving;
use crate::stream::transfer::sending::{Direction, Sending};
use crate::stream::transfer::{Answer, Input, scram};
use crate::stream::{Abort, Outcome};
use crate::time::Instant;
use crate::wire::transfer::{Data, ErrorCode, Reply, Request, block_len};

impl<H: Hasher, I: Input + ?Sized> Server<'_, '_, H, I> {
    /// The store has answered a request.
    // In a frame of its own: it is the larger one while nothing is hashed.
    #[inline(never)]
    pub(super) fn answered(&mut self, now: Instant, reply: &Reply<'_>) {
        let Ok(request) = self.request() else { return self.abort() };
        // What a body has that comes behind the header.
        let inline = match request {
            Request::Put(put) if put.inline => inline_body(&put),
            _ => None,
        };
        let offered = match request {
            Request::Put(put) => Some((put.size, put.block)),
            _ => None,
        };
        let guest = matches!(request, Request::Guest);
        let listing = matches!(request, Request::List { .. });
        if matches!(reply, Reply::Working) && !matches!(request, Request::Sum { .. }) {
            self.session.stage = Stage::Postponed(now);
            // Whoever was answered before need not wait for that.
            if !self.session.link.outlet.is_empty() {
                self.flush();
            }
            return;
        }
        self.take_header();
        self.session.stage = Stage::Head;
        match *reply {
            Reply::Error { code, text } => {
                self.say(&Reply::Error { code, text });
                if guest {
                    self.session.stage = Stage::Closing;
                } else if let Some((_, body)) = inline {
                    self.session.stage = Stage::Skipping(body);
                }
            }
            Reply::Done if listing => self.session.stage = Stage::Listing,
            Reply::Done if guest => {
                self.session.who = Who::Known;
                self.say(reply);
            }
            Reply::Working => self.session.stage = Stage::Working(now),
            Reply::File(file) => {
                let Some(block) = block_len(file.block) else { return self.abort() };
                self.say(reply);
                self.session.stage = Stage::Sending(Sending::new(
                    Direction::Down,
                    file.offset,
                    file.length,
                    block,
                    self.session.most_blocks,
                ));
            }
            Reply::Ready { offset, block } => {
                let Some((size, wished)) = offered else { return self.abort() };
                let block = if inline.is_some() { wished } else { block };
                let Some(block) = block_len(block) else { return self.abort() };
                // What comes with its announcement comes whole.
                let offset = if inline.is_some() { 0 } else { offset.min(size) };
                let file = Receiving::new(offset, size, block);
                self.receive(file, inline.map(|(len, _)| len), reply);
            }
            _ => self.say(reply),
        }
    }

    /// A file is welcome. `inline`: its octets, so many, are the next in the input.
    pub(super) fn receive(&mut self, file: Receiving, inline: Option<u32>, reply: &Reply<'_>) {
        let segment = inline.and_then(|len| file.run(Data { at: 0, len }));
        self.session.upload = Some(Upload::Open { file, inline: inline.is_some() });
        match (inline, segment) {
            (None, _) => self.say(reply),
            (Some(_), Some(segment)) => self.session.stage = Stage::Receiving(segment),
            // An empty file.
            (Some(_), None) => self.finish(None),
        }
    }

    pub(super) fn abort(&mut self) {
        self.session.stage = Stage::Over(Ok(Outcome::Aborted(Abort::Answer)));
    }

    /// The store has answered who somebody is.
    pub(super) fn account(&mut self, answer: Answer<'_>) {
        match answer {
            Answer::Account(verifier) => {
                let mut room = [0; scram::MESSAGE_MAX];
                let exchange = self.session.exchange.as_mut();
                let message = exchange.and_then(|exchange| exchange.challenge(&verifier, &mut room).ok());
                match message {
                    Some(message) => {
                        self.take_header();
                        self.session.stage = Stage::Head;
                        self.say(&Reply::SignIn { message });
                    }
                    None => self.close_with(ErrorCode::Internal, "the account is damaged"),
                }
            }
            Answer::Reply(Reply::Error { code, text }) => self.close_with(code, text),
            _ => self.abort(),
        }
    }

    /// The store has heard how a sign-in went.
    pub(super) fn signed_in(&mut self, proven: bool, head: usize, reply: &Reply<'_>) {
        match *reply {
            Reply::Done if proven => {
                self.session.who = Who::Known;
                self.session.exchange = None;
                self.session.stage = Stage::Head;
            }
            Reply::Error { code, text } => {
                self.session.link.outlet.cut(head);
                self.close_with(code, text);
            }
            _ => self.close_with(ErrorCode::SignInFailed, "wrong name or password"),
        }
    }

    /// The store has answered whether the file that was sent is still what it was.
    pub(super) fn checked(&mut self, reply: &Reply<'_>) {
        let Stage::Sending(sending) = &mut self.session.stage else { return };
        match *reply {
            Reply::Error { code, text } => self.shrunk(code, text),
            _ => sending.seal(&mut self.session.link.outlet, self.buffers.output, None),
        }
    }

    /// The file that is sent cannot be sent to its end.
    pub(super) fn shrunk(&mut self, code: ErrorCode, text: &str) {
        let Stage::Sending(sending) = &mut self.session.stage else { return };
        if sending.take_back(&mut self.session.link.outlet) {
            self.session.stage = Stage::Head;
            self.say(&Reply::Error { code, text });
        } else {
            // Half of a block has left: nothing can be said any more.
            self.session.stage = Stage::Over(Ok(Outcome::Aborted(Abort::Shrunk { missing: 0 })));
        }
    }
}
