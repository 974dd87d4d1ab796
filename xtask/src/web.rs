//! Builds `dist/`, the browser half: the WASM module, the JavaScript that loads it, the stylesheet, the files of `public/`,
//! all hashed and compressed, and `manifest.json`, which tells the server their names. `server` embeds the folder.
//!
//! Nothing is written before everything is made, so a failed build leaves the old `dist/`. What has not changed is taken from
//! there, and an unchanged folder is not touched, so that the server is not built again for nothing.

use crate::{
    Outcome,
    folders::{npm_program, root, target},
    process::{quietly, run},
};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};
use wasm_bindgen_cli_support::Bindgen;

/// Bytes after brotli that the first visit may cost (1 KB = 1,000 bytes). For the module this is a ratchet: it may not grow
/// beyond what it is; the aim is 300 KB.
const WASM_BUDGET: usize = 706_000;
const CSS_BUDGET: usize = 20_000;
const JS_BUDGET: usize = 15_000;

/// File name below `dist/` → contents.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Builds `dist/`. `dev` is quick to build and large: no optimization, no compression.
pub fn build(dev: bool, budget: bool) -> Outcome<()> {
    let dist = root().join("dist");
    let old = read(&dist)?;
    let module = fs::read(compile(dev)?)?;
    let source = hash(&[&module, if dev { b"dev" } else { b"release" }]);

    let mut files = Files::new();
    let names = if let Some(names) = reusable(&old, &source) {
        names
    } else {
        eprintln!("xtask: binding{}", if dev { "" } else { " and optimizing" });
        let (script, module) = bind(&module, dev)?;
        [("js", script), ("wasm", module)].map(|(kind, bytes)| add_hashed(&mut files, kind, bytes))
    };
    for name in &names {
        if let Some(bytes) = old.get(Path::new(name)) {
            files.insert(name.into(), bytes.clone());
        }
    }
    let [js, wasm] = &names;
    let css = add_hashed(&mut files, "css", style()?);
    files.extend(read(&root().join("public"))?);
    if !dev {
        compress(&mut files, &old)?;
    }
    let sizes = [
        Size::of("wasm", WASM_BUDGET, &files, wasm),
        Size::of("css", CSS_BUDGET, &files, &css),
        Size::of("js", JS_BUDGET, &files, js),
    ];
    let manifest =
        json!({ "js": format!("/{js}"), "wasm": format!("/{wasm}"), "css": format!("/{css}"), "source": source });
    files.insert("manifest.json".into(), serde_json::to_vec_pretty(&manifest)?);
    write(&dist, &files, &old)?;

    for size in &sizes {
        eprintln!("xtask: {size}");
    }
    let over: Vec<String> = sizes.iter().filter(|size| size.is_over()).map(Size::to_string).collect();
    if budget && !over.is_empty() {
        return Err(format!("over the size budget: {}", over.join(", ")).into());
    }
    Ok(())
}

/// Compiles `frontend` and returns the path of the module.
fn compile(dev: bool) -> Outcome<PathBuf> {
    let profile = if dev { "dev" } else { "wasm-release" };
    run(Command::new("cargo").current_dir(root()).args([
        "build",
        "--package",
        "frontend",
        "--target",
        "wasm32-unknown-unknown",
        "--profile",
        profile,
    ]))?;
    Ok(target().join("wasm32-unknown-unknown").join(if dev { "debug" } else { profile }).join("frontend.wasm"))
}

/// Makes the JavaScript that loads the module, and the module that fits it.
fn bind(module: &[u8], dev: bool) -> Outcome<(Vec<u8>, Vec<u8>)> {
    let mut output = Bindgen::new()
        .input_bytes("signalbox", module.to_vec())
        .web(true)?
        .typescript(false)
        .omit_default_module_path(true)
        .remove_name_section(!dev)
        .remove_producers_section(true)
        .generate_output()?;
    let inline = output.snippets().values().any(|files| !files.is_empty());
    if inline || !output.local_modules().is_empty() || !output.npm_dependencies().is_empty() {
        return Err("a dependency of the browser half brings JavaScript files, which the page would not load".into());
    }
    let script = output.js().as_bytes().to_vec();
    let module = output.wasm_mut().emit_wasm();
    if dev {
        return Ok((script, module));
    }
    let folder = tempfile::tempdir()?;
    let (input, optimized) = (folder.path().join("in.wasm"), folder.path().join("out.wasm"));
    fs::write(&input, module)?;
    // rustc writes the WASM features it used into the module and wasm-opt reads them there: no list of flags to keep.
    quietly(Command::new(npm_program("wasm-opt")).arg("-Oz").arg(&input).arg("-o").arg(&optimized))?;
    Ok((script, fs::read(optimized)?))
}

fn style() -> Outcome<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let output = folder.path().join("main.css");
    quietly(
        Command::new(npm_program("tailwindcss"))
            .current_dir(root())
            .args(["--minify", "--input", "style/main.css", "--output"])
            .arg(&output),
    )?;
    Ok(fs::read(output)?)
}

/// The names of script and module, if `dist/` holds those of this very source.
fn reusable(old: &Files, source: &str) -> Option<[String; 2]> {
    let manifest: Value = serde_json::from_slice(old.get(Path::new("manifest.json"))?).ok()?;
    if manifest["source"] != source {
        return None;
    }
    let name = |kind: &str| manifest[kind].as_str()?.strip_prefix('/').map(str::to_owned);
    let names = [name("js")?, name("wasm")?];
    names.iter().all(|name| old.contains_key(Path::new(name))).then_some(names)
}

/// Adds a file under a name that changes with its contents, so that browsers may keep it for ever.
fn add_hashed(files: &mut Files, kind: &str, bytes: Vec<u8>) -> String {
    let name = format!("pkg/signalbox.{}.{kind}", hash(&[&bytes]));
    files.insert(name.clone().into(), bytes);
    name
}

/// Adds `.br` and `.gz` beside every file that gets smaller by it.
fn compress(files: &mut Files, old: &Files) -> Outcome<()> {
    let mut compressed = Files::new();
    for (path, bytes) in &*files {
        for ending in ["br", "gz"] {
            let path = path.with_added_extension(ending);
            let encoded = match old.get(&path) {
                Some(encoded) if old.get(&path.with_extension("")) == Some(bytes) => encoded.clone(),
                _ if ending == "br" => brotli(bytes)?,
                _ => gzip(bytes)?,
            };
            if encoded.len() < bytes.len() {
                compressed.insert(path, encoded);
            }
        }
    }
    files.append(&mut compressed);
    Ok(())
}

fn brotli(bytes: &[u8]) -> Outcome<Vec<u8>> {
    let parameters =
        brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 22, size_hint: bytes.len(), ..Default::default() };
    let mut encoded = Vec::new();
    brotli::BrotliCompress(&mut &*bytes, &mut encoded, &parameters)?;
    Ok(encoded)
}

fn gzip(bytes: &[u8]) -> Outcome<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn hash(parts: &[&[u8]]) -> String {
    let digest = parts.iter().fold(Sha256::new(), Digest::chain_update).finalize();
    format!("{:016x}", u64::from_be_bytes(*digest.first_chunk().expect("SHA-256 is longer than 8 bytes")))
}

/// All files below a folder; none when there is no such folder.
fn read(folder: &Path) -> Outcome<Files> {
    let mut files = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        if !next.exists() {
            continue;
        }
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(folder)?.to_owned(), fs::read(&path)?);
            }
        }
    }
    Ok(files)
}

/// Turns `old` into `files`: new names first, the manifest last (it sorts before `pkg/`, hence the two passes), then what
/// nothing names any more is removed. A server that reads the folder meanwhile never meets a name without a file.
fn write(folder: &Path, files: &Files, old: &Files) -> Outcome<()> {
    let changed = files.iter().filter(|(path, bytes)| old.get(*path) != Some(bytes));
    let (manifest, others): (Vec<_>, Vec<_>) = changed.partition(|(path, _)| path.as_os_str() == "manifest.json");
    for (path, bytes) in others.into_iter().chain(manifest) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, bytes)?;
    }
    for path in old.keys().filter(|path| !files.contains_key(*path)) {
        fs::remove_file(folder.join(path))?;
    }
    Ok(())
}

/// What one file costs a first visit.
struct Size {
    kind: &'static str,
    bytes: usize,
    brotli: Option<usize>,
    limit: usize,
}

impl Size {
    fn of(kind: &'static str, limit: usize, files: &Files, name: &str) -> Self {
        let length = |name: String| files.get(Path::new(&name)).map(Vec::len);
        let bytes = length(name.to_owned()).unwrap_or_default();
        Self { kind, bytes, brotli: length(format!("{name}.br")), limit }
    }

    fn is_over(&self) -> bool {
        self.brotli.unwrap_or(self.bytes) > self.limit
    }
}

impl Display for Size {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { kind, bytes, brotli, limit } = self;
        match brotli {
            Some(brotli) => write!(f, "{kind} {bytes} bytes, {brotli} after brotli (budget {limit})"),
            None => write!(f, "{kind} {bytes} bytes, uncompressed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(contents: &[(&str, &str)]) -> Files {
        contents.iter().map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn the_folder_becomes_what_was_made_and_the_unchanged_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = files(&[("manifest.json", "1"), ("pkg/old.js", "old"), ("robots.txt", "same")]);
        write(folder.path(), &first, &Files::new()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), first);
        let robots = folder.path().join("robots.txt");
        let made = fs::metadata(&robots).unwrap().modified().unwrap();

        let second = files(&[("manifest.json", "2"), ("pkg/new.js", "new"), ("robots.txt", "same")]);
        write(folder.path(), &second, &first).unwrap();
        assert_eq!(read(folder.path()).unwrap(), second);
        assert_eq!(fs::metadata(&robots).unwrap().modified().unwrap(), made);
    }

    #[test]
    fn twins_are_added_where_they_are_smaller_and_reused_where_nothing_changed() {
        let long = "signal ".repeat(100);
        let mut made = files(&[("a.js", &long), ("b.txt", "x")]);
        compress(&mut made, &Files::new()).unwrap();
        let names: Vec<_> = made.keys().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(names, ["a.js", "a.js.br", "a.js.gz", "b.txt"]);

        let old = files(&[("a.js", &long), ("a.js.br", "kept")]);
        let mut again = files(&[("a.js", &long)]);
        compress(&mut again, &old).unwrap();
        assert_eq!(again[Path::new("a.js.br")], b"kept");
    }

    #[test]
    fn script_and_module_are_reused_only_for_the_same_source() {
        let manifest = r#"{ "js": "/pkg/a.js", "wasm": "/pkg/a.wasm", "css": "/pkg/a.css", "source": "s1" }"#;
        let mut old = files(&[("manifest.json", manifest), ("pkg/a.js", ""), ("pkg/a.wasm", "")]);
        assert_eq!(reusable(&old, "s1"), Some(["pkg/a.js".to_owned(), "pkg/a.wasm".to_owned()]));
        assert_eq!(reusable(&old, "s2"), None);
        old.remove(Path::new("pkg/a.wasm"));
        assert_eq!(reusable(&old, "s1"), None);
        assert_eq!(reusable(&Files::new(), "s1"), None);
    }
}
