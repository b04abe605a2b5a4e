//! Whatever the bytes, and in whichever of the three formats, the agent's configuration is an error that names the file, or
//! settings that are the same when what is shown of them is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use msf_conf::agent::Settings;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let Some((format, bytes)) = bytes.split_first() else { return };
    let file = ["some/file.json", "some/file.conf", "some/file.yaml"][usize::from(format % 3)];
    let text = String::from_utf8_lossy(bytes);
    match Settings::parse([(Path::new(file), text.as_ref())].into_iter()) {
        Err(e) => assert!(e.to_string().starts_with(file)),
        Ok(settings) => {
            let shown = settings.to_string();
            let again = Settings::parse([(Path::new("shown.conf"), shown.as_str())].into_iter());
            let again = again.expect("what is shown is read");
            assert_eq!(again, Settings { warnings: Vec::new(), ..settings });
        }
    }
});
