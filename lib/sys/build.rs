//! Makes what programs are linked with in place of libmsf.so and libipc.so.
//!
//! Cargo cannot make one package wait for another's shared library, so we make a stub from the mirror: every
//! name is there, nothing behind it. A stub carries the real library's SONAME, so the program asks for
//! `libmsf.so.1` when it starts; its file is called `libmsf_link_stub.so`, which no loader ever looks for.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo:rustc-link-search=native={}", out.display());
    for (library, wanted) in [("msf", true), ("ipc", env::var_os("CARGO_FEATURE_IPC").is_some())] {
        let mirror = format!("src/ffi/{library}");
        println!("cargo:rerun-if-changed={mirror}");
        let source = out.join(format!("{library}_link_stub.c"));
        let text = read(Path::new(&mirror)).unwrap_or_else(|e| panic!("cannot read {mirror}: {e}"));
        fs::write(&source, stub(&text, &mirror)).unwrap_or_else(|e| panic!("cannot write {}: {e}", source.display()));
        link(&source, &out.join(format!("lib{library}_link_stub.so")), &format!("lib{library}.so.1"));
        if wanted {
            println!("cargo:rustc-link-lib=dylib={library}_link_stub");
        }
    }
}

/// The text of every file of one mirror.
fn read(folder: &Path) -> std::io::Result<String> {
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    files.iter().map(fs::read_to_string).collect()
}

/// The C text of a stub: an empty body per function, a pointer per variable (all of ours are pointers, and
/// a program that is not PIE copies as many bytes as the symbol has).
fn stub(mirror: &str, path: &str) -> String {
    let mut text = String::new();
    for line in mirror.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("pub fn ") {
            text += &format!("void {}(void) {{}}\n", name(rest, '('));
        } else if let Some(rest) = line.strip_prefix("pub static mut ") {
            text += &format!("void *{};\n", name(rest, ':'));
        }
    }
    assert!(!text.is_empty(), "{path}: no `pub fn` found in the mirror");
    text
}

fn name(rest: &str, end: char) -> &str {
    rest.split(end).next().unwrap_or(rest).trim()
}

fn link(source: &Path, library: &Path, soname: &str) {
    // cc finds the target's compiler when crossing.
    let mut command = cc::Build::new().cargo_metadata(false).opt_level(0).debug(false).get_compiler().to_command();
    command.args(["-w", "-fPIC", "-shared", "-nostdlib", "-fno-lto"]);
    command.arg(format!("-Wl,-soname,{soname}")).arg("-o").arg(library).arg(source);
    let status = command.status().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    assert!(status.success(), "{command:?}: {status}");
}
