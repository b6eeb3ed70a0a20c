//! The command word: the low 8 bits name a command, the high 24 are option bits.

use core::fmt;

use super::bits::bit_set;

/// What a datagram or request asks for: the low 8 bits of the command word (R-IP-5).
///
/// Every octet is one. Those that nobody documented survive a round trip and are never answered.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Command(u8);

macro_rules! commands {
    ($($(#[$doc:meta])+ $name:ident = $code:literal, $label:literal;)+) => {
        // Named like the variants of an enum, because that is what they are used as.
        #[allow(non_upper_case_globals)]
        impl Command {
            $($(#[$doc])+ pub const $name: Self = Self($code);)+

            /// The name that the family's documents use; `unknown` if nobody documented the command.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                    _ => "unknown",
                }
            }

            /// Every command that has a name.
            pub const NAMED: &'static [Self] = &[$(Self::$name,)+];
        }
    };
}

commands! {
    /// Nothing; sent to open firewalls and before an entry.
    NoOperation = 0x00, "NOOPERATION";
    /// "I am here": broadcast, answered with [`Command::AnsEntry`].
    BrEntry = 0x01, "BR_ENTRY";
    /// "I leave".
    BrExit = 0x02, "BR_EXIT";
    /// The answer to [`Command::BrEntry`].
    AnsEntry = 0x03, "ANSENTRY";
    /// Nickname, group or absence changed; never answered.
    BrAbsence = 0x04, "BR_ABSENCE";
    /// "Who can send a list of hosts?"
    BrIsGetList = 0x10, "BR_ISGETLIST";
    /// "I can send a list of hosts."
    OkGetList = 0x11, "OKGETLIST";
    /// "Send the list of hosts from this index on."
    GetList = 0x12, "GETLIST";
    /// A part of the list of hosts.
    AnsList = 0x13, "ANSLIST";
    /// A list of hosts as a dictionary.
    AnsListDict = 0x14, "ANSLIST_DICT";
    /// The newer form of [`Command::BrIsGetList`].
    BrIsGetList2 = 0x18, "BR_ISGETLIST2";
    /// A message, perhaps with files.
    SendMsg = 0x20, "SENDMSG";
    /// "Your message arrived."
    RecvMsg = 0x21, "RECVMSG";
    /// "Your sealed message was opened."
    ReadMsg = 0x30, "READMSG";
    /// "Your sealed message was thrown away unopened."
    DelMsg = 0x31, "DELMSG";
    /// The answer to [`Command::ReadMsg`].
    AnsReadMsg = 0x32, "ANSREADMSG";
    /// "Which program are you?"
    GetInfo = 0x40, "GETINFO";
    /// The answer to [`Command::GetInfo`].
    SendInfo = 0x41, "SENDINFO";
    /// "Why are you away?"
    GetAbsenceInfo = 0x50, "GETABSENCEINFO";
    /// The answer to [`Command::GetAbsenceInfo`].
    SendAbsenceInfo = 0x51, "SENDABSENCEINFO";
    /// TCP: "Send this file."
    GetFileData = 0x60, "GETFILEDATA";
    /// "I do not want the offered files."
    ReleaseFiles = 0x61, "RELEASEFILES";
    /// TCP: "Send this folder."
    GetDirFiles = 0x62, "GETDIRFILES";
    /// Reserved.
    DirFilesAuth = 0x63, "DIRFILES_AUTH";
    /// Reserved.
    DirFilesAuthRet = 0x64, "DIRFILES_AUTHRET";
    /// "Send your public key."
    GetPubKey = 0x72, "GETPUBKEY";
    /// The answer to [`Command::GetPubKey`].
    AnsPubKey = 0x73, "ANSPUBKEY";
    /// FeiQ: "I opened a window to talk to you."
    FeiqOpenYou = 0x77, "FEIQ_OPEN_YOU";
    /// FeiQ: the answer to [`Command::FeiqOpenYou`] and to a probe.
    FeiqRespYou = 0x78, "FEIQ_RESP_YOU";
    /// FeiQ: "I am typing."
    FeiqTyping = 0x79, "FEIQ_INPUTING";
    /// FeiQ: "I stopped typing."
    FeiqTypingEnd = 0x7a, "FEIQ_INPUT_END";
    /// Member master: agent request.
    AgentReq = 0xa0, "AGENT_REQ";
    /// Member master: the answer to [`Command::AgentReq`].
    AgentAnsReq = 0xa1, "AGENT_ANSREQ";
    /// Member master: a wrapped packet.
    AgentPacket = 0xa2, "AGENT_PACKET";
    /// Member master: proxy request.
    AgentProxyReq = 0xa3, "AGENT_PROXYREQ";
    /// Member master: poll. FeiQ uses the same code for remote assistance.
    DirPoll = 0xb0, "DIR_POLL";
    /// Member master: poll through an agent.
    DirPollAgent = 0xb1, "DIR_POLLAGENT";
    /// Member master: broadcast.
    DirBroadcast = 0xb2, "DIR_BROADCAST";
    /// Member master: the answer to [`Command::DirBroadcast`].
    DirAnsBroad = 0xb3, "DIR_ANSBROAD";
    /// Member master: a wrapped packet.
    DirPacket = 0xb4, "DIR_PACKET";
    /// Member master: request.
    DirRequest = 0xb5, "DIR_REQUEST";
    /// Member master: a packet through an agent.
    DirAgentPacket = 0xb6, "DIR_AGENTPACKET";
    /// Member master: an event broadcast.
    DirEvBroad = 0xb7, "DIR_EVBROAD";
    /// Member master: the agent refuses.
    DirAgentReject = 0xb8, "DIR_AGENTREJECT";
    /// FeiQ: a fragment of an inline image.
    FeiqSendImage = 0xc0, "FEIQ_SENDIMAGE";
    /// FeiQ: the acknowledgement of a fragment.
    FeiqImageAck = 0xc1, "FEIQ_REPORT_RECVIMAGE";
    /// FeiQ: a group entry.
    FeiqGroupEntry = 0xc9, "FEIQ_GROUP_ENTRY";
    /// FeiQ: "shake the window".
    FeiqKnock = 0xd1, "FEIQ_KNOCK";
    /// FeiQ: the answer to [`Command::FeiqKnock`].
    FeiqKnockAck = 0xd2, "FEIQ_KNOCK_ACK";
    /// FeiQ: device query, and with bit 0x100 a probe.
    FeiqDeviceQuery = 0xd8, "FEIQ_DEVICE_QUERY";
    /// FeiQ: the answer to [`Command::FeiqDeviceQuery`].
    FeiqDeviceReply = 0xd9, "FEIQ_DEVICE_REPLY";
    /// FeiQ: a group message (multicast).
    FeiqGroupMessage = 0x23, "FEIQ_GROUP_MESSAGE";
    /// iptux: a group message.
    IptuxSendMsg = 0xfb, "IPTUX_SENDMSG";
    /// iptux: the signature line of a user.
    IptuxSendSign = 0xfc, "IPTUX_SENDSIGN";
    /// iptux, TCP: a picture.
    IptuxSendSublayer = 0xfd, "IPTUX_SENDSUBLAYER";
    /// iptux: the icon of a user.
    IptuxSendIcon = 0xfe, "IPTUX_SENDICON";
    /// iptux: "what do you share?"
    IptuxAskShared = 0xff, "IPTUX_ASKSHARED";
}

impl Command {
    /// The command with this code.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        Self(code)
    }

    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }

    /// Whether the body is a nickname, followed by a group and more: an entry (R-IP-20).
    #[must_use]
    pub const fn is_entry(self) -> bool {
        matches!(self, Self::BrEntry | Self::BrExit | Self::AnsEntry | Self::BrAbsence)
    }

    /// Whether what follows the first NUL is one binary blob that may hold more NULs (R-IP-7).
    #[must_use]
    pub const fn has_binary_tail(self) -> bool {
        matches!(self, Self::FeiqSendImage | Self::IptuxSendIcon | Self::IptuxSendSublayer)
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({:#04x})", self.name(), self.0)
    }
}

/// The option bits of a command word: its high 24 bits (R-IP-6).
///
/// The same bit means different things with different commands, so one value can have several names here;
/// the comment says with which commands a name applies.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Options(u32);

bit_set! { Options {
    /// No option.
    NONE = 0;
    /// Entries: the user is away. iptux sets it always.
    ABSENCE = 0x0000_0100;
    /// Entries: a server (reserved).
    SERVER = 0x0000_0200;
    /// Entries: "send entries to me by unicast".
    DIALUP = 0x0001_0000;
    /// Entries: encrypted file transfer of v3.5 to v3.64.
    CAP_FILE_ENC_OLD = 0x0000_1000;
    /// Entries: can transfer files encrypted.
    CAP_FILE_ENC = 0x0004_0000;
    /// Entries: can attach files. Messages: has attachments. Requests of iptux: set without meaning.
    FILE_ATTACH = 0x0020_0000;
    /// Entries: can encrypt. Messages and requests: the body is encrypted.
    ENCRYPT = 0x0040_0000;
    /// The datagram is in UTF-8.
    UTF8 = 0x0080_0000;
    /// Entries: "I understand UTF-8".
    CAP_UTF8 = 0x0100_0000;
    /// Entries: understands dictionaries in place of datagrams.
    CAP_IPDICT = 0x0200_0000;
    /// The attachment list may be inside the encrypted body.
    ENC_EXT_MSG = 0x0400_0000;
    /// Entries: accepts clipboard pictures. Messages: carries one.
    CLIPBOARD = 0x0800_0000;
    /// Entries: a member master.
    DIR_MASTER = 0x1000_0000;

    /// Messages: "acknowledge this".
    SEND_CHECK = 0x0000_0100;
    /// Messages: sealed, to be opened by the receiver.
    SECRET = 0x0000_0200;
    /// Messages: sent to everybody; never acknowledged.
    BROADCAST = 0x0000_0400;
    /// Messages: sent to several.
    MULTICAST = 0x0000_0800;
    /// Messages: obsolete.
    NO_POPUP = 0x0000_1000;
    /// Messages and key requests: an automatic answer; never acknowledged nor answered automatically.
    AUTO_RET = 0x0000_2000;
    /// Host list requests: asked again.
    RETRY = 0x0000_4000;
    /// Messages: locked, the receiver must give a password of its own to open it.
    PASSWORD = 0x0000_8000;
    /// Messages: "do not log this".
    NO_LOG = 0x0002_0000;
    /// Messages: obsolete.
    NEW_MULTI_OLD = 0x0004_0000;
    /// Messages: "do not send me an entry".
    NO_ADD_LIST = 0x0008_0000;
    /// Messages and READMSG: "confirm the opening".
    READ_CHECK = 0x0010_0000;
    /// iptux: an answer to [`Command::IptuxAskShared`].
    IPTUX_SHARED = 0x8000_0000;

    /// File requests: the octets of the stream are encrypted.
    ENC_FILE = 0x0000_0800;
    /// File requests of v3.5: the octets of the stream are encrypted.
    ENC_FILE_OLD = 0x0000_0400;
} }

impl Options {
    const MASK: u32 = !0xff;

    /// The option bits of a command word.
    #[must_use]
    pub const fn of_word(word: u32) -> Self {
        Self(word & Self::MASK)
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Options({:#010x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_one_code() {
        for (at, command) in Command::NAMED.iter().enumerate() {
            assert_eq!(Command::NAMED.iter().position(|other| other == command), Some(at), "{command:?}");
            assert_ne!(command.name(), "unknown");
        }
        assert_eq!(Command::from_code(0x09).name(), "unknown");
    }

    #[test]
    fn options_never_touch_the_command() {
        let options = Options::of_word(0xffff_ffff);
        assert_eq!(options.bits(), 0xffff_ff00);
        assert!(options.contains(Options::SEND_CHECK.with(Options::UTF8)));
        assert!(!options.without(Options::UTF8).intersects(Options::UTF8));
    }
}
