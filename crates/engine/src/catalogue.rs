//! The catalogue of providers that is compiled in: one file each in `crates/engine/catalogue`, its name the provider's id.
//!
//! A provider's file says only what is its own. What providers have in common comes from two more: the file of its
//! connection (`connections/smtp.toml`) and the one for all (`general.toml`). A field that a provider's file mentions is
//! laid over the field of that name there; those that are only its own follow; the section "Advanced" is the last one.
//! What a file says in `[oauth]` is kept apart: no form and no caller needs it.
//! It refuses, at the start of the process and naming the file, whatever does not fit the types of
//! `domain::catalogue`. It knows no provider by name.

use std::{collections::BTreeMap, sync::Arc};

use domain::catalogue::{Action, IntegrationType, Oauth, Provider};
use rust_embed::RustEmbed;
use toml::{Table, Value};

use crate::StartError;

#[derive(RustEmbed)]
#[folder = "catalogue/"]
struct Files;

const GENERAL: &str = "general.toml";
/// The section of a form that is for the few.
const ADVANCED: &str = "Advanced";

/// All providers that Signalbox knows.
pub struct Catalogue {
    /// By type in the order of [`IntegrationType::ALL`], then by name.
    providers: Vec<Arc<Provider>>,
    /// By the provider's id.
    oauth: BTreeMap<String, Arc<Oauth>>,
}

impl Catalogue {
    /// The one that is compiled in.
    pub fn built_in() -> Result<Self, StartError> {
        Self::read(Files::iter().filter_map(|path| {
            let file = Files::get(&path)?;
            Some((path.into_owned(), String::from_utf8_lossy(&file.data).into_owned()))
        }))
    }

    /// Reads files, each a path inside the folder and a text.
    fn read(files: impl Iterator<Item = (String, String)>) -> Result<Self, StartError> {
        let mut tables = BTreeMap::new();
        for (path, text) in files {
            let table = text.parse::<Table>().map_err(|error| unusable(&path, &error))?;
            tables.insert(path, table);
        }
        let mut providers = Vec::new();
        let mut oauth = BTreeMap::new();
        for (path, own) in &tables {
            let Some(id) = path.strip_suffix(".toml").filter(|id| *path != GENERAL && !id.contains('/')) else {
                continue;
            };
            let mut own = own.clone();
            if let Some(side) = own.remove("oauth") {
                oauth.insert(id.to_owned(), Arc::new(side.try_into().map_err(|error| unusable(path, &error))?));
            }
            providers.push(Arc::new(provider(id, own, &tables).map_err(|error| unusable(path, &error))?));
        }
        let rank = |kind| IntegrationType::ALL.iter().position(|other| *other == kind);
        providers.sort_by_cached_key(|provider| (rank(provider.kind), provider.name.to_lowercase()));
        Ok(Self { providers, oauth })
    }

    /// The provider of that id.
    pub fn provider(&self, id: &str) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| provider.id == id)
    }

    /// How the provider of that id does OAuth 2.0, when it is connected by that.
    pub fn oauth(&self, id: &str) -> Option<&Arc<Oauth>> {
        self.oauth.get(id)
    }

    /// All of them, by type in the order of [`IntegrationType::ALL`], then by name.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.providers.iter()
    }
}

fn unusable(path: &str, error: &dyn std::fmt::Display) -> StartError {
    StartError::Config(format!("catalogue/{path}: {error}"))
}

/// Reads one provider's table, laid over what it has in common with others.
fn provider(id: &str, mut own: Table, tables: &BTreeMap<String, Table>) -> Result<Provider, toml::de::Error> {
    let connection = own.get("connection").and_then(Value::as_str).unwrap_or_default();
    let shared = tables.get(&format!("connections/{connection}.toml"));
    for under in shared.into_iter().chain(tables.get(GENERAL)) {
        own = laid_over(own, under);
    }
    own.insert("id".to_owned(), id.into());
    let mut provider: Provider = own.try_into()?;
    complete(&mut provider);
    Ok(provider)
}

fn laid_over(mut own: Table, under: &Table) -> Table {
    for (key, value) in under {
        match (own.get_mut(key), value) {
            (None, value) => drop(own.insert(key.clone(), value.clone())),
            (Some(Value::Array(fields)), Value::Array(shared)) if key == "fields" => lay_fields(fields, shared),
            (Some(Value::Array(troubles)), Value::Array(shared)) if key == "troubles" => {
                troubles.extend_from_slice(shared);
            }
            (Some(_), _) => {}
        }
    }
    own
}

fn lay_fields(fields: &mut Vec<Value>, shared: &[Value]) {
    let mut laid = Vec::new();
    for under in shared {
        let at = fields.iter().position(|field| field.get("name") == under.get("name"));
        let own = at.map(|at| fields.remove(at));
        laid.push(match (own, under) {
            (Some(Value::Table(own)), Value::Table(under)) => Value::Table(laid_over(own, under)),
            _ => under.clone(),
        });
    }
    laid.append(fields);
    *fields = laid;
}

/// Writes in what the shared texts leave open: `{provider}`, `{fallback}`, and the labels of actions. Takes out steps
/// whose link is not known.
fn complete(provider: &mut Provider) {
    provider.fields.sort_by_key(|field| field.section == ADVANCED);
    let name = provider.name.clone();
    let write = |text: &mut String| *text = text.replace("{provider}", &name);
    for field in &mut provider.fields {
        write(&mut field.label);
        write(&mut field.help);
    }
    for step in &mut provider.runbook {
        *step = step.replace("{fallback}", &provider.fallback);
        write(step);
    }
    let links = [
        (Action::StatusPage, provider.status_page.is_some()),
        (Action::Docs, provider.docs.is_some()),
        (Action::Support, provider.support.is_some()),
    ];
    let leads_nowhere = |action| links.contains(&(action, false));
    for trouble in &mut provider.troubles {
        write(&mut trouble.meaning);
        trouble.steps.retain(|step| !step.action.is_some_and(leads_nowhere));
        for step in &mut trouble.steps {
            if let Some(action) = step.action.filter(|_| step.label.is_empty()) {
                step.label = action.label(&name);
            }
            write(&mut step.label);
            write(&mut step.text);
        }
    }
}

#[cfg(test)]
mod tests;
