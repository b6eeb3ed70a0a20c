//! Entries of a conversation as rows of cells.
//!
//! **Time**: a page is laid out from its end, so that a long conversation costs no more than what is shown.

use std::borrow::Cow;

use indicatif::HumanBytes;
use ratatui::text::{Line, Span};
use textwrap::{Options, wrap};
use unicode_width::UnicodeWidthStr;

use super::conversation::{Entry, Fate, Offer, OfferState, Seal, Sent, What};
use super::draw;
use super::look::Look;
use super::model::Model;
use super::text::clip;

/// Rows that follow the first one of an entry begin here.
const INDENT: &str = "      ";

/// The rows that are shown, oldest first: as many as there are, up to `height`.
pub(super) fn page(model: &Model, look: Look, (width, height): (u16, u16)) -> Vec<Line<'static>> {
    let (width, height) = (usize::from(width), usize::from(height));
    let entries = model.conversation().entries();
    // From the end up.
    let mut shown: Vec<Line<'static>> = Vec::new();
    for index in (0..entries.len()).rev() {
        if shown.len() >= height + model.scroll {
            break;
        }
        let before = index.checked_sub(1).and_then(|before| entries.get(before));
        if let Some(entry) = entries.get(index) {
            shown.extend(rows(model, look, entry, before, width).into_iter().rev());
        }
    }
    // A window that became larger may have less above it than was scrolled.
    let scroll = model.scroll.min(shown.len().saturating_sub(height));
    let mut page: Vec<Line<'static>> = shown.into_iter().skip(scroll).take(height).collect();
    page.reverse();
    page
}

/// All rows of the conversation.
pub(super) fn total(model: &Model) -> usize {
    let entries = model.conversation().entries();
    let before = std::iter::once(None).chain(entries.iter().map(Some));
    let width = usize::from(draw::conversation_size(model).0);
    entries.iter().zip(before).map(|(entry, before)| rows(model, Look::PLAIN, entry, before, width).len()).sum()
}

/// The rows that a new entry takes.
pub(super) fn height(model: &Model, entry: &Entry) -> usize {
    let width = usize::from(draw::conversation_size(model).0);
    rows(model, Look::PLAIN, entry, model.conversation().entries().back(), width).len()
}

/// The scroll position at which the entry with this number is on the page.
pub(super) fn scroll_to(model: &Model, serial: u64) -> usize {
    let (width, height) = draw::conversation_size(model);
    let after = model.conversation().entries().iter().rev().take_while(|entry| entry.serial != serial);
    let below: usize = after.map(|entry| rows(model, Look::PLAIN, entry, None, usize::from(width)).len()).sum();
    let height = usize::from(height);
    if (model.scroll..model.scroll + height).contains(&below) { model.scroll } else { below.saturating_sub(height / 2) }
}

fn rows(model: &Model, look: Look, entry: &Entry, before: Option<&Entry>, width: usize) -> Vec<Line<'static>> {
    let width = width.max(12);
    let mut rows = Vec::new();
    let date = entry.at.date();
    if before.is_some_and(|before| before.at.date() != date) {
        let day = format!("── {} ", date.strftime("%A, %-d %B %Y"));
        let rest = "─".repeat(width.saturating_sub(day.width()));
        rows.push(Line::styled(clip(&format!("{day}{rest}"), width), look.dim()));
    }
    let time = Span::styled(entry.at.strftime("%H:%M ").to_string(), look.dim());
    let room = width.saturating_sub(8).clamp(4, 24);
    let paragraph = match &entry.what {
        What::Note { text, bad } => {
            let style = if *bad { look.bad() } else { look.dim() };
            Paragraph { head: vec![time, Span::styled("* ", style)], text: text.into(), style, tail: None }
        }
        What::Received { from, text, seal, auto, .. } => {
            let mark = match (auto, seal) {
                (true, _) => " (automatic)",
                (false, Seal::Opened) => " (sealed)",
                _ => "",
            };
            let from = clip(from, room);
            let who = Span::styled(from.clone(), look.name());
            let head = vec![time, who, Span::styled(format!("{mark}: "), look.dim())];
            match seal {
                Seal::Closed(number) => {
                    let text = format!("▒▒▒ sealed: Ctrl-O or /open {number} opens it, and tells {from}");
                    Paragraph { head, text: text.into(), style: look.warn(), tail: None }
                }
                _ => Paragraph { head, text: text.into(), style: look.text(), tail: None },
            }
        }
        What::Sent(sent) => {
            let files = sent.files.iter().map(|file| format!("[{file}]")).collect::<Vec<_>>().join(" ");
            let gap = if sent.text.is_empty() || files.is_empty() { "" } else { " " };
            let text = format!("{}{gap}{files}", sent.text);
            let mark = if sent.sealed { " (sealed): " } else { ": " };
            let who = if model.member().is_some() { "you" } else { "you to everybody" };
            let head = vec![time, Span::styled(who, look.me()), Span::styled(mark, look.dim())];
            let tail = Some(fate(sent, look));
            Paragraph { head, text: text.into(), style: look.text(), tail }
        }
        What::Offer(offer) => {
            let slash = if offer.folder { "/" } else { "" };
            let size = match (offer.folder, offer.size) {
                (true, _) => "folder".to_owned(),
                (false, Some(size)) => HumanBytes(size).to_string(),
                (false, None) => "size unknown".to_owned(),
            };
            let text = format!("{}{slash}  {size}", offer.name);
            let who = Span::styled(clip(&offer.from, room), look.name());
            let number = Span::styled(format!("[{}] ", offer.index), look.warn());
            let head = vec![time, who, Span::styled(": ", look.dim()), number];
            let tail = Some(outcome(model, offer, look));
            Paragraph { head, text: text.into(), style: look.text(), tail }
        }
    };
    let first = rows.len();
    paragraph.lay_out(width, &mut rows);
    if model.item == Some(entry.serial) {
        for row in rows.iter_mut().skip(first) {
            *row = std::mem::take(row).patch_style(look.chosen());
        }
    }
    rows
}

/// What became of a message of ours.
fn fate(sent: &Sent, look: Look) -> Span<'static> {
    let (all, delivered) = (sent.targets.len(), sent.delivered());
    let files = sent.files.len();
    // A confirmation may come after it was given up.
    let late = files == 0 && all > 0 && delivered == all;
    if let Some(reason) = &sent.failed
        && !late
        && (all <= 1 || delivered == 0)
        && !matches!(sent.targets.first(), Some(target) if target.fate == Fate::Opened)
    {
        if all == 0 {
            return Span::styled(format!("✗ {reason}"), look.bad());
        }
        return match sent.targets.first().map(|target| target.fate) {
            Some(Fate::Refused) => Span::styled("✗ refused", look.bad()),
            Some(Fate::Delivered | Fate::Discarded) => Span::styled(format!("✗ {reason}"), look.bad()),
            _ => Span::styled(format!("✗ not delivered: {reason}"), look.bad()),
        };
    }
    if all > 1 {
        let opened = sent.targets.iter().filter(|target| target.fate == Fate::Opened).count();
        let fetched = sent.targets.iter().filter(|target| files > 0 && target.fetched.len() >= files).count();
        let (count, what) = match (opened, fetched) {
            (1.., _) => (opened, "opened"),
            (_, 1..) => (fetched, "fetched"),
            _ => (delivered, "delivered"),
        };
        let under_way = sent.targets.iter().any(|target| target.fate == Fate::UnderWay);
        let (mark, style) = match (under_way, delivered == all) {
            (true, _) => ("…", look.dim()),
            (false, true) => ("✓", look.good()),
            (false, false) => ("✗", look.bad()),
        };
        return Span::styled(format!("{mark} {count} of {all} {what}"), style);
    }
    let Some(target) = sent.targets.first() else { return Span::styled("… sending", look.dim()) };
    match (target.fate, target.fetched.len()) {
        (Fate::UnderWay, _) => Span::styled("… sending", look.dim()),
        (Fate::NotDelivered, _) => Span::styled("✗ not delivered", look.bad()),
        (Fate::Opened, _) => Span::styled("✓ opened", look.good()),
        (Fate::Discarded, _) => Span::styled("✗ thrown away unopened", look.bad()),
        (Fate::Refused, _) => Span::styled("✗ refused", look.bad()),
        (Fate::Delivered, _) if files == 0 => Span::styled("✓ delivered", look.good()),
        (Fate::Delivered, 0) => Span::styled("✓ offered", look.good()),
        (Fate::Delivered, fetched) if fetched < files => {
            Span::styled(format!("✓ {fetched} of {files} fetched"), look.good())
        }
        (Fate::Delivered, _) => Span::styled("✓ fetched", look.good()),
    }
}

/// What became of an offer to us.
fn outcome(model: &Model, offer: &Offer, look: Look) -> Span<'static> {
    match &offer.state {
        OfferState::Open => Span::styled("Ctrl-G takes it", look.dim()),
        OfferState::Asked => match model.transfers.download(offer.index) {
            Some(running) => match running.ratio() {
                Some(ratio) => Span::styled(format!("… {:.0} %", ratio * 100.0), look.dim()),
                None => Span::styled(format!("… {}", HumanBytes(running.done)), look.dim()),
            },
            None => Span::styled("… waits", look.dim()),
        },
        OfferState::Done(path) => Span::styled(format!("✓ saved as {path}"), look.good()),
        OfferState::Failed(error) => Span::styled(format!("✗ {error}; Ctrl-G tries again"), look.bad()),
    }
}

/// A text with something before and something after it.
struct Paragraph<'a> {
    head: Vec<Span<'static>>,
    text: Cow<'a, str>,
    style: ratatui::style::Style,
    tail: Option<Span<'static>>,
}

impl Paragraph<'_> {
    fn lay_out(self, width: usize, rows: &mut Vec<Line<'static>>) {
        let head_width: usize = self.head.iter().map(Span::width).sum();
        let space = " ".repeat(head_width);
        let mut head = Some(self.head);
        let mut lines = self.text.lines();
        let mut next = Some(lines.next().unwrap_or_default());
        while let Some(line) = next {
            let initial = if head.is_some() { space.as_str() } else { INDENT };
            let options = Options::new(width).initial_indent(initial).subsequent_indent(INDENT);
            for wrapped in wrap(line, options) {
                match head.take() {
                    Some(mut spans) => {
                        let text = wrapped.get(head_width..).unwrap_or_default();
                        spans.push(Span::styled(text.to_owned(), self.style));
                        rows.push(Line::from(spans));
                    }
                    None => rows.push(Line::styled(wrapped.into_owned(), self.style)),
                }
            }
            next = lines.next();
        }
        let Some(tail) = self.tail else { return };
        match rows.last_mut() {
            Some(last) if last.width() + 2 + tail.width() <= width => {
                last.push_span("  ");
                last.push_span(tail);
            }
            _ => {
                let options = Options::new(width).initial_indent(INDENT).subsequent_indent(INDENT);
                for wrapped in wrap(&tail.content, options) {
                    rows.push(Line::styled(wrapped.into_owned(), tail.style));
                }
            }
        }
    }
}
