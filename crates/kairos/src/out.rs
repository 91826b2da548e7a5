//! What a command prints: data for standard output, remarks for standard error, and the exit code.

use kairos_app::error::{AppError, Kind};
use serde::{Deserialize, Serialize};

/// Exit codes of the command line.
pub const OK: u8 = 0;
pub const FAILURE: u8 = 1;
pub const USAGE: u8 = 2;
pub const NOT_FOUND: u8 = 3;
pub const DENIED: u8 = 4;
pub const CONFLICT: u8 = 5;
pub const UNAVAILABLE: u8 = 6;

/// The result of one command; the same whether it ran here or in the process that holds the directory.
#[derive(Default, Serialize, Deserialize, Debug)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    pub exit: u8,
}

impl Output {
    pub fn text(stdout: impl Into<String>) -> Self {
        let mut stdout = stdout.into();
        if !stdout.is_empty() && !stdout.ends_with('\n') {
            stdout.push('\n');
        }
        Self { stdout, ..Self::default() }
    }
    pub fn json(value: &serde_json::Value) -> Self {
        Self::text(format!("{value:#}"))
    }
    /// JSON or text, as asked.
    pub fn either(json: bool, value: impl FnOnce() -> serde_json::Value, text: impl FnOnce() -> String) -> Self {
        if json { Self::json(&value()) } else { Self::text(text()) }
    }
    pub fn error(json: bool, e: &AppError) -> Self {
        let exit = exit_code(e.kind);
        if json {
            let details: Vec<_> =
                e.details.iter().map(|(place, text)| serde_json::json!({"place": place, "detail": text})).collect();
            let value = serde_json::json!({"error": {"code": e.code, "message": e.to_string(), "errors": details}});
            return Self { stdout: format!("{value:#}\n"), stderr: String::new(), exit };
        }
        Self { stdout: String::new(), stderr: format!("error: {e}\n"), exit }
    }
}

pub const fn exit_code(kind: Kind) -> u8 {
    match kind {
        Kind::Invalid => USAGE,
        Kind::NotFound => NOT_FOUND,
        Kind::Denied => DENIED,
        Kind::Conflict => CONFLICT,
        Kind::Unavailable => UNAVAILABLE,
        Kind::Failure => FAILURE,
    }
}

/// A plain table: left-aligned columns, two blanks between; numbers are given ready to print.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |text: &str| text.chars().map(|c| if c as u32 >= 0x1100 { 2 } else { 1 }).sum::<usize>();
    let mut widths: Vec<usize> = header.iter().map(|h| width(h)).collect();
    for row in rows {
        for (w, cell) in widths.iter_mut().zip(row) {
            *w = (*w).max(width(cell));
        }
    }
    let numeric: Vec<bool> = (0..header.len())
        .map(|i| {
            !rows.is_empty()
                && rows.iter().all(|r| {
                    r.get(i)
                        .is_none_or(|c| c.is_empty() || c.chars().all(|c| c.is_ascii_digit() || "-+.,%".contains(c)))
                })
        })
        .collect();
    let mut text = String::new();
    let mut line = |cells: &[String]| {
        let mut out = String::new();
        for (i, cell) in cells.iter().enumerate() {
            let pad = " ".repeat(widths[i].saturating_sub(width(cell)));
            if numeric[i] {
                out.push_str(&pad);
                out.push_str(cell);
            } else {
                out.push_str(cell);
                out.push_str(&pad);
            }
            out.push_str("  ");
        }
        text.push_str(out.trim_end());
        text.push('\n');
    };
    line(&header.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>());
    rows.iter().for_each(|r| line(r));
    text
}

/// 1234567 → "1,234,567".
pub fn grouped(n: impl Into<i128>) -> String {
    let n: i128 = n.into();
    let digits = n.unsigned_abs().to_string();
    let mut text = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    if n < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up_with_chinese_too() {
        let rows = [vec!["短信".to_owned(), "1,200".to_owned()], vec!["a".to_owned(), "7".to_owned()]];
        assert_eq!(table(&["what", "n"], &rows), "what      n\n短信  1,200\na         7\n");
        assert_eq!((grouped(1_234_567), grouped(-12), grouped(999)), ("1,234,567".into(), "-12".into(), "999".into()));
    }
}
