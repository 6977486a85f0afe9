//! The tables as plain text for a terminal and as Markdown.

use super::super::words;
use super::tables::{self, Table};
use crate::evaluate::Evaluation;

/// Longest name of a row in the terminal, characters.
const NAME: usize = 28;
/// Columns of a terminal that nothing may pass.
const WIDTH: usize = 120;

/// The tables as aligned plain text, at most 120 columns wide.
pub fn table(evaluation: &Evaluation) -> String {
    let tables = [tables::accuracy(evaluation), tables::metrics(evaluation)];
    let blocks: Vec<String> = tables.iter().map(plain).collect();
    format!("{}\n\n{}", wrapped(&heading(evaluation)), blocks.join("\n"))
}

/// The tables as Markdown, with how to read them.
pub fn markdown(evaluation: &Evaluation) -> String {
    let tables = [tables::accuracy(evaluation), tables::metrics(evaluation)];
    let blocks: String = tables.iter().map(marked).collect();
    format!("## {}\n{blocks}", marked_text(&heading(evaluation)))
}

/// Dataset, model and number of videos in one line.
pub fn heading(evaluation: &Evaluation) -> String {
    let model = if evaluation.model.is_empty() { String::new() } else { format!("{}, ", evaluation.model) };
    let videos = words::count(evaluation.cases, "video");
    words::one_line(&format!("{}: {model}{videos}", evaluation.dataset))
}

fn plain(table: &Table) -> String {
    let cut = |cell: &str| shortened(cell, NAME);
    let rows: Vec<Vec<String>> =
        std::iter::once(&table.columns).chain(&table.rows).map(|r| r.iter().map(|c| cut(c)).collect()).collect();
    let width = |i: usize| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..table.columns.len()).map(width).collect();
    let rule = "─".repeat(widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1));
    let mut text = format!("{}\n", table.title);
    for (index, row) in rows.iter().enumerate() {
        let first = row.iter().take(1).map(|c| format!("{c:<0$}", widths[0]));
        let others = row.iter().zip(&widths).skip(1).map(|(c, width)| format!("{c:>width$}"));
        text += first.chain(others).collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
        if index == 0 || table.rules.contains(&index) {
            text.extend([rule.as_str(), "\n"]);
        }
    }
    format!("{text}{}\n", wrapped(&table.note))
}

fn shortened(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit - 1).chain(['…']).collect()
}

/// Text broken between words so that no line is wider than the terminal.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let used = lines.last().map_or(0, |l| l.chars().count());
        match lines.last_mut() {
            Some(line) if used == 0 || used + 1 + word.chars().count() <= WIDTH => {
                *line += if used == 0 { "" } else { " " };
                *line += word;
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

fn marked(table: &Table) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|c| marked_text(c)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let aligned: String = table.columns.iter().skip(1).map(|_| "---:|").collect();
    let rows: String = table.rows.iter().map(|r| line(r)).collect();
    format!("\n### {}\n\n{}|---|{aligned}\n{rows}\n{}\n", table.title, line(&table.columns), table.note)
}

/// Text from outside in Markdown: what would mean something there is escaped.
fn marked_text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '|' | '<' | '>' | '`' | '*' | '_' | '[' | ']' | '\\') {
            safe.push('\\');
        }
        safe.push(c);
    }
    safe
}
