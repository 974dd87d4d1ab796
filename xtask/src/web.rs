//! Builds `dist/`, the browser half: the WASM module, the JavaScript that loads it, the stylesheet, the files of `public/`,
//! all hashed and compressed, and `manifest.json`, which tells the server their names. `server` embeds the folder.
//!
//! Nothing is written before everything is made, so a failed build leaves the old `dist/`. What has not changed is taken from
//! there, and an unchanged folder is not touched, so that the server is not built again for nothing.

use crate::{
    Outcome,
    bundle::{self, Bundle},
    folders::{npm_program, root, target},
    process::{quietly, run},
};
use flate2::{Compression, write::GzEncoder};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    fs,
    io::Write,
    iter,
    path::{Path, PathBuf},
    process::Command,
};

/// Bytes after brotli that the first visit may cost (1 KB = 1,000 bytes). For WASM this is a ratchet: what the page that needs
/// most loads may not grow beyond what it is; the aim is 300 KB (ADR 0004).
const WASM_BUDGET: usize = 305_000;
const CSS_BUDGET: usize = 20_000;
const JS_BUDGET: usize = 15_000;

/// What makes the pieces: they are made anew when it changes.
const HOW: &[u8] = concat!(include_str!("bundle.rs"), include_str!("packs.rs")).as_bytes();

/// File name below `dist/` → contents.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Builds `dist/`. `dev` is quick to build and large: no optimization, no compression.
pub fn build(dev: bool, budget: bool) -> Outcome<()> {
    let dist = root().join("dist");
    let old = read(&dist)?;
    let module = fs::read(compile(dev)?)?;
    let source = hash(&[&module, if dev { b"dev" } else { b"release" }, HOW]);

    let mut files = Files::new();
    let names = if let Some(names) = Names::reusable(&old, &source) {
        files.extend(names.files().map(|file| (file.to_owned(), old[file].clone())));
        names
    } else {
        eprintln!("xtask: cutting and binding{}", if dev { "" } else { ", making small" });
        Names::add(&mut files, Bundle::new(&module, dev)?)
    };
    let css = add_hashed(&mut files, "signalbox", "css", style()?);
    files.extend(read(&root().join("public"))?);
    if !dev {
        compress(&mut files, &old)?;
    }
    let sizes = [
        Size::of("wasm of the largest first visit", WASM_BUDGET, &files, &names.largest_visit(&files)),
        Size::of("css", CSS_BUDGET, &files, &[&css]),
        Size::of("js", JS_BUDGET, &files, &[&names.js, &names.loader]),
    ];
    let manifest = Manifest { names, css, source };
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
        "rustc",
        "--package",
        "frontend",
        "--target",
        "wasm32-unknown-unknown",
        "--profile",
        profile,
        "--",
        // The module is cut along what refers to what.
        "-Clink-args=--emit-relocs",
    ]))?;
    Ok(target().join("wasm32-unknown-unknown").join(if dev { "debug" } else { profile }).join("frontend.wasm"))
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

/// Adds a file under a name that changes with its contents, so that browsers may keep it for ever. Returns its path from the
/// root of the site.
fn add_hashed(files: &mut Files, stem: &str, kind: &str, bytes: Vec<u8>) -> String {
    add(files, stem, kind, &hash(&[&bytes]), bytes)
}

fn add(files: &mut Files, stem: &str, kind: &str, hash: &str, bytes: Vec<u8>) -> String {
    let name = format!("pkg/{stem}.{hash}.{kind}");
    files.insert(name.clone().into(), bytes);
    format!("/{name}")
}

/// The file below `dist/` that a path from the root of the site names.
fn file(name: &str) -> &Path {
    Path::new(name.trim_start_matches('/'))
}

/// `manifest.json`: what the server and the next build have to know.
#[derive(Serialize, Deserialize)]
struct Manifest {
    #[serde(flatten)]
    names: Names,
    css: String,
    /// What `dist/` was made of.
    source: String,
}

/// Where the pieces of a [`Bundle`] are.
#[derive(Serialize, Deserialize, Debug, PartialEq, Eq)]
struct Names {
    js: String,
    loader: String,
    wasm: String,
    /// Page → what a first visit of it needs beside the module.
    pages: BTreeMap<String, Vec<String>>,
    /// What the loader fetches, all that there is.
    parts: Vec<String>,
}

impl Names {
    /// Those of the pieces in `dist/`, if they were made of this very source.
    fn reusable(old: &Files, source: &str) -> Option<Self> {
        let manifest: Manifest = serde_json::from_slice(old.get(Path::new("manifest.json"))?).ok()?;
        let names = manifest.names;
        (manifest.source == source && names.files().all(|file| old.contains_key(file))).then_some(names)
    }

    fn add(files: &mut Files, bundle: Bundle) -> Self {
        let Bundle { mut script, mut loader, module, packs, whole, pages } = bundle;
        let mut names = BTreeMap::new();
        let mut all = Vec::new();
        for (pack, bytes) in packs {
            let name = add_hashed(files, &pack, "wasm", bytes);
            all.push(format!("[\"{pack}\", \"{name}\"]"));
            names.insert(pack, name);
        }
        for (page, bytes) in whole {
            let name = add_hashed(files, &page, "wasm", bytes);
            names.insert(page, name);
        }
        for (name, path) in &names {
            loader = loader.replace(&format!("\"./{name}.wasm\""), &format!("\"{path}\""));
        }
        // Each is started as soon as it is here and the browser has nothing else to do: where somebody goes next only runs.
        loader = format!(
            "{loader}\
const whenIdle = globalThis.requestIdleCallback ?? setTimeout;
const prepare = async ([name, path]) => {{
    if (asked.has(name)) return;
    asked.add(name);
    await (await fetch(path, {{ priority: \"low\" }})).arrayBuffer();
    whenIdle(() => packs[name]().catch(() => {{}}));
}};
export const prepareAll = () => [{}].forEach((pack) => prepare(pack).catch(() => {{}}));
",
            all.join(", ")
        );
        // The scripts name each other, so neither can be named by its contents alone.
        let both = hash(&[script.as_bytes(), loader.as_bytes()]);
        let [script_path, loader_path] =
            [bundle::SCRIPT, bundle::LOADER].map(|name| name.replace(".js", &format!(".{both}.js")));
        // Only where they are imported: the module knows the loader by its first name.
        let from = |name: &str| format!("from \"{name}\"");
        script = script.replace(&from(bundle::LOADER), &from(&loader_path));
        loader = loader.replace(&from(bundle::SCRIPT), &from(&script_path));
        Self {
            js: add(files, "signalbox", "js", &both, script.into_bytes()),
            loader: add(files, "parts", "js", &both, loader.into_bytes()),
            wasm: add_hashed(files, "signalbox", "wasm", module),
            pages: pages
                .into_iter()
                .map(|(page, files)| (page, files.iter().map(|file| names[file].clone()).collect()))
                .collect(),
            parts: names.into_values().collect(),
        }
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.js, &self.loader, &self.wasm].into_iter().chain(&self.parts).map(|name| file(name))
    }

    /// The WASM of the visit that needs most.
    fn largest_visit(&self, files: &Files) -> Vec<&String> {
        let visit = |packs| iter::once(&self.wasm).chain(packs).collect::<Vec<_>>();
        let size = |names: &Vec<&String>| names.iter().map(|name| files[file(name)].len()).sum::<usize>();
        self.pages.values().map(visit).max_by_key(size).unwrap_or_else(|| vec![&self.wasm])
    }
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

/// What files of one kind cost a first visit.
struct Size {
    kind: &'static str,
    bytes: usize,
    brotli: Option<usize>,
    limit: usize,
}

impl Size {
    /// Of these files together.
    fn of(kind: &'static str, limit: usize, files: &Files, names: &[&String]) -> Self {
        let bytes = |name: &&String| files[file(name)].len();
        let brotli = |name: &&String| files.get(&file(name).with_added_extension("br")).map(Vec::len);
        Self { kind, bytes: names.iter().map(bytes).sum(), brotli: names.iter().map(brotli).sum(), limit }
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
    fn pieces_are_reused_only_for_the_same_source() {
        let manifest = r#"{ "js": "/pkg/a.js", "loader": "/pkg/b.js", "wasm": "/pkg/a.wasm", "pages": { "home": ["/pkg/c.wasm"] },
            "parts": ["/pkg/c.wasm"], "css": "/pkg/a.css", "source": "s1" }"#;
        let pieces =
            [("manifest.json", manifest), ("pkg/a.js", ""), ("pkg/b.js", ""), ("pkg/a.wasm", ""), ("pkg/c.wasm", "")];
        let mut old = files(&pieces);
        assert_eq!(Names::reusable(&old, "s1").unwrap().pages["home"], ["/pkg/c.wasm"]);
        assert_eq!(Names::reusable(&old, "s2"), None);
        old.remove(Path::new("pkg/c.wasm"));
        assert_eq!(Names::reusable(&old, "s1"), None);
        assert_eq!(Names::reusable(&Files::new(), "s1"), None);
    }

    #[test]
    fn pieces_find_each_other_under_their_new_names() {
        let mut made = Files::new();
        let part =
            |page: &str, parts: &[&str]| (page.to_owned(), parts.iter().map(|part| (*part).to_owned()).collect());
        let names = Names::add(
            &mut made,
            Bundle {
                script: format!("import * as it from \"{0}\"; {{ \"{0}\": it }}", bundle::LOADER),
                loader: format!("import {{}} from \"{}\"; fetch(\"./one.wasm\");", bundle::SCRIPT),
                module: vec![1; 9],
                packs: BTreeMap::from([("one".to_owned(), vec![2; 5]), ("two".to_owned(), vec![3; 7])]),
                whole: BTreeMap::from([("page_tab".to_owned(), vec![4; 9])]),
                pages: BTreeMap::from([part("first_1", &["one"]), part("first_tab_2", &["two", "page_tab"])]),
            },
        );
        let text = |name: &str| String::from_utf8(made[file(name)].clone()).unwrap();
        let script =
            format!("import * as it from \"{}\"; {{ \"{}\": it }}", names.loader.replace("/pkg", "."), bundle::LOADER);
        assert_eq!(text(&names.js), script);
        let [one, two] = ["first_1", "first_tab_2"].map(|page| &names.pages[page][0]);
        let loader = text(&names.loader);
        assert!(
            loader.starts_with(&format!("import {{}} from \"{}\"; fetch(\"{one}\");", names.js.replace("/pkg", ".")))
        );
        assert!(
            loader.contains(&format!("prepareAll = () => [[\"one\", \"{one}\"], [\"two\", \"{two}\"]]")),
            "{loader}"
        );
        assert_eq!(names.largest_visit(&made), [&names.wasm, two, &names.pages["first_tab_2"][1]]);
    }
}
