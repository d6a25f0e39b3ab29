//! Progress on standard error, if it is a terminal.
use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// How often the line is drawn.
const EVERY: Duration = Duration::from_millis(200);
const WIDTH: usize = 30;

/// One line that shows how much of so many bytes was read. It is drawn over itself, and erased at the end.
pub struct Progress {
    what: &'static str,
    total: u64,
    done: u64,
    drawn: Option<Instant>,
    shown: bool,
}

impl Progress {
    /// Nothing is drawn if standard error is not a terminal.
    pub fn new(what: &'static str, total: u64) -> Self {
        Self { what, total, done: 0, drawn: None, shown: io::stderr().is_terminal() }
    }
    /// So many bytes more.
    pub fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if self.shown && self.drawn.is_none_or(|at| at.elapsed() >= EVERY) {
            self.drawn = Some(Instant::now());
            let _ = write!(io::stderr(), "\r{}", bar(self.what, self.done, self.total));
        }
    }
    /// Erases the line.
    pub fn end(&self) {
        if self.drawn.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// The line. A file that grows while it is read does not exceed the whole.
fn bar(what: &str, done: u64, total: u64) -> String {
    let share = if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) };
    let full = (share * WIDTH as f64) as usize;
    format!("{what} [{}{}] {:>3.0} % of {:.1} MiB", "#".repeat(full), ".".repeat(WIDTH - full), share * 100.0, total as f64 / 1_048_576.0)
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn the_bar_ends_at_a_hundred_per_cent() {
        assert_eq!(bar("x", 1 << 20, 2 << 20), format!("x [{}{}]  50 % of 2.0 MiB", "#".repeat(15), ".".repeat(15)));
        assert!(bar("x", 9, 3).contains("100 %") && bar("x", 0, 0).contains("100 %"));
    }
}
