//! Putting octets together in a buffer that was lent.

use super::{BufferTooSmall, Digits};

/// Fills a lent buffer from the front.
///
/// What does not fit is counted but not written, so a caller learns from [`Writer::finish`] how much
/// room the whole would have taken, and no call in between has to be checked.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    wanted: usize,
}

impl<'b> Writer<'b> {
    /// Writes to the front of `buffer`.
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, wanted: 0 }
    }

    /// Appends `octets`.
    pub fn octets(&mut self, octets: &[u8]) -> &mut Self {
        if let Some(room) = self.buffer.get_mut(self.wanted..) {
            for (to, from) in room.iter_mut().zip(octets) {
                *to = *from;
            }
        }
        self.wanted = self.wanted.saturating_add(octets.len());
        self
    }

    /// Appends one octet.
    pub fn octet(&mut self, octet: u8) -> &mut Self {
        self.octets(&[octet])
    }

    /// Appends `number` in decimal.
    pub fn decimal(&mut self, number: u64) -> &mut Self {
        self.digits(Digits::decimal(number), 1, b' ')
    }

    /// Appends `number` in decimal, padded with spaces to at least `width`.
    pub fn decimal_padded(&mut self, number: u64, width: usize) -> &mut Self {
        self.digits(Digits::decimal(number), width, b' ')
    }

    /// Appends `number` in lower-case hexadecimal.
    pub fn hex(&mut self, number: u64) -> &mut Self {
        self.digits(Digits::hex(number), 1, b'0')
    }

    /// Appends `number` in lower-case hexadecimal, padded with zeros to at least `width`.
    pub fn hex_padded(&mut self, number: u64, width: usize) -> &mut Self {
        self.digits(Digits::hex(number), width, b'0')
    }

    /// How many octets have been asked for so far, written or not.
    #[must_use]
    pub const fn wanted(&self) -> usize {
        self.wanted
    }

    /// The number of octets written.
    ///
    /// # Errors
    /// [`BufferTooSmall`] with the size that would have sufficed; what the buffer holds then is cut off.
    pub const fn finish(&self) -> Result<usize, BufferTooSmall> {
        if self.wanted <= self.buffer.len() { Ok(self.wanted) } else { Err(BufferTooSmall { needed: self.wanted }) }
    }

    fn digits(&mut self, digits: Digits, width: usize, pad: u8) -> &mut Self {
        for _ in digits.as_bytes().len()..width {
            self.octet(pad);
        }
        self.octets(digits.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_does_not_fit_and_writes_nothing_beyond() {
        let mut buffer = [0xa5; 6];
        let mut writer = Writer::new(&mut buffer[..4]);
        writer.octets(b"ab").decimal(1234);
        assert_eq!(writer.finish(), Err(BufferTooSmall { needed: 6 }));
        assert_eq!(&buffer[4..], [0xa5, 0xa5]);
    }

    #[test]
    fn numbers() {
        let mut buffer = [0xa5; 64];
        let mut writer = Writer::new(&mut buffer);
        writer.decimal(0).octet(b' ').decimal(u64::MAX).octet(b' ').hex(0xab).octet(b' ');
        writer.hex_padded(0x2e, 4).octet(b' ').decimal_padded(2, 5);
        let len = writer.finish().unwrap();
        assert_eq!(&buffer[..len], b"0 18446744073709551615 ab 002e     2");
        assert_eq!(buffer[len], 0xa5);
    }
}
