//! MPS2 with AN385 (Cortex-M3 at 25 MHz) and its Ethernet controller, a LAN9118.
//!
//! The controller has 10 KiB for frames that were received, six full ones; the windows of TCP are kept below that.
//! Sources: ARM DAI0385 (memory map, interrupts), data sheet of the LAN9118, chapters 3 and 5.

use cortex_m::peripheral::SCB;
use smoltcp::phy::{DeviceCapabilities, Medium};

use super::{Controller, FRAME, Register, word};

/// Ethernet.
pub const INTERRUPT: u16 = 13;

const LAN: usize = 0x4020_0000;
const RX_DATA: Register = Register::at(LAN);
const TX_DATA: Register = Register::at(LAN + 0x20);
const RX_STATUS: Register = Register::at(LAN + 0x40);
const IRQ_CONFIG: Register = Register::at(LAN + 0x54);
const IRQ_STATUS: Register = Register::at(LAN + 0x58);
const IRQ_ENABLE: Register = Register::at(LAN + 0x5c);
const FIFO_LEVELS: Register = Register::at(LAN + 0x68);
const TX_CONFIG: Register = Register::at(LAN + 0x70);
const HARDWARE: Register = Register::at(LAN + 0x74);
const RX_INFORMATION: Register = Register::at(LAN + 0x7c);
const TX_INFORMATION: Register = Register::at(LAN + 0x80);
const MAC_COMMAND: Register = Register::at(LAN + 0xa4);
const MAC_DATA: Register = Register::at(LAN + 0xa8);

/// Registers of the MAC behind the command register: control, address.
const CONTROL: u32 = 1;
const ADDRESS_HIGH: u32 = 2;
const ADDRESS_LOW: u32 = 3;

/// A status of a received frame is there.
const RECEIVED: u32 = 1 << 3;

/// Behind a received frame stands its sum.
const SUM: usize = 4;

/// The clock runs already; returns its frequency.
pub fn start(_: &mut SCB) -> u32 {
    25_000_000
}

/// The controller.
pub struct Lan9118;

super::driver!(Lan9118);

impl Ethernet {
    pub fn start(&mut self, mac: [u8; 6]) {
        // Reset, which ends by itself.
        HARDWARE.write(1);
        for _ in 0..1_000_000 {
            if HARDWARE.read() & 1 == 0 {
                break;
            }
        }
        // 5 KiB for sending; frames may be cut and put together by the controller.
        HARDWARE.write(5 << 16 | 1 << 20);
        // The line stays active as long as there is a reason: type and polarity as the board has them.
        IRQ_ENABLE.write(0);
        IRQ_STATUS.write(u32::MAX);
        IRQ_CONFIG.write(1 << 8 | 1 << 4 | 1);
        // A status for each frame.
        FIFO_LEVELS.write(0);
        let (low, high) = mac.split_at(4);
        mac_write(ADDRESS_LOW, word(low));
        mac_write(ADDRESS_HIGH, word(high));
        TX_CONFIG.write(1 << 1);
        // Full duplex, groups let in, both directions on.
        mac_write(CONTROL, 1 << 20 | 1 << 19 | 1 << 3 | 1 << 2);
    }

    /// Whether a frame waits.
    pub fn is_waiting(&self) -> bool {
        waiting() != 0
    }

    /// Lets a frame that arrives wake the processor.
    pub fn listen(&self) {
        IRQ_STATUS.write(u32::MAX);
        IRQ_ENABLE.write(RECEIVED);
        // One that came before the old ones were acknowledged would not be noticed.
        if waiting() != 0 {
            cortex_m::peripheral::NVIC::pend(super::INTERRUPT);
        }
    }
}

fn waiting() -> u32 {
    RX_INFORMATION.read() >> 16 & 0xff
}

fn mac_write(register: u32, value: u32) {
    MAC_DATA.write(value);
    MAC_COMMAND.write(1 << 31 | register);
    for _ in 0..1_000_000 {
        if MAC_COMMAND.read() & 1 << 31 == 0 {
            break;
        }
    }
}

impl Controller for Lan9118 {
    fn capabilities() -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities.max_burst_size = Some(6);
        capabilities
    }

    fn receive(frame: &mut [u8; FRAME]) -> Option<usize> {
        if waiting() == 0 {
            return None;
        }
        let with_sum = usize::try_from(RX_STATUS.read() >> 16 & 0x3fff).unwrap_or(0);
        let mut words = with_sum.div_ceil(4);
        for room in frame.chunks_mut(4) {
            if words == 0 {
                break;
            }
            words -= 1;
            let octets = RX_DATA.read().to_le_bytes();
            room.iter_mut().zip(octets).for_each(|(to, from)| *to = from);
        }
        for _ in 0..words {
            RX_DATA.read();
        }
        Some(with_sum.saturating_sub(SUM).min(FRAME))
    }

    fn can_send() -> bool {
        let free = TX_INFORMATION.read() & 0xffff;
        usize::try_from(free).unwrap_or(0) >= FRAME + 16
    }

    fn send(frame: &[u8]) {
        let len = u32::try_from(frame.len()).unwrap_or(0) & 0x7ff;
        // One segment, the first and the last; its length, and that of the frame.
        TX_DATA.write(1 << 13 | 1 << 12 | len);
        TX_DATA.write(len);
        let (words, tail) = frame.as_chunks();
        for octets in words {
            TX_DATA.write(u32::from_le_bytes(*octets));
        }
        if !tail.is_empty() {
            TX_DATA.write(word(tail));
        }
    }
}
