//! The proof that `feige-core` cannot panic: an image for a microcontroller that does not link if it could.
//!
//! The panic handler calls a function that exists nowhere. If any function of the core that is called from here
//! could reach a panic (an index out of bounds, an overflow, an `unwrap`), the handler is part of the image and the
//! link fails with `undefined symbol: feige_core_must_not_panic`; `scripts/bare-metal.sh` then lists the lines that
//! lead there. Every public function that handles octets, time or state is called, with inputs of which the
//! optimiser knows nothing, so it cannot drop a branch that a peer or an application could take.
//!
//! What the proof is about is the optimised code of this image: `opt-level = "s"`, whole-program optimisation. It
//! says nothing about stack depth, and nothing about loops that do not end. Left out is `{:?}` of strings and of
//! structures with more than five fields: what `core` does for these contains panics that it never reaches, but
//! that the optimiser cannot rule out. `{}` of everything is in.
//!
//! Nobody runs the image. Its size is printed, because it is about what the whole core costs.
#![no_std]
#![no_main]

#[cfg(feature = "async")]
mod asynch;
mod classic;
mod flood;
mod node;
mod session;
mod stream;
mod transfer;
mod wire;

use core::fmt;
use core::hint::black_box;

unsafe extern "C" {
    /// Not defined anywhere, on purpose.
    fn feige_core_must_not_panic() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: never runs; the image does not link while this call is in it.
    unsafe { feige_core_must_not_panic() }
}

/// Takes the place of the missing function while the script looks for the calls that lead to it.
#[unsafe(no_mangle)]
pub extern "C" fn feige_panic_stand_in() -> ! {
    loop {
        black_box(());
    }
}

static OCTETS: [u8; 1] = [0];

/// Octets of unknown content and number.
#[inline(never)]
fn octets() -> &'static [u8] {
    black_box(&OCTETS)
}

/// A value that is used for something unknown.
#[inline(always)]
fn keep<T>(value: T) {
    black_box(value);
}

/// Swallows text.
struct Screen;

impl fmt::Write for Screen {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        keep(text);
        black_box(Ok(()))
    }
}

/// A result whose error is put into words, as a program would do for its user.
#[inline(never)]
fn shown<T, E: fmt::Debug + fmt::Display>(result: Result<T, E>) {
    match result {
        Ok(value) => keep(value),
        Err(error) => print(format_args!("{error} {error:?}")),
    }
}

fn print(text: fmt::Arguments<'_>) {
    keep(fmt::write(&mut Screen, text));
}

/// Where the image begins.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".proof_entry")]
pub extern "C" fn proof_entry() {
    wire::proof(octets());
    stream::proof(octets());
    transfer::proof(octets());
    session::proof(octets());
    node::proof(octets());
    classic::proof(octets());
    flood::proof(octets());
}
