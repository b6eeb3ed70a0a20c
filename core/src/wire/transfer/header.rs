//! Headers: what is asked and what is answered.
//!
//! The order of variants and fields is the wire format: postcard numbers variants from 0 in this order, so new ones
//! only ever come at the end.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// What a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Request<'a> {
    /// The first message (R-VT-10). Answer: [`Reply::Hello`].
    #[serde(borrow)]
    Hello(Hello<'a>),
    /// Begins to sign in: the client-first-message of SCRAM-SHA-256 (R-VT-15). Answer: [`Reply::SignIn`] with the
    /// server-first-message.
    SignIn {
        /// The message, as RFC 5802 spells it.
        message: &'a str,
    },
    /// Ends to sign in: the client-final-message (R-VT-15). Answer: [`Reply::SignIn`] with the server-final-message.
    Proof {
        /// The message, as RFC 5802 spells it.
        message: &'a str,
    },
    /// Asks to go on without an account (R-VT-16). Answer: [`Reply::Done`].
    Guest,
    /// Asks for a page of a folder (R-VT-40). Answer: [`Reply::Entry`] any number of times, then [`Reply::End`].
    List {
        /// The folder.
        path: &'a str,
        /// Where to go on: 0, or what the [`Reply::End`] of the page before said.
        cursor: u64,
    },
    /// Asks about one file or folder. Answer: [`Reply::Stat`].
    Stat {
        /// The file or folder.
        path: &'a str,
    },
    /// Asks for a file, or a range of it (R-VT-50). Answer: [`Reply::File`], then [`Reply::Data`] until all has come.
    Get(Get<'a>),
    /// Announces a file (R-VT-60). Answer: [`Reply::Ready`], or, if the octets came with it, [`Reply::Stored`].
    Put(Put<'a>),
    /// Octets of the announced file, with digests (R-VT-31). Not answered.
    Data(Data),
    /// All octets were sent (R-VT-63). Answer: [`Reply::Repair`] or [`Reply::Stored`].
    Finish {
        /// The digest of the blocks sent since [`Reply::Ready`], as if they were a file.
        digest: Digest,
    },
    /// Makes a folder. Answer: [`Reply::Done`].
    MakeDir {
        /// The folder to be.
        path: &'a str,
        /// Make the folders above it too, and be content if it is there already.
        parents: bool,
    },
    /// Removes an empty folder. Answer: [`Reply::Done`].
    RemoveDir {
        /// The folder.
        path: &'a str,
    },
    /// Removes a file. Answer: [`Reply::Done`].
    Remove {
        /// The file.
        path: &'a str,
    },
    /// Renames or moves a file or folder. Answer: [`Reply::Done`].
    Rename {
        /// What it is called.
        from: &'a str,
        /// What it is to be called.
        to: &'a str,
        /// A file of that name is replaced.
        replace: bool,
    },
    /// Asks how much room there is. Answer: [`Reply::Space`].
    Space,
    /// Asks for the MD5 of a whole file (R-VT-41). Answer: [`Reply::Working`] any number of times, then [`Reply::Sum`].
    Sum {
        /// The file.
        path: &'a str,
    },
    /// Asks for the time. Answer: [`Reply::Time`].
    Time,
    /// Nothing more will be asked. Answer: [`Reply::Done`], and the end of the connection.
    Bye,
}

/// What a server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Reply<'a> {
    /// Answers [`Request::Hello`].
    #[serde(borrow)]
    Hello(Hello<'a>),
    /// A server message of SCRAM-SHA-256.
    SignIn {
        /// The message, as RFC 5802 spells it.
        message: &'a str,
    },
    /// It cannot be done, or not any further. Answers any request.
    Error {
        /// For programs.
        code: ErrorCode,
        /// For people.
        text: &'a str,
    },
    /// It is done.
    Done,
    /// An entry of the folder that is listed.
    Entry(Entry<'a>),
    /// The page is over.
    End {
        /// Where the next page begins; 0 if there is none.
        cursor: u64,
    },
    /// Answers [`Request::Stat`].
    Stat(Entry<'a>),
    /// Octets of a file follow (R-VT-51).
    File(File),
    /// Octets of the file, with digests (R-VT-31).
    Data(Data),
    /// The announced file is welcome (R-VT-61).
    Ready {
        /// Where to begin: what lies before it is here already, from an earlier attempt.
        offset: u64,
        /// The size of blocks to use, as a power of two.
        block: u8,
    },
    /// These octets came damaged: send them again, then [`Request::Finish`] (R-VT-64).
    Repair {
        /// Where they begin.
        at: u64,
        /// How many.
        len: u32,
    },
    /// The file is whole, verified and has its name.
    Stored {
        /// The digest of the blocks that were received since [`Reply::Ready`], or of the file that came with its
        /// announcement.
        digest: Digest,
    },
    /// Answers [`Request::Space`]. In octets.
    Space {
        /// What is used.
        used: u64,
        /// What may be used; `None`: no limit but the disk.
        quota: Option<u64>,
        /// What is free on the disk, if that is known.
        free: Option<u64>,
    },
    /// Answers [`Request::Sum`].
    Sum {
        /// MD5 of the whole file.
        md5: Digest,
        /// Its size when it was read.
        size: u64,
    },
    /// Answers [`Request::Time`]: nanoseconds since 1970-01-01 UTC.
    Time(i64),
    /// The answer takes longer: a sign of life, at least every ten seconds (R-VT-73).
    Working,
}

/// A bit of [`Hello::features`]: takes runs of up to [`LONG_RUN`] blocks (R-VT-33).
pub const LONG_RUNS: u64 = 1;

/// The most blocks in a run to those who take [`LONG_RUNS`].
pub const LONG_RUN: usize = 32;

/// Who speaks, and what it can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello<'a> {
    /// The highest version that it speaks; a server answers with the lower of both (R-VT-10).
    pub version: u8,
    /// Bits for what not everybody can do, such as [`LONG_RUNS`]. Unknown ones are ignored (R-VT-11).
    pub features: u64,
    /// The longest header that it takes.
    pub max_header: u16,
    /// How many octets it takes that it has not asked for or not yet answered (R-VT-12).
    pub window: u32,
    /// The largest block that it works with, as a power of two.
    pub max_block: u8,
    /// The program and its version, for people.
    pub software: &'a str,
}

/// Which octets of which file are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Get<'a> {
    /// The file.
    pub path: &'a str,
    /// Where to begin; a multiple of the block.
    pub offset: u64,
    /// How many octets, at most.
    pub length: u64,
    /// The size of blocks to use, as a power of two; 0 leaves it to the server.
    pub block: u8,
    /// The [`File::stamp`] of the earlier attempt that is continued; 0 if there was none. If the file has changed
    /// since, it is sent from its start (R-VT-52).
    pub stamp: u64,
}

/// A file that is going to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put<'a> {
    /// Its path.
    pub path: &'a str,
    /// Its size in octets.
    pub size: u64,
    /// When it was last changed, in nanoseconds since 1970-01-01 UTC.
    pub mtime: Option<i64>,
    /// Its POSIX permission bits.
    pub mode: Option<u16>,
    /// Something that changes whenever the file does: an attempt with the same stamp is continued.
    pub stamp: u64,
    /// The size of blocks that the client would like to use, as a power of two.
    pub block: u8,
    /// A file of that name is replaced.
    pub replace: bool,
    /// The octets are the body of this very message (R-VT-62).
    pub inline: bool,
}

/// A run of octets, in the body of the message, behind the digest of each of their blocks (R-VT-31).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// Where in the file they belong; a multiple of the block.
    pub at: u64,
    /// How many.
    pub len: u32,
}

/// A file whose octets follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The size of the whole file.
    pub size: u64,
    /// When it was last changed, in nanoseconds since 1970-01-01 UTC.
    pub mtime: Option<i64>,
    /// Its POSIX permission bits.
    pub mode: Option<u16>,
    /// Something that changes whenever the file does.
    pub stamp: u64,
    /// The size of blocks used, as a power of two.
    pub block: u8,
    /// Where the octets that follow begin.
    pub offset: u64,
    /// How many octets follow.
    pub length: u64,
}

/// A file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// Its name, without the folder.
    pub name: &'a str,
    /// What it is.
    pub kind: EntryKind,
    /// Its size in octets; 0 for folders.
    pub size: u64,
    /// When it was last changed, in nanoseconds since 1970-01-01 UTC.
    pub mtime: Option<i64>,
    /// Its POSIX permission bits.
    pub mode: Option<u16>,
}

/// What an [`Entry`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// Why something cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The request makes no sense here.
    BadRequest,
    /// The request is not known, or not offered.
    Unsupported,
    /// Sign in first.
    SignInRequired,
    /// Name or password is wrong.
    SignInFailed,
    /// It is known who asks, and that he may not.
    Forbidden,
    /// There is no such file or folder.
    NotFound,
    /// There is something of that name already.
    Exists,
    /// It is a file, and a folder is needed.
    NotAFolder,
    /// It is a folder, and a file is needed.
    IsAFolder,
    /// The folder is not empty.
    NotEmpty,
    /// The quota of the account does not allow it.
    QuotaExceeded,
    /// The disk, or the table, has no room.
    NoSpace,
    /// A header or file is larger than this peer takes.
    TooLarge,
    /// The name may not be used.
    BadName,
    /// Not now: too many connections, too many attempts, or somebody else is at it.
    Busy,
    /// What came is not what was sent, again and again; or what came and what would follow are not of one file.
    DigestMismatch,
    /// Nothing came for too long.
    Timeout,
    /// Something is wrong on this side.
    Internal,
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadRequest => "bad request",
            Self::Unsupported => "not supported",
            Self::SignInRequired => "sign in first",
            Self::SignInFailed => "wrong name or password",
            Self::Forbidden => "not allowed",
            Self::NotFound => "no such file or folder",
            Self::Exists => "exists already",
            Self::NotAFolder => "not a folder",
            Self::IsAFolder => "is a folder",
            Self::NotEmpty => "folder is not empty",
            Self::QuotaExceeded => "quota exceeded",
            Self::NoSpace => "no space left",
            Self::TooLarge => "too large",
            Self::BadName => "name not allowed",
            Self::Busy => "busy",
            Self::DigestMismatch => "digest mismatch",
            Self::Timeout => "timed out",
            Self::Internal => "internal error",
        })
    }
}
