//! Compiles the one C file and gives the library its SONAME and its flags.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/write.c");
    cc::Build::new().file("src/write.c").warnings(true).extra_warnings(true).compile("msf_write");
    // Its threads and fork handlers cannot be unmapped under a running process, so it never is.
    for argument in ["-Wl,-soname,libmsf.so.1", "-Wl,-z,nodelete"] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
