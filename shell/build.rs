//! Lets msf_shell find libmsf.so.1 beside itself: `bin/msf_shell`, `lib/libmsf.so.1`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-bins=-Wl,-rpath,$ORIGIN/../lib");
}
