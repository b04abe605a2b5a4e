//! Runs `examples/faces.rs`, which needs a libmsf.so: the staged one, or the one this workspace has just built.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_safe_faces_hold_against_the_real_library() {
    let built = env::current_exe().unwrap().parent().and_then(Path::parent).unwrap().to_owned();
    let Some(library) = library(&built) else {
        eprintln!("no libmsf.so is built yet; `cargo test --workspace` builds one");
        return;
    };
    let room = built.join(format!("faces-{}", std::process::id()));
    fs::create_dir_all(room.join("run")).unwrap();
    symlink(&library, room.join("libmsf.so.1")).unwrap();
    let output = Command::new(built.join("examples/faces"))
        .env("LD_LIBRARY_PATH", &room)
        .env("MSF_RUN_DIR", room.join("run"))
        .env("MSF_LOG_DIR", room.join("log"))
        .output()
        .unwrap();
    fs::remove_dir_all(&room).unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("faces: all well"), "{}\n{said}", output.status);
}

fn library(built: &Path) -> Option<PathBuf> {
    let staged = env::var_os("MSF_STAGE").map(|stage| PathBuf::from(stage).join("lib/libmsf.so.1"));
    staged.into_iter().chain([built.join("libmsf.so")]).find(|path| path.exists())
}
