//! Tells cargo that the binary holds `dist/`: without this a new build of the browser half would not reach it.

use std::{fs, path::Path};

fn main() {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist");
    // Cargo runs this again on every build for as long as a path it was told to watch does not exist.
    fs::create_dir_all(&dist).expect("the workspace is writable: cargo is building in it");
    println!("cargo::rerun-if-changed={}", dist.display());
}
