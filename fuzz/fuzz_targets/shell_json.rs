//! Whatever the bytes, the shell's configuration is an error that names the file, or settings that keep their promises.
#![no_main]

use libfuzzer_sys::fuzz_target;
use msf_conf::shell::Shell;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    match Shell::parse(Path::new("some/file.json"), &text) {
        Err(e) => assert!(e.to_string().starts_with("some/file.json: ") && e.to_string().lines().count() == 1),
        Ok(shell) => {
            assert!(!shell.services.is_empty() && shell.name.len() <= 31 && !shell.name.contains('/'));
            assert!(shell.services.iter().all(|service| service.name.len() <= 63 && !service.library.contains('\0')));
        }
    }
});
