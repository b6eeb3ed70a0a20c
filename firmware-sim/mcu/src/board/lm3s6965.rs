//! LM3S6965 (Stellaris, Cortex-M3 at 50 MHz) and its Ethernet controller.
//!
//! The controller has 2 KiB for frames that were received, one frame and a bit, and drops what does not fit; the windows
//! of TCP are kept as small as that (`max_burst_size`). Sources: the data sheet of the LM3S6965, chapters 5 and 15.

use cortex_m::peripheral::SCB;
use smoltcp::phy::{DeviceCapabilities, Medium};

use super::{Controller, FRAME, Register, word};

/// Ethernet.
pub const INTERRUPT: u16 = 42;

/// System control: raw interrupt status, run-mode clock configuration, clock gating.
const RIS: Register = Register::at(0x400f_e050);
const RCC: Register = Register::at(0x400f_e060);
const RCGC2: Register = Register::at(0x400f_e108);

/// Ethernet: interrupt status (written: acknowledge), mask, control, data, address, frames received, send.
const MAC: usize = 0x4004_8000;
const STATUS: Register = Register::at(MAC);
const MASK: Register = Register::at(MAC + 0x04);
const RECEIVE: Register = Register::at(MAC + 0x08);
const TRANSMIT: Register = Register::at(MAC + 0x0c);
const DATA: Register = Register::at(MAC + 0x10);
const ADDRESS: [Register; 2] = [Register::at(MAC + 0x14), Register::at(MAC + 0x18)];
const COUNT: Register = Register::at(MAC + 0x34);
const NEW: Register = Register::at(MAC + 0x38);

/// A frame was received; the mask bit of the same.
const RECEIVED: u32 = 1;
const ALL: u32 = 0x7f;

/// In front of a received frame stands its length, and that counts itself and the sum at the end.
const LENGTH_AND_SUM: usize = 2 + 4;

/// Starts clocks; returns the frequency of the processor.
pub fn start(_: &mut SCB) -> u32 {
    // 200 MHz from the 8 MHz crystal, divided by 4: section 5.4 of the data sheet.
    const BYPASS: u32 = 1 << 11;
    const POWER_DOWN: u32 = 1 << 13;
    const DIVIDER: u32 = 0xf << 23 | 1 << 22;
    const SOURCE: u32 = 0x1f << 4;
    let mut rcc = (RCC.read() | BYPASS) & !(1 << 22);
    RCC.write(rcc);
    rcc = rcc & !SOURCE & !POWER_DOWN & !1 | 0xe << 6;
    RCC.write(rcc);
    rcc = rcc & !DIVIDER | 3 << 23 | 1 << 22;
    RCC.write(rcc);
    // Locked within half a millisecond.
    for _ in 0..100_000 {
        if RIS.read() & 1 << 6 != 0 {
            break;
        }
    }
    RCC.write(rcc & !BYPASS);
    // MAC and PHY.
    RCGC2.write(RCGC2.read() | 1 << 28 | 1 << 30);
    cortex_m::asm::delay(16);
    50_000_000
}

/// The controller.
pub struct Stellaris;

super::driver!(Stellaris);

impl Ethernet {
    pub fn start(&mut self, mac: [u8; 6]) {
        MASK.write(0);
        let (low, high) = mac.split_at(4);
        for (register, octets) in ADDRESS.iter().zip([low, high]) {
            register.write(word(octets));
        }
        // Full duplex, sum and padding by the controller; groups are let in, damaged frames not.
        const RESET: u32 = 1 << 4;
        RECEIVE.write(RESET);
        TRANSMIT.write(1 << 4 | 1 << 2 | 1 << 1 | 1);
        RECEIVE.write(1 << 3 | 1 << 1 | 1);
        STATUS.write(ALL);
    }

    /// Whether a frame waits.
    pub fn is_waiting(&self) -> bool {
        COUNT.read() != 0
    }

    /// Lets a frame that arrives wake the processor.
    pub fn listen(&self) {
        STATUS.write(ALL);
        MASK.write(RECEIVED);
        // One that came before the old ones were acknowledged would not be noticed.
        if COUNT.read() != 0 {
            cortex_m::peripheral::NVIC::pend(super::INTERRUPT);
        }
    }
}

fn two_words() -> u128 {
    u128::from(DATA.read()) | u128::from(DATA.read()) << 32
}

impl Controller for Stellaris {
    fn capabilities() -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn receive(frame: &mut [u8; FRAME]) -> Option<usize> {
        if COUNT.read() == 0 {
            return None;
        }
        let [low, high, first, second] = DATA.read().to_le_bytes();
        let len = usize::from(u16::from_le_bytes([low, high])).saturating_sub(LENGTH_AND_SUM);
        // All of it has to be read, whether there is room for it or not; the sum is passed over.
        let mut words = (len + LENGTH_AND_SUM).div_ceil(4).saturating_sub(1);
        let (start, rest) = frame.split_first_chunk_mut()?;
        *start = [first, second];
        // Four words at a time take half of the instructions.
        let fours = (words / 4).min(rest.len() / 16);
        let (front, back) = rest.split_at_mut_checked(fours * 16)?;
        for room in front.as_chunks_mut().0 {
            *room = (two_words() | two_words() << 64).to_le_bytes();
        }
        words -= fours * 4;
        for room in back.as_chunks_mut().0.iter_mut().take(words) {
            *room = DATA.read().to_le_bytes();
            words -= 1;
        }
        for _ in 0..words {
            DATA.read();
        }
        Some(len.min(FRAME))
    }

    fn can_send() -> bool {
        NEW.read() & 1 == 0
    }

    fn send(frame: &[u8]) {
        const HEADER: usize = 14;
        let [low, high] = u16::try_from(frame.len().saturating_sub(HEADER)).unwrap_or(0).to_le_bytes();
        let (start, rest) = frame.split_at_checked(2).unwrap_or((frame, &[]));
        let [first, second] = start else { return };
        DATA.write(u32::from_le_bytes([low, high, *first, *second]));
        let (words, tail) = rest.as_chunks();
        for octets in words {
            DATA.write(u32::from_le_bytes(*octets));
        }
        if !tail.is_empty() {
            DATA.write(word(tail));
        }
        NEW.write(1);
    }
}
