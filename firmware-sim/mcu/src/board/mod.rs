//! What differs between boards: clock, Ethernet controller, number of its interrupt.

#[cfg(all(feature = "lm3s6965", not(feature = "mps2-an385")))]
mod lm3s6965;
#[cfg(feature = "mps2-an385")]
mod mps2_an385;

#[cfg(all(feature = "lm3s6965", not(feature = "mps2-an385")))]
pub use lm3s6965::{Ethernet, start};
#[cfg(feature = "mps2-an385")]
pub use mps2_an385::{Ethernet, start};

#[cfg(all(feature = "lm3s6965", not(feature = "mps2-an385")))]
const NUMBER: u16 = lm3s6965::INTERRUPT;
#[cfg(feature = "mps2-an385")]
const NUMBER: u16 = mps2_an385::INTERRUPT;

/// The interrupt of the Ethernet controller.
pub const INTERRUPT: Interrupt = Interrupt(NUMBER);

/// The name of the board, which is the device's host name.
#[cfg(all(feature = "lm3s6965", not(feature = "mps2-an385")))]
pub const NAME: &[u8] = b"lm3s6965";
#[cfg(feature = "mps2-an385")]
pub const NAME: &[u8] = b"mps2-an385";

/// An interrupt by its number.
#[derive(Clone, Copy)]
pub struct Interrupt(u16);

// SAFETY: there is only the one above, whose number is that of the manual.
unsafe impl cortex_m::interrupt::InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self.0
    }
}

/// The vectors of the interrupts up to that one, instead of the 240 that cortex-m-rt would put into flash.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [unsafe extern "C" fn(); NUMBER as usize + 1] = {
    unsafe extern "C" {
        fn DefaultHandler();
    }
    [DefaultHandler; NUMBER as usize + 1]
};

/// A frame with all that belongs to it: addresses, type, 1,500 octets.
const FRAME: usize = 1514;

/// A register of 32 bits.
#[derive(Clone, Copy)]
struct Register(*mut u32);

impl Register {
    const fn at(address: usize) -> Self {
        Self(address as *mut u32)
    }

    fn read(self) -> u32 {
        // SAFETY: made of addresses of the manual only; reading has the effects that the driver wants.
        unsafe { self.0.read_volatile() }
    }

    fn write(self, value: u32) {
        // SAFETY: as above.
        unsafe { self.0.write_volatile(value) }
    }
}

/// An Ethernet controller that takes and gives frames word by word.
pub trait Controller {
    /// What smoltcp is to know about it.
    fn capabilities() -> smoltcp::phy::DeviceCapabilities;
    /// Reads the next frame, if there is one, into `frame`; returns its length.
    fn receive(frame: &mut [u8; FRAME]) -> Option<usize>;
    /// Whether a frame could be sent at once.
    fn can_send() -> bool;
    /// Sends a frame.
    fn send(frame: &[u8]);
}

/// The buffers of a driver, and the driver's side of smoltcp: the same for all controllers.
pub struct Frames {
    received: [u8; FRAME],
    sent: [u8; FRAME],
}

impl Frames {
    pub const fn new() -> Self {
        Self { received: [0; FRAME], sent: [0; FRAME] }
    }

    fn receive<C: Controller>(&mut self) -> Option<(Received<'_>, Sent<'_, C>)> {
        // Whoever answers must be able to: otherwise the frame waits in the controller.
        if !C::can_send() {
            return None;
        }
        let len = C::receive(&mut self.received)?;
        let frame = self.received.get(..len)?;
        Some((Received(frame), Sent(&mut self.sent, core::marker::PhantomData)))
    }

    fn transmit<C: Controller>(&mut self) -> Option<Sent<'_, C>> {
        C::can_send().then_some(Sent(&mut self.sent, core::marker::PhantomData))
    }
}

/// A frame that was read.
pub struct Received<'a>(&'a [u8]);

impl smoltcp::phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

/// Room for a frame.
pub struct Sent<'a, C>(&'a mut [u8; FRAME], core::marker::PhantomData<C>);

impl<C: Controller> smoltcp::phy::TxToken for Sent<'_, C> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        // smoltcp keeps to the length that the capabilities say.
        let frame = self.0.get_mut(..len).unwrap_or_default();
        let result = fill(frame);
        C::send(frame);
        result
    }
}

/// Makes a smoltcp driver of a controller.
macro_rules! driver {
    ($controller:ty) => {
        /// The Ethernet controller of this board.
        pub struct Ethernet(crate::board::Frames);

        impl Ethernet {
            pub const fn new() -> Self {
                Self(crate::board::Frames::new())
            }
        }

        impl smoltcp::phy::Device for Ethernet {
            type RxToken<'a> = crate::board::Received<'a>;
            type TxToken<'a> = crate::board::Sent<'a, $controller>;

            fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
                self.0.receive::<$controller>()
            }

            fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Self::TxToken<'_>> {
                self.0.transmit::<$controller>()
            }

            fn capabilities(&self) -> smoltcp::phy::DeviceCapabilities {
                <$controller as crate::board::Controller>::capabilities()
            }
        }
    };
}
use driver;

/// Up to four octets as a word, in the order in which the controller wants them.
fn word(octets: &[u8]) -> u32 {
    let mut word = [0; 4];
    word.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
    u32::from_le_bytes(word)
}
