//! Progress for people: bars on a terminal, plain lines on a pipe, nothing when quiet.

use indicatif::{ProgressBar, ProgressStyle};
use kairos_app::Progress;
use std::{
    io::IsTerminal,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// Draws the current step on standard error.
pub struct Bars {
    quiet: bool,
    terminal: bool,
    current: Mutex<Option<Step>>,
}

struct Step {
    name: String,
    bar: Option<ProgressBar>,
    started: Instant,
}

impl Bars {
    pub fn new(quiet: bool) -> Self {
        Self { quiet, terminal: std::io::stderr().is_terminal(), current: Mutex::default() }
    }
    fn current(&self) -> MutexGuard<'_, Option<Step>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bars {
    fn begin(&self, step: &str, total: u64) {
        if self.quiet {
            return;
        }
        let bar = self.terminal.then(|| {
            let bar = if total > 0 { ProgressBar::new(total) } else { ProgressBar::new_spinner() };
            // the template is constant and valid; without it the bar still works
            if let Ok(style) = ProgressStyle::with_template("{msg:32} {bar:32} {percent:>3}% {elapsed}") {
                bar.set_style(style);
            }
            bar.set_message(step.to_owned());
            bar
        });
        *self.current() = Some(Step { name: step.to_owned(), bar, started: Instant::now() });
    }
    fn advance(&self, n: u64) {
        if let Some(Step { bar: Some(bar), .. }) = &*self.current() {
            bar.inc(n);
        }
    }
    fn end(&self, summary: &str) {
        let Some(step) = self.current().take() else { return };
        if let Some(bar) = step.bar {
            bar.finish_and_clear();
        }
        eprintln!("{:32} {:>6.1} s  {summary}", step.name, step.started.elapsed().as_secs_f64());
    }
}
