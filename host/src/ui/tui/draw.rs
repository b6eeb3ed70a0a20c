//! Draws the model: members on the left, the conversation on the right, below it transfers, the line, the state.
//!
//! Nothing here changes anything, and everything fits any size: what has no room is left out.

use std::time::Duration;

use indicatif::HumanBytes;
use ratatui::Frame;
use ratatui::layout::{Alignment, Position, Rect};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Clear, LineGauge, Paragraph};
use unicode_width::UnicodeWidthStr;

use super::keys::HELP;
use super::look::Look;
use super::model::{Focus, Model};
use super::rows;
use super::text::{clip, fit};
use super::transfers::Running;

/// Smaller than this there is only room for a hint.
const LEAST: (u16, u16) = (24, 7);
/// Narrower than this, members and conversation take turns.
const NARROW: u16 = 50;
/// So many transfers have a row.
const TRANSFERS: usize = 4;

/// Where things are.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    members: Rect,
    conversation: Rect,
    transfers: Rect,
    line: Rect,
    state: Rect,
}

/// Shares the screen out; nothing if it is too small.
fn places(model: &Model, area: Rect) -> Option<Places> {
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return None;
    }
    let state = Rect { y: area.bottom() - 1, height: 1, ..area };
    let line = Rect { y: state.y - 1, ..state };
    let above = Rect { height: line.y - area.y, ..area };
    let rows = u16::try_from(model.transfers.len().min(TRANSFERS)).unwrap_or(0);
    // The conversation keeps a row of text between its borders.
    let rows = rows.min(above.height.saturating_sub(3));
    let (members, right) = if area.width < NARROW {
        let whole = if model.focus == Focus::Members { (above, Rect::default()) } else { (Rect::default(), above) };
        (whole.0, whole.1)
    } else {
        let width = (area.width / 4).clamp(18, 32);
        (Rect { width, ..above }, Rect { x: above.x + width, width: above.width - width, ..above })
    };
    let conversation = Rect { height: right.height.saturating_sub(rows), ..right };
    let transfers = Rect { y: conversation.bottom(), height: rows.min(right.height), ..right };
    Some(Places { members, conversation, transfers, line, state })
}

/// Columns and rows inside the frame of the conversation.
pub(super) fn conversation_size(model: &Model) -> (u16, u16) {
    let (width, height) = model.size;
    let place = places(model, Rect::new(0, 0, width, height)).unwrap_or_default().conversation;
    (place.width.saturating_sub(2), place.height.saturating_sub(2))
}

/// Draws everything.
pub(super) fn draw(model: &Model, look: Look, frame: &mut Frame<'_>) {
    let area = frame.area();
    let Some(places) = places(model, area) else {
        let hint = Text::from(vec![Line::from("too small"), Line::from(format!("{}x{} needed", LEAST.0, LEAST.1))]);
        return frame.render_widget(Paragraph::new(hint), area);
    };
    members(model, look, frame, places.members);
    conversation(model, look, frame, places.conversation);
    for (index, running) in (0..places.transfers.height).zip(model.transfers.iter()) {
        let place = Rect { y: places.transfers.y + index, height: 1, ..places.transfers };
        let others = model.transfers.len().saturating_sub(usize::from(places.transfers.height));
        let last = index + 1 == places.transfers.height;
        transfer(running, if last { others } else { 0 }, look, frame, place);
    }
    line(model, look, frame, places.line);
    state(model, look, frame, places.state);
    if let Some(scrolled) = model.help {
        help(scrolled, look, frame, area);
    }
}

fn members(model: &Model, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let online = model.members.iter().filter(|member| member.online).count();
    let block =
        Block::bordered().title(format!(" Members {online} ")).border_style(look.frame(model.focus == Focus::Members));
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let width = usize::from(inside.width);
    let mut rows = Vec::new();
    let mut chosen = 0;
    let entry = |name: &str, unread: usize, mark: &str, style, is_chosen: bool| {
        let count = if unread > 0 { format!(" {}", unread.min(999)) } else { String::new() };
        let name = fit(name, width.saturating_sub(count.width() + mark.width()));
        let style = if is_chosen { look.chosen() } else { style };
        let count = Span::styled(count, if is_chosen { style } else { look.warn() });
        Line::from(vec![Span::styled(format!("{name}{mark}"), style), count])
    };
    let everybody = model.members.chosen().is_none();
    rows.push(entry(" Everybody", model.unseen, "", look.text(), everybody));
    let mut group = None;
    for member in model.members.iter() {
        if group != Some(&member.group) {
            group = Some(&member.group);
            let title = if member.group.is_empty() { "no group" } else { &member.group };
            // A list of people without groups needs no title.
            if !member.group.is_empty() || rows.len() > 1 {
                rows.push(Line::styled(clip(title, width), look.dim()));
            }
        }
        let (mark, style) = match (member.online, member.away, member.unread > 0) {
            (false, ..) => (" left", look.dim()),
            (true, true, _) => (" away", look.dim()),
            (true, false, true) => ("", look.name()),
            (true, false, false) => ("", look.text()),
        };
        let is_chosen = model.members.chosen() == Some(member.at);
        if is_chosen {
            chosen = rows.len();
        }
        rows.push(entry(&format!(" {}", member.name), member.unread, mark, style, is_chosen));
    }
    let height = usize::from(inside.height);
    let first = (chosen + 1).saturating_sub(height.saturating_sub(height / 4)).min(rows.len().saturating_sub(height));
    let shown: Vec<Line<'_>> = rows.into_iter().skip(first).take(height).collect();
    frame.render_widget(Paragraph::new(shown), inside);
}

fn conversation(model: &Model, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    let title = match model.member() {
        None => " Everybody ".to_owned(),
        Some(member) => {
            let state = match (member.online, member.away) {
                (false, _) => ", left".to_owned(),
                (true, true) if member.reason.is_empty() => ", away".to_owned(),
                (true, true) => format!(", away: {}", member.reason),
                (true, false) => String::new(),
            };
            let whole = format!(" {} ({}, {}{state}) ", member.name, member.login, member.at);
            let short = format!(" {}{state} ", member.name);
            if whole.width() + 2 <= width { whole } else { short }
        }
    };
    let mut block = Block::bordered()
        .title(clip(&title, width.saturating_sub(2)))
        .border_style(look.frame(model.focus == Focus::Items));
    if model.scroll > 0 {
        block = block.title_bottom(Line::from(" more below: PageDown, Esc ").alignment(Alignment::Right));
    }
    let inside = block.inner(area);
    frame.render_widget(block, area);
    if model.conversation().is_empty() && inside.height > 2 {
        let hint = if model.member().is_some() {
            "Nothing was said yet. Write below, Enter sends; /file PATH offers a file."
        } else if model.members.len() == 0 {
            "Nobody is there yet. Others appear as they come; F1 helps."
        } else {
            "Choose a member with Up and Down."
        };
        let hint = textwrap::fill(hint, usize::from(inside.width.max(1)));
        return frame.render_widget(Paragraph::new(hint).style(look.dim()), inside);
    }
    let page = rows::page(model, look, (inside.width, inside.height));
    frame.render_widget(Paragraph::new(page), inside);
}

/// One row: direction, name, gauge, rate, time left.
fn transfer(running: &Running, others: usize, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let arrow = if running.transfer.is_download() { "↓" } else { "↑" };
    let width = usize::from(area.width);
    let rate = running.rate.map(|rate| format!(" {}/s", HumanBytes(rate))).unwrap_or_default();
    let left = running.left().map(|left| format!(" {} left", clock(left))).unwrap_or_default();
    let more = if others > 0 { format!(" +{others} more") } else { String::new() };
    let facts = match running.total {
        Some(_) => format!("{rate}{left}{more}"),
        None => format!(" {}{rate}{more}", HumanBytes(running.done)),
    };
    let name_width = (width / 3).min(24);
    let name = fit(&format!("{arrow} {}", running.name), name_width);
    let facts = clip(&facts, width.saturating_sub(name_width + 1));
    let gauge = width.saturating_sub(name_width + 1 + facts.width());
    let part = |x: usize, width: usize| {
        let (x, width) = (u16::try_from(x).unwrap_or(0), u16::try_from(width).unwrap_or(0));
        Rect { x: area.x + x, width, ..area }
    };
    frame.render_widget(Paragraph::new(name), part(0, name_width));
    match running.ratio() {
        Some(ratio) if gauge >= 8 => {
            let widget = LineGauge::default()
                .ratio(ratio)
                .label(format!("{:3.0} %", ratio * 100.0))
                .filled_style(look.good())
                .unfilled_style(look.dim())
                .filled_symbol("━")
                .unfilled_symbol("─");
            frame.render_widget(widget, part(name_width + 1, gauge));
        }
        _ => {}
    }
    frame.render_widget(Paragraph::new(facts.clone()), part(width - facts.width(), facts.width()));
}

fn line(model: &Model, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let room = usize::from(area.width).saturating_sub(2);
    let (shown, at) = model.input.window(room);
    let focus = model.focus == Focus::Input && model.help.is_none();
    let prompt = Span::styled("> ", look.frame(focus));
    frame.render_widget(Paragraph::new(Line::from(vec![prompt, Span::raw(shown)])), area);
    if focus && area.width > 2 {
        let x = area.x + 2 + u16::try_from(at).unwrap_or(0);
        frame.set_cursor_position(Position::new(x.min(area.right() - 1), area.y));
    }
}

fn state(model: &Model, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    if let Some(hint) = &model.hint {
        return frame.render_widget(Paragraph::new(clip(hint, width)).style(look.warn()), area);
    }
    let away = match &model.away {
        None => String::new(),
        Some(text) => format!("  away: {text}"),
    };
    let mine = format!("{}  {}{away}", model.me, model.own_address());
    let keys = match model.focus {
        Focus::Input => "Enter sends  ↑↓ member  Tab focus  F1 help  ^C leaves",
        Focus::Members => "↑↓ choose  Enter write  Tab focus  ? help  ^C leaves",
        Focus::Items => "↑↓ choose  Enter takes or opens  Tab focus  ? help",
    };
    let short = "F1 help";
    let keys = [keys, short].into_iter().find(|keys| mine.width() + 2 + keys.width() <= width).unwrap_or_default();
    let room = width.saturating_sub(keys.width() + usize::from(!keys.is_empty()));
    let row = Line::from(vec![
        Span::styled(fit(&mine, room), if model.away.is_some() { look.warn() } else { look.text() }),
        Span::raw(if keys.is_empty() { "" } else { " " }),
        Span::styled(keys, look.dim()),
    ]);
    frame.render_widget(Paragraph::new(row), area);
}

fn help(scrolled: usize, look: Look, frame: &mut Frame<'_>, area: Rect) {
    let rows = help_rows(look, usize::from(area.width.saturating_sub(2)));
    let wide = rows.iter().map(Line::width).max().unwrap_or(0) + 2;
    let width = u16::try_from(wide).unwrap_or(u16::MAX).min(area.width);
    let height = u16::try_from(rows.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    let most = rows.len().saturating_sub(usize::from(height.saturating_sub(2)));
    let first = scrolled.min(most);
    let title = if most > 0 { " Help: Up, Down; any other key closes it " } else { " Help: any key closes it " };
    let block =
        Block::bordered().title(clip(title, usize::from(width.saturating_sub(2)))).border_style(look.frame(true));
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(rows.into_iter().skip(first).collect::<Vec<_>>()).block(block), place);
}

/// What keys and commands do: beside them, or below where there is no room.
fn help_rows(look: Look, width: usize) -> Vec<Line<'static>> {
    let widest = |of: fn(&(&'static str, &'static str)) -> &'static str| HELP.iter().map(|row| of(row).width()).max();
    let column = widest(|row| row.0).unwrap_or(0) + 2;
    if column + widest(|row| row.1).unwrap_or(0) <= width {
        let row = |(keys, what): &(&str, &'static str)| {
            Line::from(vec![Span::styled(fit(keys, column), look.name()), Span::raw(*what)])
        };
        return HELP.iter().map(row).collect();
    }
    let options = textwrap::Options::new(width).initial_indent("  ").subsequent_indent("  ");
    let mut rows = Vec::new();
    for (keys, what) in HELP {
        rows.push(Line::styled(*keys, look.name()));
        if !what.is_empty() {
            rows.extend(textwrap::wrap(what, &options).into_iter().map(Line::from));
        }
    }
    rows
}

/// A time as people read it on a clock.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        3600..360_000 => format!("{}:{:02} h", seconds / 3600, seconds / 60 % 60),
        _ => "long".to_owned(),
    }
}
