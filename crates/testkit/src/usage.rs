//! Processor time of the programs that tests start. Where `CURFEW_CPU` names a file, each process adds a line when it ends: its program
//! and its seconds, user and system together. `hack/test` adds them up by program.
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// In what /proc counts on every platform of Linux: hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// The seconds of a process that has not been waited for, its own children's that have.
pub(crate) fn seconds(pid: u32) -> Option<f64> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// utime, stime, cutime and cstime are fields 14 to 17; the name, field 2, may hold blanks and parentheses.
fn parse(stat: &str) -> Option<f64> {
    let after = stat.rsplit_once(')')?.1;
    let fields: Vec<f64> = after.split_whitespace().skip(11).take(4).map(|f| f.parse().ok()).collect::<Option<_>>()?;
    (fields.len() == 4).then(|| fields.iter().sum::<f64>() / TICKS_PER_SECOND)
}

/// Adds a line for a process that is about to be waited for. It explains a run and decides nothing: a line that cannot be written is
/// left out.
pub(crate) fn record(program: &Path, pid: u32) {
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(file) = FILE.get_or_init(|| std::env::var_os("CURFEW_CPU").map(PathBuf::from)) else { return };
    let (Some(name), Some(seconds)) = (program.file_name(), seconds(pid)) else { return };
    if let Ok(mut out) = File::options().create(true).append(true).open(file) {
        // One write for each line: processes that end at the same time do not mix theirs.
        drop(out.write_all(format!("{} {seconds:.2}\n", name.to_string_lossy()).as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_may_hold_anything() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 25 75 20 0 1 0 100 1 1";
        assert_eq!(parse(stat), Some(3.0));
        assert_eq!(parse("7 (a) S 1"), None);
        assert!(seconds(std::process::id()).is_some());
    }
}
