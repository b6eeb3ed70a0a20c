//! The names of option bits, which depend on the command (R-IP-6).

use feige_core::wire::ipmsg::{Command, Options};

use super::tree::Tree;

type Names = &'static [(Options, &'static str)];

const ENTRY: Names = &[
    (Options::ABSENCE, "ABSENCE"),
    (Options::SERVER, "SERVER"),
    (Options::DIALUP, "DIALUP"),
    (Options::CAP_FILE_ENC_OLD, "CAPFILEENC_OLD"),
    (Options::CAP_FILE_ENC, "CAPFILEENC"),
    (Options::FILE_ATTACH, "FILEATTACH"),
    (Options::ENCRYPT, "ENCRYPT"),
    (Options::UTF8, "UTF8"),
    (Options::CAP_UTF8, "CAPUTF8"),
    (Options::CAP_IPDICT, "CAPIPDICT"),
    (Options::ENC_EXT_MSG, "ENCEXTMSG"),
    (Options::CLIPBOARD, "CLIPBOARD"),
    (Options::DIR_MASTER, "DIR_MASTER"),
];

const MESSAGE: Names = &[
    (Options::SEND_CHECK, "SENDCHECK"),
    (Options::SECRET, "SECRET"),
    (Options::BROADCAST, "BROADCAST"),
    (Options::MULTICAST, "MULTICAST"),
    (Options::NO_POPUP, "NOPOPUP"),
    (Options::AUTO_RET, "AUTORET"),
    (Options::RETRY, "RETRY"),
    (Options::PASSWORD, "PASSWORD"),
    (Options::NO_LOG, "NOLOG"),
    (Options::NEW_MULTI_OLD, "NEWMULTI_OLD"),
    (Options::NO_ADD_LIST, "NOADDLIST"),
    (Options::READ_CHECK, "READCHECK"),
    (Options::FILE_ATTACH, "FILEATTACH"),
    (Options::ENCRYPT, "ENCRYPT"),
    (Options::UTF8, "UTF8"),
    (Options::CAP_UTF8, "CAPUTF8"),
    (Options::ENC_EXT_MSG, "ENCEXTMSG"),
    (Options::CLIPBOARD, "CLIPBOARD"),
    (Options::IPTUX_SHARED, "IPTUX_SHARED"),
];

const REQUEST: Names = &[
    (Options::ENC_FILE, "ENCFILE"),
    (Options::ENC_FILE_OLD, "ENCFILE_OLD"),
    (Options::FILE_ATTACH, "FILEATTACH"),
    (Options::ENCRYPT, "ENCRYPT"),
    (Options::UTF8, "UTF8"),
];

/// The names of the bits that are set; bits without a name in hexadecimal.
pub(super) fn list(command: Command, options: Options) -> Tree {
    let names = match command {
        command if command.is_entry() => ENTRY,
        Command::GetFileData | Command::GetDirFiles => REQUEST,
        _ => MESSAGE,
    };
    let mut rest = options;
    let mut found = Vec::new();
    for &(bit, name) in names {
        if options.contains(bit) {
            found.push(Tree::text(name));
            rest = rest.without(bit);
        }
    }
    if rest.bits() != 0 {
        found.push(Tree::text(format!("{:#010x}", rest.bits())));
    }
    Tree::List(found)
}
