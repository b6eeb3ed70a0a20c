//! Completion: commands, paths of the server, paths here.

use std::cell::RefCell;
use std::rc::Rc;

use clap::CommandFactory;
use feige_core::text::FileName;
use feige_core::wire::transfer::EntryKind;
use rustyline::completion::{Completer, FilenameCompleter, Pair, Quote, escape, extract_word, unescape};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::Session;
use super::words::{Words, absolute};

/// More than this nobody reads.
const MOST: usize = 1000;

/// What completes the words of a line.
pub(super) struct Completion<'a, 's, 'c> {
    session: Rc<RefCell<&'a mut Session<'s, 'c>>>,
    files: FilenameCompleter,
}

impl<'a, 's, 'c> Completion<'a, 's, 'c> {
    pub(super) fn new(session: Rc<RefCell<&'a mut Session<'s, 'c>>>) -> Self {
        Self { session, files: FilenameCompleter::new() }
    }

    /// Entries of the server that begin with `path`.
    fn remote(&self, path: &str) -> Vec<(String, bool)> {
        // Never while a command runs.
        let Ok(mut session) = self.session.try_borrow_mut() else { return Vec::new() };
        let (above, front) = path
            .rsplit_once('/')
            .map_or(("", path), |(above, front)| if above.is_empty() { ("/", front) } else { (above, front) });
        let Ok(folder) = absolute(&session.folder, above) else { return Vec::new() };
        let above = &path[..path.len() - front.len()];
        session.names(&folder, front).into_iter().map(|(name, folder)| (format!("{above}{name}"), folder)).collect()
    }
}

impl Session<'_, '_> {
    /// Names in a folder of the server that begin with `front`, and whether they are folders. What does not work is no
    /// reason to disturb whoever types.
    fn names(&mut self, folder: &str, front: &str) -> Vec<(String, bool)> {
        let mut names = Vec::new();
        let listed = self.remote.at_once(|remote| {
            super::super::list::list(remote, folder, false, &mut self.report, &mut |_, listed| {
                if listed.path.starts_with(front) && FileName::is_safe(&listed.path) {
                    names.push((listed.path.clone(), listed.kind == EntryKind::Folder));
                }
                names.len() < MOST
            })
        });
        drop(listed);
        names
    }
}

/// What ends a word, unless it is escaped or in quotes.
fn breaks(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\'' | '"' | '\\')
}

impl Completer for Completion<'_, '_, '_> {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let front = line.get(..pos).unwrap_or_default();
        let (start, word) = extract_word(front, pos, Some('\\'), |character| matches!(character, ' ' | '\t'));
        let before = shlex::split(&front[..start]).unwrap_or_default();
        let Some(command) = before.first() else {
            let commands = Words::command();
            let names = commands.get_subcommands().map(|command| command.get_name().to_owned());
            let names = names.chain(["help".to_owned()]).filter(|name| name.starts_with(word));
            let pair = |name: String| Pair { replacement: format!("{name} "), display: name };
            return Ok((start, names.map(pair).collect()));
        };
        let output = matches!(before.last().map(String::as_str), Some("-o" | "--output"));
        match command.as_str() {
            "pwd" | "df" | "exit" | "quit" | "help" => Ok((start, Vec::new())),
            "put" if !output => self.files.complete_path(line, pos),
            "lcd" => self.files.complete_path(line, pos),
            "get" if output => self.files.complete_path(line, pos),
            command => {
                let word = unescape(word, Some('\\'));
                let folders_only = command == "cd" || command == "rmdir";
                let names = self.remote(&word).into_iter().filter(|(_, folder)| *folder || !folders_only);
                let pair = |(name, folder): (String, bool)| {
                    let end = if folder { "/" } else { " " };
                    let display = name.rsplit('/').next().unwrap_or_default().to_owned();
                    let replacement = escape(name, Some('\\'), breaks, Quote::None) + end;
                    Pair { display: display + end.trim_end(), replacement }
                };
                Ok((start, names.map(pair).collect()))
            }
        }
    }
}

impl Helper for Completion<'_, '_, '_> {}
impl Hinter for Completion<'_, '_, '_> {
    type Hint = String;
}
impl Highlighter for Completion<'_, '_, '_> {}
impl Validator for Completion<'_, '_, '_> {}
