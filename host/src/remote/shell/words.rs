//! The commands of the shell, and what their words mean.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueHint};
use feige_core::wire::transfer::Path;

use crate::exit::Failure;

/// A line of the shell.
#[derive(Debug, Parser)]
#[command(
    multicall = true,
    disable_help_flag = false,
    help_template = "{subcommands}",
    subcommand_help_heading = "Commands",
    after_help = "`help COMMAND` tells more. Words with spaces stand in quotes."
)]
pub(super) struct Words {
    /// What to do.
    #[command(subcommand)]
    pub(super) what: Do,
}

/// What a line says to do. Paths are of the server, unless it says otherwise.
#[derive(Debug, Subcommand)]
pub(super) enum Do {
    /// Go to another folder of the server; without one, to the home.
    Cd {
        /// The folder.
        path: Option<String>,
    },
    /// Show in which folder of the server we are.
    Pwd,
    /// List folders.
    #[command(visible_alias = "dir")]
    Ls {
        /// Folders, or files.
        paths: Vec<String>,
        /// Access rights, sizes in octets, and times too.
        #[arg(short, long)]
        long: bool,
        /// Everything below, too.
        #[arg(short, long)]
        recursive: bool,
    },
    /// Download files, or folders with -r.
    Get {
        /// Files of the server.
        #[arg(required = true)]
        paths: Vec<String>,
        /// A folder here, or the new name.
        #[arg(short, long, value_name = "PATH", default_value = ".", value_hint = ValueHint::AnyPath)]
        output: PathBuf,
        /// Folders too, with all that is in them.
        #[arg(short, long)]
        recursive: bool,
        /// Replace nothing.
        #[arg(long)]
        no_clobber: bool,
    },
    /// Upload files, or folders with -r, to the folder in which we are.
    Put {
        /// Files here.
        #[arg(required = true, value_hint = ValueHint::AnyPath)]
        files: Vec<PathBuf>,
        /// Another folder, or the new name.
        #[arg(short, long, value_name = "PATH")]
        output: Option<String>,
        /// Folders too, with all that is in them.
        #[arg(short, long)]
        recursive: bool,
        /// Replace nothing.
        #[arg(long)]
        no_clobber: bool,
    },
    /// Make folders.
    Mkdir {
        /// The folders.
        #[arg(required = true)]
        paths: Vec<String>,
        /// Those above them too.
        #[arg(short, long)]
        parents: bool,
    },
    /// Remove files.
    Rm {
        /// The files.
        #[arg(required = true)]
        paths: Vec<String>,
    },
    /// Remove empty folders.
    Rmdir {
        /// The folders.
        #[arg(required = true)]
        paths: Vec<String>,
    },
    /// Rename or move a file or folder.
    Mv {
        /// What it is called.
        from: String,
        /// What it is to be called, or the folder that it goes to.
        to: String,
        /// Replace a file of that name.
        #[arg(short, long)]
        force: bool,
    },
    /// Show files, verified.
    Cat {
        /// The files.
        #[arg(required = true)]
        paths: Vec<String>,
    },
    /// Show the MD5 of files.
    Sum {
        /// The files.
        #[arg(required = true)]
        paths: Vec<String>,
    },
    /// Show how much room there is.
    Df,
    /// Go to another folder here, or show in which we are.
    Lcd {
        /// The folder.
        #[arg(value_hint = ValueHint::DirPath)]
        path: Option<PathBuf>,
    },
    /// Leave.
    #[command(visible_alias = "quit", alias = "bye")]
    Exit,
}

/// What is shown instead of doing something: help, or what is wrong with a line.
#[derive(Debug)]
pub(super) enum Shown {
    Clap(clap::Error),
    Quotes,
}

impl Shown {
    /// Shows it; on standard error, if standard output is for `events`.
    pub(super) fn show(&self, events: bool) {
        match self {
            Self::Clap(error) if events => anstream::eprint!("{}", error.render().ansi()),
            // If nobody sees it, there is nobody to tell.
            Self::Clap(error) => drop(error.print()),
            Self::Quotes => anstream::eprintln!("feige: a quote is missing at the end"),
        }
    }

    pub(super) fn is_error(&self) -> bool {
        match self {
            Self::Clap(error) => error.use_stderr(),
            Self::Quotes => true,
        }
    }
}

impl Words {
    /// What a line says; `None` if it says nothing.
    pub(super) fn parse(line: &str) -> Result<Option<Self>, Shown> {
        let words = shlex::split(line).ok_or(Shown::Quotes)?;
        if words.is_empty() {
            return Ok(None);
        }
        Self::try_parse_from(words).map(Some).map_err(Shown::Clap)
    }
}

/// Whether a path says that it is a folder.
pub(super) fn is_folder_said(path: &str) -> bool {
    path.is_empty() || path.ends_with('/') || matches!(path.rsplit('/').next(), Some("." | ".."))
}

/// What `path` means in `folder`: without slashes around it, and without `.` and `..`.
pub(super) fn absolute(folder: &str, path: &str) -> Result<String, Failure> {
    let start = if path.starts_with('/') { "" } else { folder };
    let mut names: Vec<&str> = start.split('/').filter(|name| !name.is_empty()).collect();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    let absolute = names.join("/");
    match Path::parse(&absolute) {
        Ok(_) => Ok(absolute),
        Err(error) => Err(Failure::usage(format!("the path {}: {error}", path.escape_debug()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_commands_are_consistent() {
        Words::command().debug_assert();
    }

    #[test]
    fn lines_are_split_and_understood() {
        let parse = |line| Words::parse(line).map(|words| words.map(|words| format!("{:?}", words.what)));
        assert!(matches!(parse("  "), Ok(None)));
        assert!(matches!(parse("# nothing"), Ok(None)));
        assert_eq!(parse("cd 'my files'").ok().flatten().as_deref(), Some("Cd { path: Some(\"my files\") }"));
        assert_eq!(parse("rm a\\ b c").ok().flatten().as_deref(), Some("Rm { paths: [\"a b\", \"c\"] }"));
        assert_eq!(parse("quit").ok().flatten().as_deref(), Some("Exit"));
        assert!(matches!(parse("cd 'a"), Err(Shown::Quotes)));
        for (line, error) in [("rn a", true), ("rm", true), ("help", false), ("help get", false), ("get --help", false)]
        {
            assert_eq!(parse(line).map_err(|shown| shown.is_error()), Err(error), "{line}");
        }
    }

    #[test]
    fn paths_are_in_the_present_folder() {
        for (folder, path, expected) in [
            ("", "a", "a"),
            ("a/b", "c", "a/b/c"),
            ("a/b", "/c/", "c"),
            ("a/b", "..", "a"),
            ("a/b", "../../..", ""),
            ("a/b", "./../x/.", "a/x"),
            ("a", "", "a"),
            ("a", "/", ""),
        ] {
            assert_eq!(absolute(folder, path).as_deref(), Ok(expected), "{folder} {path}");
        }
        assert!(absolute("", "a\u{1b}").is_err());
        assert!(is_folder_said("a/") && is_folder_said("..") && !is_folder_said("a"));
    }
}
