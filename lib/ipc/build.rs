//! Gives the library its SONAME and its flags.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Its threads and fork handlers cannot be unmapped under a running process, so it never is. libmsf.so.1 lies
    // beside it.
    for argument in ["-Wl,-soname,libipc.so.1", "-Wl,-z,nodelete", "-Wl,-rpath,$ORIGIN"] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
