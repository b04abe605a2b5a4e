//! Compiles the C files and gives the library its SONAME and its flags.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for file in ["src/write.c", "src/wait.c"] {
        println!("cargo:rerun-if-changed={file}");
    }
    // A thread may be cancelled while it waits in C: the unwinding has to find its way through.
    let mut c = cc::Build::new();
    // Smaller than it is slower: what is built for size divides by ten with the processor's division.
    c.files(["src/write.c", "src/wait.c"])
        .opt_level(2)
        .flag("-fexceptions")
        .warnings(true)
        .extra_warnings(true)
        .compile("msf_write");
    // Its threads and fork handlers cannot be unmapped under a running process, so it never is.
    for argument in ["-Wl,-soname,libmsf.so.1", "-Wl,-z,nodelete"] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
