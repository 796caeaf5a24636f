//! Compiles the `.proto` files with protox (protoc in Rust), so that building needs no `protoc`.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=lienthong");
    let mut files = Vec::new();
    collect(Path::new("lienthong"), &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_source_info(true).include_imports(true).open_files(&files)?;

    // Custom options survive only in protox's own encoding; prost_types drops them.
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;

    // Records travel as dynamic messages, so that a sector is a file and not a build: no code is generated for them.
    let mut services = compiler.file_descriptor_set();
    services.file.retain(|file| HUB_PACKAGES.contains(&file.package()));
    tonic_prost_build::configure().compile_fds(services)?;
    Ok(())
}

/// Packages of the hub's own contract, and what they import.
const HUB_PACKAGES: [&str; 8] = [
    "google.protobuf",
    "lienthong.options.v1",
    "lienthong.common.v1",
    "lienthong.query.v1",
    "lienthong.catalog.v1",
    "lienthong.audit.v1",
    "lienthong.operator.v1",
    "lienthong.adapter.v1",
];

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
