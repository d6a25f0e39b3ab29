//! What the demos print: numbered steps with the time since the start, commands, and what was seen.
use std::time::{Duration, Instant};

/// Tells the story, numbering its steps.
pub struct Teller {
    begun: Instant,
    step: u32,
}

impl Teller {
    /// The story begins now.
    pub fn begin() -> Self {
        Teller { begun: Instant::now(), step: 0 }
    }
    /// Who does what.
    pub fn step(&mut self, who: &str, words: &str) {
        self.step += 1;
        println!("\n[{:>5.1}s] {}. {who}: {words}", self.elapsed().as_secs_f32(), self.step);
    }
    /// The command with which a person repeats it.
    pub fn run(&self, who: &str, command: &str) {
        println!("         {who} $ {command}");
    }
    /// What was seen.
    pub fn saw(&self, what: &str) {
        for line in what.trim_end().lines() {
            println!("           {line}");
        }
    }
    /// Since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}
