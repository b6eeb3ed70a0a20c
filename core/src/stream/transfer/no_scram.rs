//! In place of [`scram`](super::scram) in a device without accounts: no sign-in ever begins.
//!
//! Whoever tries is told to come as a guest. An exchange cannot exist, so the compiler leaves out whatever needs one.
//!
//! **Memory**, **time**: none.

use core::convert::Infallible;

use super::Verifier;
use crate::wire::transfer::ErrorCode;

/// What somebody is told whose sign-in cannot begin.
pub(super) const NOT_BEGUN: (ErrorCode, &str) = (ErrorCode::Unsupported, "there are no accounts here; come as a guest");

pub(super) const MESSAGE_MAX: usize = 0;

/// A sign-in at the server.
#[derive(Debug)]
pub(super) struct ServerExchange(Infallible);

impl ServerExchange {
    pub(super) const fn first(_client_first: &str, _nonce: &[u8; 18]) -> Result<Self, ()> {
        Err(())
    }

    pub(super) const fn user(&self) -> &str {
        match self.0 {}
    }

    pub(super) const fn challenge<'o>(&mut self, _: &Verifier<'_>, _: &'o mut [u8]) -> Result<&'o str, ()> {
        match self.0 {}
    }

    pub(super) const fn finish<'o>(&mut self, _client_final: &str, _: &'o mut [u8]) -> Result<&'o str, ()> {
        match self.0 {}
    }
}

/// A sign-in at the client.
#[derive(Debug)]
pub(super) struct ClientExchange(Infallible);

impl ClientExchange {
    pub(super) const fn new(_user: &str, _nonce: &[u8; 18]) -> Result<Self, ()> {
        Err(())
    }

    pub(super) const fn first<'o>(&self, _: &'o mut [u8]) -> Result<&'o str, ()> {
        match self.0 {}
    }

    pub(super) const fn challenge<'o>(&mut self, _: &str, _: &str, _: &'o mut [u8]) -> Result<&'o str, ()> {
        match self.0 {}
    }

    pub(super) const fn confirm(&mut self, _server_final: &str) -> Result<(), ()> {
        match self.0 {}
    }
}
