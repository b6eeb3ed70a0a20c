//! Which program speaks: the version at the front of every header, and the `VS:` line of an entry.

use crate::text::Text;
use crate::wire::{Field, ParseError, Reader, Writer, decimal, hex, leading_decimal};

use super::Header;

/// The program that a version text tells of (R-IP-12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Client<'a> {
    /// Exactly `1`: the official programs for Windows and Mac, their rebuilds (飞鸽传书), most small relatives.
    IpMessenger,
    /// iptux, of this version. Speaks UTF-8 and never says so (R-IP-104).
    Iptux {
        /// For example `0.9.4`.
        version: Text<'a>,
    },
    /// FeiQ (飞秋) or one that passes for it. Speaks GBK (R-IP-103).
    Feiq(FeiqVersion<'a>),
    /// 内网通 (ShiYeLine). Speaks GBK; hears only entries without any option (R-IP-33).
    Shiyeline,
    /// None of these.
    Unknown,
}

impl<'a> Client<'a> {
    /// Tells the program from the version text.
    #[must_use]
    pub fn of_version(version: Text<'a>) -> Self {
        let octets = version.as_bytes();
        let rest = octets.strip_prefix(b"1").unwrap_or_default();
        if octets == b"1" {
            Self::IpMessenger
        } else if let Some(rest) = rest.strip_prefix(b"_lbt") {
            Self::Feiq(FeiqVersion::parse(rest))
        } else if let Some(version) = rest.strip_prefix(b"_iptux ").or_else(|| octets.strip_prefix(b"iptux ")) {
            Self::Iptux { version: Text::new(version) }
        } else if rest.starts_with(b"@shiyeline") {
            Self::Shiyeline
        } else {
            Self::Unknown
        }
    }
}

impl<'a> Header<'a> {
    /// The program that sent this.
    #[must_use]
    pub fn client(&self) -> Client<'a> {
        Client::of_version(self.version)
    }

    /// Whether the version begins with the number 1, without which the official programs hear nothing
    /// (R-IP-4). Old iptux versions begin otherwise and deserve an answer all the same.
    #[must_use]
    pub fn is_version_1(&self) -> bool {
        leading_decimal(self.version.as_bytes()) == Some(1)
    }
}

/// What FeiQ says of itself in every header (R-IP-13):
/// `1_lbt<generation>_<avatar>#<level>#<id>#<avatar size>#<self-image size>#<encrypted size>#<code>#9`.
///
/// Numbers that are missing or unreadable are 0. What the sizes mean was found by others by trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeiqVersion<'a> {
    /// 2 to 6 with old programs, 80 with those of 2013.
    pub generation: u32,
    /// The index of the built-in avatar.
    pub avatar: u32,
    /// Flags; the bits above the lowest 8 are shown as stars.
    pub level: u32,
    /// The hardware address of the sender, 12 hexadecimal digits, or another id. Two members with the same id,
    /// user and host do not see each other.
    pub id: Text<'a>,
    /// The size in octets of an avatar of the user's own, or 0.
    pub avatar_size: u32,
    /// The size in octets of the user's "self-image", or 0.
    pub self_image_size: u32,
    /// The size in octets of an encrypted body of a group message, or 0.
    pub encrypted_size: u32,
    /// The code of the program, for example `4000` or `2.5a`; empty with old programs.
    pub code: Text<'a>,
}

impl<'a> FeiqVersion<'a> {
    /// Reads what follows `1_lbt`.
    fn parse(octets: &'a [u8]) -> Self {
        let mut reader = Reader::new(octets);
        let mut front = Reader::new(reader.until_or_rest(b'#'));
        let generation = number(front.until_or_rest(b'_'));
        let avatar = number(front.rest());
        let level = number(reader.until_or_rest(b'#'));
        let id = Text::new(reader.until_or_rest(b'#'));
        let avatar_size = number(reader.until_or_rest(b'#'));
        let self_image_size = number(reader.until_or_rest(b'#'));
        // Left are `X`, `X#code#9` or, with some builds, `code#9`.
        let rest = reader.rest();
        let (rest, ends) = rest.strip_suffix(b"#9").map_or((rest, false), |rest| (rest, true));
        let mut reader = Reader::new(rest);
        let (encrypted_size, code) = match reader.until(b'#') {
            Some(size) => (size, reader.rest()),
            None if ends => (&[][..], rest),
            None => (rest, &[][..]),
        };
        let (encrypted_size, code) = (number(encrypted_size), Text::new(code));
        Self { generation, avatar, level, id, avatar_size, self_image_size, encrypted_size, code }
    }

    /// Writes the version text, from the `1` on. `id` and `code` must not hold `#` or `:`.
    pub fn write(&self, writer: &mut Writer<'_>) {
        let number = |writer: &mut Writer<'_>, number: u32| {
            writer.decimal(u64::from(number)).octet(b'#');
        };
        writer.octets(b"1_lbt").decimal(u64::from(self.generation)).octet(b'_');
        number(writer, self.avatar);
        number(writer, self.level);
        writer.octets(self.id.as_bytes()).octet(b'#');
        number(writer, self.avatar_size);
        number(writer, self.self_image_size);
        if self.code.is_empty() {
            writer.decimal(u64::from(self.encrypted_size));
        } else {
            number(writer, self.encrypted_size);
            writer.octets(self.code.as_bytes()).octets(b"#9");
        }
    }
}

fn number(field: &[u8]) -> u32 {
    leading_decimal(field).map_or(0, |number| u32::try_from(number).unwrap_or(u32::MAX))
}

/// The official programs as their `VS:` line tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Platform {
    /// Windows, 32 bits.
    Windows32,
    /// Windows, 64 bits.
    Windows64,
    /// macOS.
    Mac,
    /// iOS.
    Ios,
    /// Android.
    Android,
    /// Any other number.
    Unknown(u32),
}

/// The `VS:` line of an entry (R-IP-14): `%08X:major:minor:revision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionInfo {
    /// What the program runs on.
    pub platform: Platform,
    /// The 4 of version 4.99r3.
    pub major: u32,
    /// The 99 of version 4.99r3.
    pub minor: u32,
    /// Alpha n is n, beta n is 50 + n, release n is 100 + n.
    pub revision: u32,
}

impl VersionInfo {
    /// Reads the value of a `VS:` line.
    ///
    /// # Errors
    /// [`ParseError`] if the platform is not a number; missing version numbers are 0.
    pub fn parse(value: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(value);
        let platform = hex(reader.until_or_rest(b':')).ok_or(ParseError::malformed(Field::Version))?;
        let platform = match u32::try_from(platform).map_err(|_| ParseError::too_large(Field::Version))? {
            0x0001_0001 => Platform::Windows32,
            0x0001_0002 => Platform::Windows64,
            0x0002_0000 => Platform::Mac,
            0x0003_0000 => Platform::Ios,
            0x0004_0000 => Platform::Android,
            other => Platform::Unknown(other),
        };
        let mut next = || {
            let number = decimal(reader.until_or_rest(b':')).unwrap_or(0);
            u32::try_from(number).unwrap_or(u32::MAX)
        };
        Ok(Self { platform, major: next(), minor: next(), revision: next() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feiq(version: &str) -> FeiqVersion<'_> {
        match Client::of_version(version.into()) {
            Client::Feiq(feiq) => feiq,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tells_programs_apart() {
        assert_eq!(Client::of_version("1".into()), Client::IpMessenger);
        assert_eq!(Client::of_version("1_iptux 0.9.4".into()), Client::Iptux { version: "0.9.4".into() });
        assert_eq!(Client::of_version("iptux 0.8.0".into()), Client::Iptux { version: "0.8.0".into() });
        assert_eq!(Client::of_version("1@shiyeline".into()), Client::Shiyeline);
        for unknown in ["", "2", "11", "1_", "IP2", "9801"] {
            assert_eq!(Client::of_version(unknown.into()), Client::Unknown, "{unknown}");
        }
    }

    /// The row of section 12.3, and the shorter forms.
    #[test]
    fn feiq_versions() {
        let now = feiq("1_lbt80_0#131200#28E3475C0E3E#3380#43820#0#4000#9");
        let want = FeiqVersion {
            generation: 80,
            avatar: 0,
            level: 131_200,
            id: "28E3475C0E3E".into(),
            avatar_size: 3380,
            self_image_size: 43820,
            encrypted_size: 0,
            code: "4000".into(),
        };
        assert_eq!(now, want);
        let old = feiq("1_lbt4_3#128#005056A37E16#0#0#7");
        assert_eq!((old.generation, old.avatar, old.id), (4, 3, "005056A37E16".into()));
        assert_eq!((old.encrypted_size, old.code), (7, Text::default()));
        let without_size = feiq("1_lbt6_0#128#F8B46AA55B28#0#0#4001#9");
        assert_eq!((without_size.encrypted_size, without_size.code), (0, "4001".into()));
        assert_eq!(feiq("1_lbt"), FeiqVersion::default());
        assert_eq!(feiq("1_lbt99999999999_x#").generation, u32::MAX);
    }

    #[test]
    fn feiq_versions_round_trip() {
        for text in ["1_lbt80_0#131200#28E3475C0E3E#3380#43820#0#4000#9", "1_lbt4_3#128#005056A37E16#0#0#0"] {
            let mut buffer = [0xa5; 64];
            let mut writer = Writer::new(&mut buffer);
            feiq(text).write(&mut writer);
            let len = writer.finish().unwrap();
            assert_eq!(&buffer[..len], text.as_bytes());
            assert_eq!(buffer[len], 0xa5);
        }
    }

    #[test]
    fn version_lines() {
        let win = VersionInfo { platform: Platform::Windows64, major: 4, minor: 99, revision: 103 };
        assert_eq!(VersionInfo::parse(b"00010002:4:99:103"), Ok(win));
        let short = VersionInfo { platform: Platform::Unknown(5), major: 1, minor: 0, revision: 0 };
        assert_eq!(VersionInfo::parse(b"5:1"), Ok(short));
        assert_eq!(VersionInfo::parse(b""), Err(ParseError::malformed(Field::Version)));
        assert_eq!(VersionInfo::parse(b"1ffffffff:1"), Err(ParseError::too_large(Field::Version)));
    }
}
