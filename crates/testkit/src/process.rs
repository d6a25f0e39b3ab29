//! Child processes that never outlive the test, however it ends.
use super::usage;
use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, OnceLock, PoisonError, mpsc},
};

type Job = Box<dyn FnOnce() + Send>;

/// The kernel kills a child when the *thread* that started it ends. So one thread that lives as long as the process starts all.
fn spawner() -> &'static mpsc::Sender<Job> {
    static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (send, receive) = mpsc::channel::<Job>();
        std::thread::spawn(move || receive.into_iter().for_each(|job| job()));
        send
    })
}

/// A running child with a log file.
pub struct Process {
    pub name: String,
    pub log: PathBuf,
    program: PathBuf,
    child: Mutex<Child>,
}

impl Process {
    /// Starts `program`. Its output goes to `log`; it dies with us, by `setpriv --pdeathsig`.
    pub fn start(name: &str, program: &Path, args: &[String], envs: &[(String, String)], log: &Path) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new("setpriv");
        // If we are gone before setpriv has asked, the shell sees another parent and starts nothing.
        command.args(["--pdeathsig", "KILL", "sh", "-c", r#"[ "$PPID" = "$0" ] && exec "$@""#, &std::process::id().to_string()]);
        command.arg(program).args(args).envs(envs.iter().cloned());
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let (send, receive) = mpsc::channel();
        spawner().send(Box::new(move || drop(send.send(command.spawn())))).map_err(|_| anyhow::anyhow!("the spawner is gone"))?;
        let child = receive.recv()?.with_context(|| format!("cannot start {} (setpriv is in Debian's util-linux)", program.display()))?;
        Ok(Process { name: name.into(), log: log.into(), program: program.into(), child: Mutex::new(child) })
    }

    pub fn pid(&self) -> u32 {
        self.locked().id()
    }
    pub fn signal(&self, signal: Signal) {
        let mut child = self.locked();
        // Once it has been waited for, its number may be another's.
        if let Ok(None) = child.try_wait() {
            let _gone_already = kill(Pid::from_raw(child.id().cast_signed()), signal);
        }
    }
    /// SIGKILL, and wait until it is gone.
    pub fn kill(&self) {
        let mut child = self.locked();
        // A process that has been waited for is in no table any more.
        if let Ok(None) = child.try_wait() {
            drop(child.kill());
            usage::record(&self.program, child.id());
            drop(child.wait());
        }
    }
    pub fn is_running(&self) -> bool {
        matches!(self.locked().try_wait(), Ok(None))
    }
    /// Its exit code, once it has ended; -1 if a signal has ended it.
    pub fn exit_code(&self) -> Option<i32> {
        self.locked().try_wait().ok().flatten().map(|status| status.code().unwrap_or(-1))
    }
    /// Stopped by a signal: state T in /proc.
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    }
    pub fn read_log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
    fn locked(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
