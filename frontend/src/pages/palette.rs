//! What opens over any page by key: the command palette and the help sheet.

use std::rc::Rc;

use fastflow_shared::Role;
use gloo_timers::callback::Timeout;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use yew::prelude::*;

use crate::api;
use crate::browser;
use crate::hooks::{use_action, use_load};
use crate::logic::format::short_id;
use crate::logic::fuzzy::score;
use crate::logic::outcome::Outcome;
use crate::logic::query::RunFilter;
use crate::providers::session::use_session;
use crate::providers::settings::{Settings, use_settings};
use crate::providers::toasts::use_toaster;
use crate::route::Route;
use crate::router::use_navigator;
use crate::text::{Language, use_text};
use crate::ui::dialog::Dialog;
use crate::ui::field::typed;
use crate::ui::icon::{Icon, glyph};

use super::start::use_start;

/// Most commands that are shown.
const SHOWN: usize = 60;

/// What is open over the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlay {
    /// The command palette.
    Palette,
    /// The help sheet.
    Help,
}

/// Props of [`Overlays`].
#[derive(Properties, PartialEq)]
pub struct OverlaysProps {
    /// What is open.
    pub open: Option<Overlay>,
    /// Told what is to be open.
    pub onchange: Callback<Option<Overlay>>,
}

/// Listens for keys and draws what they open.
#[component]
pub fn Overlays(props: &OverlaysProps) -> Html {
    let navigator = use_navigator();
    let change = props.onchange.clone();
    use_effect_with((), move |()| {
        let waiting = Rc::new(std::cell::RefCell::new(None::<Timeout>));
        let listener = Closure::<dyn FnMut(KeyboardEvent)>::new(move |event: KeyboardEvent| {
            let key = event.key();
            if (event.ctrl_key() || event.meta_key()) && key.eq_ignore_ascii_case("k") {
                event.prevent_default();
                change.emit(Some(Overlay::Palette));
                return;
            }
            if event.ctrl_key() || event.meta_key() || event.alt_key() || busy(&event) {
                return;
            }
            let after_g = waiting.borrow_mut().take().is_some();
            let go = |route: &Route| navigator.as_ref().map_or((), |navigator| navigator.push(route));
            match (after_g, key.as_str()) {
                (true, "d") => go(&Route::Dashboard),
                (true, "r") => go(&Route::Runs),
                (true, "s") => go(&Route::Jobs),
                (true, "v") => go(&Route::Vault),
                (true, "y") => go(&Route::System),
                (false, "g") => {
                    let slot = waiting.clone();
                    let forget = Timeout::new(1_200, move || drop(slot.borrow_mut().take()));
                    *waiting.borrow_mut() = Some(forget);
                }
                (_, "?") => change.emit(Some(Overlay::Help)),
                (_, "/") if browser::focus("filter") || browser::focus("log-search") => event.prevent_default(),
                _ => {}
            }
        });
        let document = browser::document();
        let callback = listener.as_ref().unchecked_ref::<js_sys::Function>().clone();
        if let Some(document) = &document {
            let _ = document.add_event_listener_with_callback("keydown", &callback);
        }
        move || {
            if let Some(document) = document {
                let _ = document.remove_event_listener_with_callback("keydown", &callback);
            }
            drop(listener);
        }
    });
    let onclose = props.onchange.reform(|()| None);
    match props.open {
        None => html! {},
        Some(Overlay::Palette) => {
            html! { <Palette {onclose} onhelp={props.onchange.reform(|()| Some(Overlay::Help))} /> }
        }
        Some(Overlay::Help) => html! { <Help {onclose} /> },
    }
}

/// Whether somebody types, or a dialog is open: then plain keys are not ours.
fn busy(event: &KeyboardEvent) -> bool {
    let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    target.is_some_and(|target| {
        matches!(target.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT")
            || target.closest("dialog").ok().flatten().is_some()
    })
}

/// Something that the palette can do.
#[derive(Clone)]
struct Command {
    group: &'static str,
    title: String,
    icon: Icon,
    act: Callback<()>,
}

/// Props of [`Palette`].
#[derive(Properties, PartialEq)]
struct PaletteProps {
    onclose: Callback<()>,
    onhelp: Callback<()>,
}

#[component]
fn Palette(props: &PaletteProps) -> Html {
    let t = use_text();
    let navigator = use_navigator();
    let settings = use_settings();
    let toaster = use_toaster();
    let start = use_start();
    let synced = Callback::from(move |_| toaster.good(t.dash.synced));
    let sync = use_action(|()| api::sync(), synced);
    let pipelines = use_load((), |()| api::plain_pipelines());
    let runs = use_load((), |()| api::runs(RunFilter::default(), None, api::PAGE));
    let typed_text = use_state_eq(String::new);
    let at = use_state_eq(|| 0_usize);
    let entered = use_state_eq(|| false);
    use_effect_with((), |()| {
        browser::focus("palette-input");
    });

    let go = |route: Route| {
        let navigator = navigator.clone();
        Callback::from(move |()| {
            navigator.as_ref().inspect(|navigator| navigator.push(&route));
        })
    };
    let role = use_session().user().map_or(Role::Viewer, |user| user.role);
    // What the navigation has no room for.
    let more = [
        (t.code.title, Icon::Refresh, Route::Sync, Role::Viewer),
        (t.keep.storage, Icon::Package, Route::Storage, Role::Viewer),
        (t.keep.settings, Icon::Pencil, Route::Settings, Role::Admin),
        (t.people.account, Icon::User, Route::Account, Role::Viewer),
    ];
    let mut commands: Vec<Command> = super::shell::pages(t)
        .into_iter()
        .chain(more)
        .filter(|(.., needs)| role >= *needs)
        .map(|(title, icon, to, _)| Command { group: t.palette.pages, title: title.to_owned(), icon, act: go(to) })
        .collect();
    for pipeline in pipelines.load.data().into_iter().flat_map(|list| list.iter()) {
        let (name, run) = (pipeline.name.clone(), start.go.clone());
        commands.push(Command {
            group: t.palette.pipelines,
            title: name.clone(),
            icon: Icon::Package,
            act: go(Route::Pipeline { name: name.clone() }),
        });
        if pipeline.enabled && pipeline.valid && role >= Role::Operator {
            let title = format!("{} {name}", t.palette.run_pipeline);
            let act = Callback::from(move |()| run.emit(name.clone()));
            commands.push(Command { group: t.palette.actions, title, icon: Icon::Play, act });
        }
    }
    for run in runs.load.data().into_iter().flat_map(|page| page.items.iter()) {
        let title = format!("{} {} {}", run.pipeline_name, short_id(&run.id), t.outcome(Outcome::of(run)));
        let act = go(Route::Run { id: run.id.clone() });
        commands.push(Command { group: t.runs.title, title, icon: Icon::List, act });
    }
    let theme = Settings { theme: settings.now.theme.next(), ..settings.now };
    let other = if settings.now.language == Language::English { Language::German } else { Language::English };
    let language = Settings { language: other, ..settings.now };
    let (set_theme, set_language) = (settings.set.clone(), settings.set);
    let sync = (t.palette.sync_now, Icon::Refresh, sync.go.clone());
    let actions: [(&str, Icon, Callback<()>); 3] = [
        (t.palette.toggle_theme, Icon::Moon, Callback::from(move |()| set_theme.emit(theme))),
        (t.palette.toggle_language, Icon::Book, Callback::from(move |()| set_language.emit(language))),
        (t.palette.show_help, Icon::Keyboard, props.onhelp.clone()),
    ];
    let sync = (role >= Role::Operator).then_some(sync);
    commands.extend(sync.into_iter().chain(actions).map(|(title, icon, act)| Command {
        group: t.palette.actions,
        title: title.to_owned(),
        icon,
        act,
    }));
    // The best few, best first; those that fit as well stay in their order.
    let mut fitting: Vec<(i32, Command)> = Vec::new();
    for command in commands {
        let Some(score) = score(&typed_text, &command.title) else { continue };
        let better = |(other, _): &(i32, Command)| typed_text.is_empty() || *other >= score;
        fitting.insert(fitting.partition_point(better), (score, command));
        fitting.truncate(SHOWN);
    }
    let fitting: Rc<Vec<Command>> = Rc::new(fitting.into_iter().map(|(_, command)| command).collect());
    let chosen = (*at).min(fitting.len().saturating_sub(1));

    let act = {
        let (fitting, close) = (fitting.clone(), props.onclose.clone());
        Callback::from(move |index: usize| {
            if let Some(command) = fitting.get(index) {
                // Close first: the command may open something else.
                close.emit(());
                command.act.emit(());
            }
        })
    };
    let onkeydown = {
        let (entered, at, len) = (entered.setter(), at.setter(), fitting.len().max(1));
        Callback::from(move |event: KeyboardEvent| {
            match event.key().as_str() {
                "ArrowDown" => at.set((chosen + 1) % len),
                "ArrowUp" => at.set((chosen + len - 1) % len),
                "Enter" => entered.set(true),
                _ => return,
            }
            event.prevent_default();
        })
    };
    // Done once the list of all that was typed is drawn: who types quickly is ahead of what is shown.
    {
        let (act, setter) = (act.clone(), entered.setter());
        use_effect_with(*entered, move |entered| {
            if *entered {
                setter.set(false);
                act.emit(chosen);
            }
        });
    }
    use_effect_with(chosen, |chosen| {
        let row = browser::document().and_then(|document| document.get_element_by_id(&format!("command-{chosen}")));
        let options = web_sys::ScrollIntoViewOptions::new();
        options.set_block(web_sys::ScrollLogicalPosition::Nearest);
        row.inspect(|row| row.scroll_into_view_with_scroll_into_view_options(&options));
    });
    let (set_text, set_at) = (typed_text.setter(), at.setter());
    let oninput = Callback::from(move |event: InputEvent| {
        set_text.set(typed(&event));
        set_at.set(0);
    });
    let mut group = "";
    html! {
        <Dialog title={t.palette.title} bare=true class="palette" onclose={props.onclose.clone()} testid="palette">
            <div class="palette-field">
                {glyph(Icon::Search)}
                <input id="palette-input" class="bare" role="combobox" aria-expanded="true" aria-controls="commands" aria-label={t.palette.placeholder}
                    aria-activedescendant={format!("command-{chosen}")} placeholder={t.palette.placeholder} value={(*typed_text).clone()}
                    {oninput} {onkeydown} autocomplete="off" spellcheck="false" data-testid="palette-input" />
            </div>
            <ul id="commands" class="palette-list" role="listbox" aria-label={t.palette.title}>
                if fitting.is_empty() {
                    <li class="palette-none">{t.palette.empty}</li>
                }
                {for fitting.iter().enumerate().map(|(index, command)| {
                    let head = (typed_text.is_empty() && group != command.group).then_some(command.group);
                    group = command.group;
                    let act = act.clone();
                    html! {
                        <>
                            if let Some(head) = head {
                                <li class="palette-group" role="presentation">{head}</li>
                            }
                            <li id={format!("command-{index}")} role="option" class="palette-item" aria-selected={if index == chosen { "true" } else { "false" }}
                                onclick={Callback::from(move |_: MouseEvent| act.emit(index))}>
                                {glyph(command.icon)}<span>{&command.title}</span>
                                if !typed_text.is_empty() {
                                    <em>{command.group}</em>
                                }
                            </li>
                        </>
                    }
                })}
            </ul>
            <p class="palette-hint">{t.palette.hint}</p>
        </Dialog>
    }
}

/// Props of [`Help`].
#[derive(Properties, PartialEq)]
struct HelpProps {
    onclose: Callback<()>,
}

#[component]
fn Help(props: &HelpProps) -> Html {
    let t = use_text();
    let p = &t.palette;
    type Keys = &'static [&'static str];
    let everywhere: [(Keys, &str); 9] = [
        (&["Ctrl", "K"], p.help_palette),
        (&["?"], p.help_help),
        (&["/"], p.help_search),
        (&["Esc"], p.help_close),
        (&["g", "d"], p.help_dashboard),
        (&["g", "r"], p.help_runs),
        (&["g", "s"], p.help_schedules),
        (&["g", "v"], p.help_vault),
        (&["g", "y"], p.help_system),
    ];
    let log: [(Keys, &str); 4] = [
        (&["n", "N"], p.help_log_search),
        (&["f"], p.help_log_follow),
        (&["w"], p.help_log_wrap),
        (&["t"], p.help_log_stamps),
    ];
    let list = |keys: &[(Keys, &'static str)]| {
        html! {
            <dl class="keys">
                {for keys.iter().map(|(keys, text)| html! {
                    <div><dt>{for keys.iter().map(|key| html! { <kbd>{*key}</kbd> })}</dt><dd>{*text}</dd></div>
                })}
            </dl>
        }
    };
    html! {
        <Dialog title={p.help_title} onclose={props.onclose.clone()} testid="help">
            <h3>{p.help_general}</h3>
            {list(&everywhere)}
            <h3>{p.help_log}</h3>
            {list(&log)}
        </Dialog>
    }
}
