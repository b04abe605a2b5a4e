//! The reports about ends that nobody asked for, in a folder of so many. They are the [`Clerk`]'s to write.

use crate::face::report::{Found, Report, core_file, is_about};
use crate::run::clerk::Clerk;
use crate::run::driver::MODULE;
use msf_conf::daemon::CrashReports;
use msf_core::log;
use msf_core::log::Level;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// An end that nobody asked for, and what a report about it takes.
#[derive(Debug)]
pub struct Unwanted {
    /// What was known before it was collected.
    pub report: Report,
    /// The signal by which it left a core.
    pub cored_by: Option<i32>,
    /// The short name of its program.
    pub program: String,
    /// The folder it began in.
    pub folder: PathBuf,
}

/// The folder, and what it may hold.
#[derive(Clone, Debug)]
pub struct Morgue {
    folder: PathBuf,
    limits: CrashReports,
}

impl Morgue {
    /// In the log folder; made when there is something to put into it.
    pub fn new(log_folder: &Path, limits: CrashReports) -> Morgue {
        Morgue { folder: log_folder.join("crash"), limits }
    }

    /// Other limits.
    pub fn follow(&mut self, limits: CrashReports) {
        self.limits = limits;
    }

    /// It will be written down.
    pub fn bring(&self, clerk: &mut Clerk, unwanted: Unwanted) {
        let (morgue, name) = (self.clone(), unwanted.report.name.clone());
        if let Err(e) = clerk.take(move || morgue.write(unwanted)) {
            log!(Level::Error, MODULE, "{name}: no report about its end: {e}");
        }
    }

    fn write(&self, Unwanted { mut report, cored_by, program, folder }: Unwanted) {
        report.core = cored_by.map(|signal| core_of(report.pid, &program, signal, &folder));
        match self.keep(&report) {
            Ok(path) => log!(Level::Info, MODULE, "{}: what is known of its end is in {}", report.name, path.display()),
            Err(e) => log!(Level::Error, MODULE, "{}: no report about its end: {e}", report.name),
        }
    }

    /// The newest report about `name`.
    pub fn newest(&self, name: &str) -> Option<Found> {
        let entries = fs::read_dir(&self.folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let newest = self.folder.join(entries.filter(|file| is_about(file, name)).max()?);
        let file = fs::read(&newest).ok()?;
        Some(Found::new(newest.display().to_string(), &String::from_utf8_lossy(&file)))
    }

    /// Nobody finds half of a report: it gets its name when it is whole.
    fn keep(&self, report: &Report) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.folder)?;
        let path = self.folder.join(report.file_name());
        let aside = self.folder.join("report.new");
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o640).custom_flags(libc::O_NOFOLLOW);
        let written = options.open(&aside).and_then(|mut file| file.write_all(report.file().as_bytes()));
        if let Err(e) = written.and_then(|()| fs::rename(&aside, &path)) {
            let _ = fs::remove_file(&aside);
            return Err(e);
        }
        self.clear()?;
        Ok(path)
    }

    /// The newest stay: so many, and of no more bytes. The last one stays whatever it weighs.
    fn clear(&self) -> io::Result<()> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let about = entry.as_ref().map_err(|e| io::Error::from(e.kind()))?.metadata();
            if let (Ok(entry), Ok(about)) = (entry, about)
                && entry.file_name().to_string_lossy().ends_with(".txt")
            {
                all.push((about.modified()?, entry.file_name(), about.len()));
            }
        }
        all.sort();
        let mut bytes = 0;
        for (place, (_, name, size)) in all.iter().rev().enumerate() {
            bytes += size;
            if place > 0 && (place >= self.limits.files as usize || bytes > self.limits.max_bytes) {
                fs::remove_file(self.folder.join(name))?;
            }
        }
        Ok(())
    }
}

fn core_of(pid: i32, program: &str, signal: i32, folder: &Path) -> String {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if let Some(reader) = pattern.strip_prefix('|') {
        return format!("handed to {}", reader.split_whitespace().next().unwrap_or("?"));
    }
    let uses_pid = fs::read_to_string("/proc/sys/kernel/core_uses_pid").is_ok_and(|flag| flag.trim() != "0");
    match core_file(&pattern, uses_pid, pid, program, signal, &folder.display().to_string()) {
        Some(file) if Path::new(&file).exists() => file,
        Some(file) => format!("dumped, and not found at {file}"),
        None => format!("dumped by the pattern {}", pattern.trim_end()),
    }
}
