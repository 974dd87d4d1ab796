//! What the browser runs, out of what rustc made: the module cut at the pages (`app/src/pages/lazy.rs`), so that a visit loads
//! the code of the page it shows and not of all; the JavaScript that loads it; every piece made small. It refuses JavaScript
//! that a dependency brings, because the page would not load it.

use crate::{Outcome, folders::npm_program, process::quietly};
use std::{collections::BTreeMap, fs, path::Path, process::Command};
use wasm_bindgen_cli_support::Bindgen;
use wasm_split_cli_support::{Options, transform};

/// Under these names the two scripts import each other, until they get those of their contents.
pub const SCRIPT: &str = "./signalbox.js";
/// See [`SCRIPT`].
pub const LOADER: &str = "./parts.js";

/// What the browser runs.
pub struct Bundle {
    /// Starts the module. Imports [`LOADER`].
    pub script: String,
    /// Fetches the parts when the module asks for them, by their names, `./chunk_1.wasm`. Imports [`SCRIPT`].
    pub loader: String,
    /// What every page needs.
    pub module: Vec<u8>,
    /// What only some pages need: name without ending → WASM.
    pub parts: BTreeMap<String, Vec<u8>>,
    /// Page, under the name that the server knows it by → its parts.
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
        let mut parts = BTreeMap::new();
        for path in &split.split_modules {
            let name = path.file_stem().and_then(|name| name.to_str()).ok_or("a part without a name")?;
            parts.insert(name.to_owned(), if dev { fs::read(path)? } else { smaller(path)? });
        }
        Ok(Self {
            script,
            loader: fs::read_to_string(folder.path().join(LOADER))?,
            module: if dev { fs::read(&main)? } else { smaller(&main)? },
            parts,
            pages: split.prefetch_map.into_iter().collect(),
        })
    }
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
    Ok((output.js().to_owned(), output.wasm_mut().emit_wasm()))
}

fn smaller(path: &Path) -> Outcome<Vec<u8>> {
    let optimized = path.with_extension("small");
    // rustc writes the WASM features it used into the module and wasm-opt reads them there: no list of flags to keep.
    quietly(Command::new(npm_program("wasm-opt")).arg("-Oz").arg(path).arg("-o").arg(&optimized))?;
    Ok(fs::read(optimized)?)
}
