//! What the browser runs, out of what rustc made: the module cut at the pages (`app/src/pages/lazy.rs`), so that a visit loads
//! the code of the page it shows and not of all; what pages share in few packs (`packs`); the JavaScript that loads it; every
//! piece made small. It refuses JavaScript that a dependency brings, because the page would not load it.

use crate::{
    Outcome,
    folders::npm_program,
    packs::{Pack, packed},
    process::quietly,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs, mem,
    path::{Path, PathBuf},
    process::Command,
};
use walrus::{ConstExpr, Element, ElementItems, Export, Module};
use wasm_bindgen_cli_support::Bindgen;
use wasm_split_cli_support::{Options, transform};
use wasmparser::{Parser, Payload, TypeRef};

/// Under these names the two scripts import each other, until they get those of their contents.
pub const SCRIPT: &str = "./signalbox.js";
/// See [`SCRIPT`].
pub const LOADER: &str = "./parts.js";

/// Under this name parts import what they share with the module, and with each other.
const SHARED: &str = "__wasm_split";
/// Under this name a pack imports it.
const MAIN: &str = "main";

/// Under this name the module imports functions of its script.
const IMPORTS: &str = "./signalbox_bg.js";

/// Under this name what a first visit loads imports it.
const WHOLE: &str = "whole";
/// Code that is fetched when somebody asks for what it does, and not for a page, is named so (`#[lazy(later_…)]`).
const LATER: &str = "later_";
/// The part that a page shares with no other begins so.
const OWN: &str = "split_";

/// In the names of what `wasm-streams` exports, which comes with Leptos and which nothing here uses. What is exported stays.
const STREAMS: &str = "intounderlying";

/// What the browser runs.
pub struct Bundle {
    /// Starts the module. Imports [`LOADER`].
    pub script: String,
    /// Fetches the packs when the module asks for a page, by their names, `./shared_1.wasm`. Imports [`SCRIPT`].
    pub loader: String,
    /// What every page needs.
    pub module: Vec<u8>,
    /// What only some pages need: name without ending → WASM.
    pub packs: BTreeMap<String, Vec<u8>>,
    /// All packs of a page in one, for whoever visits it first: name without ending → WASM.
    pub whole: BTreeMap<String, Vec<u8>>,
    /// Page, under the name that the server knows it by → what a first visit of it loads.
    pub pages: BTreeMap<String, Vec<String>>,
}

impl Bundle {
    /// Cuts and binds the module. `dev` makes nothing smaller.
    pub fn new(module: &[u8], dev: bool) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let main = folder.path().join("main.wasm");
        let mut options = Options::new(module);
        (options.output_dir, options.main_out_path) = (folder.path(), &main);
        (options.main_module, options.link_name) = (SCRIPT, LOADER);
        let split = transform(options)?;
        let (script, module) = bind(fs::read(&main)?, dev)?;
        fs::write(&main, module)?;
        let sizes = split.split_modules.iter().map(|path| Ok((stem(path)?, contents(&fs::read(path)?)?)));
        let needed = visits(&split.prefetch_map.into_iter().collect());
        let all = packed(&needed, &sizes.collect::<Outcome<_>>()?);
        let mut packs = BTreeMap::new();
        let mut pages: BTreeMap<String, Vec<String>> = needed.keys().map(|page| (page.clone(), Vec::new())).collect();
        for (number, pack) in all.iter().enumerate() {
            let name = pack_name(pack, number);
            let merged = merge(&pack.parts, folder.path(), &name, SHARED, MAIN)?;
            packs.insert(name.clone(), if dev { fs::read(merged)? } else { smaller(&merged)? });
            for page in pack.pages(&needed) {
                pages.entry(page.clone()).or_default().push(name.clone());
            }
        }
        for (name, pack) in &packs {
            fs::write(folder.path().join(name).with_extension("wasm"), pack)?;
        }
        let mut whole = BTreeMap::new();
        for (page, packs) in pages.iter().filter(|(page, _)| !dev && is_visited_first(page, &needed)) {
            let name = whole_name(page);
            let merged = merge(packs, folder.path(), &name, MAIN, WHOLE)?;
            whole.insert(name, fs::read(merged)?);
        }
        let loader = loader(&fs::read_to_string(folder.path().join(LOADER))?, &pages, &whole)?;
        if !dev {
            for (page, files) in &mut pages {
                *files = Some(whole_name(page)).filter(|name| whole.contains_key(name)).into_iter().collect();
            }
        }
        Ok(Self { script, loader, module: if dev { fs::read(&main)? } else { smaller(&main)? }, packs, whole, pages })
    }
}

/// The name of a page without what makes it unique in the module.
fn page_name(page: &str) -> &str {
    page.rsplit_once('_').map_or(page, |(name, _)| name)
}

/// Whether `page` stands on the page `other`, or is that page: `webhook_test` on `webhook`.
fn stands_on(page: &str, other: &str) -> bool {
    let rest = page_name(page).strip_prefix(page_name(other));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// What a visit needs, out of what each page needs alone: a tab is never visited without the page that it stands on.
fn visits(needed: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    let visit = |page: &String| {
        let all = needed.iter().filter(|(other, _)| stands_on(page, other)).flat_map(|(_, parts)| parts.clone());
        (page.clone(), all.collect::<BTreeSet<_>>().into_iter().collect())
    };
    needed.keys().map(visit).collect()
}

/// Whether a visit can begin with it: no page stands on it, as tabs do, and it does not wait until somebody asks for it.
fn is_visited_first(page: &str, pages: &BTreeMap<String, Vec<String>>) -> bool {
    !page.starts_with(LATER) && pages.keys().filter(|other| stands_on(other, page)).count() == 1
}

/// What browsers show in their list of requests for what a first visit of a page loads.
fn whole_name(page: &str) -> String {
    format!("page_{}", page_name(page))
}

/// What they show for a pack: the page whose own code it has, `part_overview`, or `shared_1`.
fn pack_name(pack: &Pack, number: usize) -> String {
    let own: Vec<&str> = pack.parts.iter().filter_map(|part| part.strip_prefix(OWN)).collect();
    match own[..] {
        [page] => format!("part_{}", page_name(page)),
        _ => format!("shared_{number}"),
    }
}

/// The bytes of a part that browsers will load, more or less: names and the like are thrown away.
fn contents(part: &[u8]) -> Outcome<u64> {
    let mut bytes = 0;
    for payload in Parser::new(0).parse_all(part) {
        let range = match payload? {
            Payload::CodeSectionStart { range, .. } => range,
            Payload::DataSection(data) => data.range(),
            _ => continue,
        };
        bytes += range.end - range.start;
    }
    Ok(bytes)
}

/// A path's name without its ending.
fn stem(path: &Path) -> Outcome<String> {
    Ok(path.file_stem().and_then(|name| name.to_str()).ok_or("a part without a name")?.to_owned())
}

/// Makes one module of several, which import from `from`. Each imports the same memory and table, and a module that imports one
/// twice has two for every tool: they go through a module in front, which imports each once, from `to`, and exports it to them.
fn merge(modules: &[String], folder: &Path, name: &str, from: &str, to: &str) -> Outcome<PathBuf> {
    let paths: Vec<PathBuf> = modules.iter().map(|module| folder.join(module).with_extension("wasm")).collect();
    let mut shared = BTreeSet::new();
    for path in &paths {
        shared.append(&mut imports(&fs::read(path)?, from)?);
    }
    let front = folder.join(name).with_extension("wat");
    let text = shared.iter().fold(String::new(), |mut text, (name, kind, declared)| {
        writeln!(text, "(import \"{to}\" \"{name}\" ({kind} ${name} {declared})) (export \"{name}\" ({kind} ${name}))")
            .expect("a String takes it");
        text
    });
    fs::write(&front, format!("(module\n{text})"))?;
    let merged = folder.join(name).with_extension("wasm");
    let mut command = Command::new(npm_program("wasm-merge"));
    // The first one says which WASM features may be used: a part knows them.
    for (path, module) in paths.iter().zip(modules) {
        command.arg(path).arg(module);
    }
    quietly(command.arg(&front).arg(from).arg("-o").arg(&merged))?;
    // What the front exports to the others, nobody else asks for.
    let mut module = Module::from_file(&merged).map_err(|error| format!("{name}: {error}"))?;
    without_exports(&mut module, |_| true);
    fs::write(&merged, module.emit_wasm())?;
    Ok(merged)
}

/// What a module imports from `from`, and it imports nothing else: name, kind, and declaration in WebAssembly's text format.
fn imports(module: &[u8], from: &str) -> Outcome<BTreeSet<(String, &'static str, String)>> {
    let mut found = BTreeSet::new();
    for payload in Parser::new(0).parse_all(module) {
        let Payload::ImportSection(section) = payload? else { continue };
        for import in section.into_imports() {
            let import = import?;
            let (kind, declared) = match import.ty {
                TypeRef::Memory(memory) => ("memory", memory.initial.to_string()),
                TypeRef::Table(table) => ("table", format!("{} funcref", table.initial)),
                TypeRef::Global(global) if global.mutable => ("global", format!("(mut {})", global.content_type)),
                TypeRef::Global(global) => ("global", global.content_type.to_string()),
                other => return Err(format!("a part imports {}, {other:?}: not expected", import.name).into()),
            };
            if import.module != from {
                return Err(format!("a part imports from {}: not expected", import.module).into());
            }
            found.insert((import.name.to_owned(), kind, declared));
        }
    }
    Ok(found)
}

/// The loader that fetches packs, out of the one that fetches parts: its helpers are kept, and what it does for each part is
/// replaced by the same for each pack. The page that is asked for first comes as a whole, in one file and compressed as one, which
/// is a fifth less than its packs.
fn loader(made: &str, pages: &BTreeMap<String, Vec<String>>, whole: &BTreeMap<String, Vec<u8>>) -> Outcome<String> {
    let helpers = made.find("\n/* ").or_else(|| made.find("\nexport const ")).ok_or("the loader has no parts")?;
    let mut text = format!(
        "{}
const load = (path) => makeLoad(() => {{
    const source = fetch(new URL(path, import.meta.url));
    source.catch(() => {{}});
    return async ({{ {SHARED}: it }}) => WebAssembly.instantiateStreaming(source, {{ {MAIN}: it, {WHOLE}: it }});
}}, []);
const packs = {{}};
const asked = new Set();
const page = (names, whole) => wrapAsyncCb(() => {{
    if (whole !== undefined && asked.size === 0) {{
        const all = load(whole);
        for (const name of names) packs[name] = all;
    }}
    for (const name of names) asked.add(name);
    return Promise.all(names.map((name) => packs[name]()));
}});
",
        &made[..helpers]
    );
    let names: BTreeSet<&String> = pages.values().flatten().collect();
    for name in names {
        writeln!(text, "packs.{name} = load(\"./{name}.wasm\");")?;
    }
    for (page, packs) in pages {
        let export = format!("__wasm_split_load_{page}");
        if !made.contains(&format!("export const {export} = ")) {
            return Err(format!("the loader does not know {page}").into());
        }
        let name = whole_name(page);
        let whole = if whole.contains_key(&name) { format!(", \"./{name}.wasm\"") } else { String::new() };
        writeln!(text, "export const {export} = page({packs:?}{whole});")?;
    }
    Ok(text)
}

/// Makes the JavaScript that loads the module, and the module that fits it.
fn bind(module: Vec<u8>, dev: bool) -> Outcome<(String, Vec<u8>)> {
    let mut output = Bindgen::new()
        .input_bytes("signalbox", module)
        .web(true)?
        .typescript(false)
        .omit_default_module_path(true)
        .remove_name_section(!dev)
        .remove_producers_section(true)
        // The parts know what they share with the module by the linker's names.
        .keep_lld_exports(true)
        .demangle(false)
        .generate_output()?;
    let inline = output.snippets().values().any(|files| !files.is_empty());
    if inline || !output.local_modules().is_empty() || !output.npm_dependencies().is_empty() {
        return Err("a dependency of the browser half brings JavaScript files, which the page would not load".into());
    }
    let mut script = output.js().to_owned();
    let module = output.wasm_mut();
    without_exports(module, |name| name.contains(STREAMS));
    without_empty_segments(module);
    if !dev {
        script = with_short_imports(module, &script)?;
    }
    Ok((script, module.emit_wasm()))
}

fn without_exports(module: &mut Module, unused: impl Fn(&str) -> bool) {
    let unused: Vec<_> = module.exports.iter().filter(|export| unused(&export.name)).map(Export::id).collect();
    for export in unused {
        module.exports.delete(export);
    }
}

/// For every part that was cut off, the module fills its places in the table with null, which is there already: nine hundred
/// segments, which are a hundredth of the module.
fn without_empty_segments(module: &mut Module) {
    let is_empty = |element: &&Element| match &element.items {
        ElementItems::Functions(functions) => functions.is_empty(),
        ElementItems::Expressions(_, values) => values.iter().all(|value| matches!(value, ConstExpr::RefNull(_))),
    };
    let empty: Vec<_> = module.elements.iter().filter(is_empty).map(Element::id).collect();
    for id in empty {
        for table in module.tables.iter_mut() {
            table.elem_segments.remove(&id);
        }
        module.elements.delete(id);
    }
}

/// Gives short names to what the module imports from its script: those of wasm-bindgen end in a hash, which no compression makes
/// smaller.
fn with_short_imports(module: &mut Module, script: &str) -> Outcome<String> {
    let mut short = BTreeMap::new();
    for (number, import) in module.imports.iter_mut().filter(|import| import.module == IMPORTS).enumerate() {
        let name = format!("f{number}");
        if short.insert(mem::replace(&mut import.name, name.clone()), name).is_some() {
            return Err("the module imports one function twice: not expected".into());
        }
    }
    let mut lines = String::new();
    for line in script.lines() {
        let name = line.split_once(": function(").map_or("", |(name, _)| name.trim_start());
        match short.remove(name) {
            Some(shorter) => lines.push_str(&line.replacen(name, &shorter, 1)),
            None => lines.push_str(line),
        }
        lines.push('\n');
    }
    if short.is_empty() { Ok(lines) } else { Err(format!("imports that the script does not have: {short:?}").into()) }
}

fn smaller(path: &Path) -> Outcome<Vec<u8>> {
    let optimized = path.with_extension("small");
    // rustc writes the WASM features it used into the module and wasm-opt reads them there: no list of flags to keep.
    quietly(Command::new(npm_program("wasm-opt")).arg("-Oz").arg(path).arg("-o").arg(&optimized))?;
    Ok(fs::read(optimized)?)
}
