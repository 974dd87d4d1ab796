//! The command palette (Cmd/Ctrl+K): pages, webhooks by name, and any pasted id.

use leptos::{ev::KeyboardEvent, html, prelude::*, task::spawn_local};
use leptos_router::{NavigateOptions, hooks::use_navigate};

use super::{
    icon::icon,
    shortcuts::{drive_dialog, told_closed},
};
use crate::{
    calls::{saved_views::saved_views, webhooks::name_webhooks},
    keyboard::places,
};

#[derive(Clone, PartialEq, Eq)]
struct Command {
    title: String,
    detail: String,
    href: String,
    icon: &'static str,
}

impl Command {
    fn new(title: &str, detail: &str, href: String, icon: &'static str) -> Self {
        Self { title: title.to_owned(), detail: detail.to_owned(), href, icon }
    }
}

/// Where a pasted id leads.
fn by_id(text: &str) -> Option<Command> {
    let (prefix, rest) = text.split_once('_')?;
    if rest.len() != 26 || !rest.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let (title, path, icon) = match prefix {
        "whk" => ("Open webhook", "webhooks", "webhook"),
        "evt" => ("Open event", "events", "zap"),
        "dlv" => ("Open delivery", "deliveries", "send"),
        "eml" => ("Open e-mail", "emails", "mail"),
        _ => return None,
    };
    Some(Command::new(title, text, format!("/{path}/{text}"), icon))
}

fn fixed() -> Vec<Command> {
    let pages = places().map(|place| Command::new(place.title, "Go to", place.href.to_owned(), place.icon));
    let new = Command::new("New Webhook", "Create", "/webhooks/new".to_owned(), "plus");
    let failed = Command::new("Failures by cause", "Deliveries", "/deliveries?view=failures".to_owned(), "alert");
    let templates = Command::new("E-mail templates", "E-mails", "/emails/templates".to_owned(), "mail");
    let suppressions = Command::new("Suppressions", "E-mails", "/emails/suppressions".to_owned(), "ban");
    pages.chain([new, failed, templates, suppressions]).collect()
}

fn matching(commands: &[Command], query: &str) -> Vec<Command> {
    let query = query.trim();
    if let Some(command) = by_id(query) {
        return vec![command];
    }
    let query = query.to_ascii_lowercase();
    let fits = |command: &&Command| {
        let text = format!("{} {}", command.title, command.detail).to_ascii_lowercase();
        query.split(' ').all(|word| text.contains(word))
    };
    commands.iter().filter(fits).take(12).cloned().collect()
}

/// The palette's dialog.
#[component]
pub fn Palette(
    /// Whether it is open.
    open: RwSignal<bool>,
) -> AnyView {
    let node: NodeRef<html::Dialog> = NodeRef::new();
    let input: NodeRef<html::Input> = NodeRef::new();
    let commands = RwSignal::new(fixed());
    let query = RwSignal::new(String::new());
    let selected = RwSignal::new(0_usize);
    let found = Memo::new(move |_| if open.get() { matching(&commands.read(), &query.read()) } else { Vec::new() });
    drive_dialog(node, open);
    Effect::new(move |_| {
        if !open.get() {
            return;
        }
        query.set(String::new());
        selected.set(0);
        if let Some(input) = input.get_untracked() {
            input.set_value("");
        }
        spawn_local(async move {
            let Ok(webhooks) = name_webhooks().await else { return };
            let views = saved_views().await.unwrap_or_default().into_iter();
            let kept = views.map(|it| Command::new(&it.name, &format!("View of {}", &it.list[1..]), it.href(), "list"));
            let named = webhooks
                .into_iter()
                .map(|it| Command::new(&it.name, &it.url, format!("/webhooks/{}", it.id), "webhook"));
            commands.set(fixed().into_iter().chain(kept).chain(named).collect());
        });
    });
    let navigate = use_navigate();
    let run = move |href: &str| {
        open.set(false);
        if href.starts_with("/api/") {
            _ = window().location().set_href(href);
        } else {
            navigate(href, NavigateOptions::default());
        }
    };
    let keydown = {
        let run = run.clone();
        move |event: KeyboardEvent| {
            let count = found.read().len();
            match event.key().as_str() {
                "ArrowDown" if count > 0 => selected.update(|index| *index = (*index + 1) % count),
                "ArrowUp" if count > 0 => selected.update(|index| *index = (*index + count - 1) % count),
                "Enter" => {
                    let href = found.read().get(selected.get_untracked()).map(|command| command.href.clone());
                    if let Some(href) = href {
                        run(&href);
                    }
                }
                _ => return,
            }
            event.prevent_default();
        }
    };
    view! {
        <dialog class="dialog palette" node_ref=node on:close=move |_| told_closed(node, open) aria-label="Command palette">
            <div class="palette-input">
                {icon("search")}
                <input
                    node_ref=input
                    type="text"
                    role="combobox"
                    aria-label="Search pages and webhooks, or paste an id"
                    aria-expanded=move || (!found.read().is_empty()).to_string()
                    aria-controls="palette-list"
                    aria-activedescendant=move || (!found.read().is_empty()).then(|| format!("palette-{}", selected.get()))
                    placeholder="Search pages and webhooks, or paste an id"
                    autocomplete="off"
                    spellcheck="false"
                    on:input:target=move |event| {
                        query.set(event.target().value());
                        selected.set(0);
                    }
                    on:keydown=keydown
                />
                <kbd>"Esc"</kbd>
            </div>
            <div role="listbox" id="palette-list" class="palette-list" aria-label="Results">
                {move || {
                    found
                        .get()
                        .into_iter()
                        .enumerate()
                        .map(|(index, command)| {
                            let run = run.clone();
                            let href = command.href.clone();
                            view! {
                                <div
                                    role="option"
                                    id=format!("palette-{index}")
                                    class="palette-item"
                                    aria-selected=move || (selected.get() == index).to_string()
                                    on:mousemove=move |_| selected.set(index)
                                    on:click=move |_| run(&href)
                                >
                                    {icon(command.icon)}
                                    <span class="truncate">{command.title}</span>
                                    <span class="muted truncate">{command.detail}</span>
                                </div>
                            }
                        })
                        .collect_view()
                }}
            </div>
            <p class="palette-empty muted" hidden=move || !found.read().is_empty()>
                "Nothing found. Paste an id such as dlv_… to open it."
            </p>
        </dialog>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_by_words_and_by_id() {
        let titles = |query: &str| matching(&fixed(), query).into_iter().map(|it| it.title).collect::<Vec<_>>();
        assert_eq!(titles("new web"), ["New Webhook"]);
        assert_eq!(titles("zzz"), Vec::<String>::new());
        assert_eq!(titles(" dlv_01h455vb4pex5vsknk084sn02q"), ["Open delivery"]);
        assert!(titles("").len() > 5);
    }
}
