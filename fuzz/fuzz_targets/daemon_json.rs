//! Whatever the bytes, the daemon's configuration is an error that names the file, or settings that are the same when what
//! is shown of them is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use msf_conf::daemon::Settings;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    match Settings::parse(Path::new("some/file.json"), &text) {
        Err(e) => assert!(e.to_string().starts_with("some/file.json: ")),
        Ok(settings) => {
            assert!(!settings.processes.is_empty());
            let again = Settings::parse(Path::new("shown.json"), &settings.to_string()).expect("what is shown is read");
            assert_eq!(again, Settings { warnings: Vec::new(), ..settings });
        }
    }
});
