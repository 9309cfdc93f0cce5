//! Compiles `clock.c`, which gives this process the wall clock that the document needs.

fn main() {
    println!("cargo:rerun-if-changed=clock.c");
    cc::Build::new().file("clock.c").link_lib_modifier("+whole-archive").compile("clock");
}
