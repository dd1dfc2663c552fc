//! Settings, for admins: what holds and where it comes from; some can be changed while the server works.

use fastflow_shared::Setting;
use yew::prelude::*;

use crate::api;
use crate::hooks::{TabState, use_action, use_form_action, use_load, use_tab};
use crate::logic::outcome::Tone;
use crate::providers::toasts::use_toaster;
use crate::text::{Texts, use_text};
use crate::ui::badge::tag;
use crate::ui::button::{Button, Look};
use crate::ui::dialog::Dialog;
use crate::ui::field::{Field, typed};
use crate::ui::icon::{Icon, glyph};
use crate::ui::time::Ago;
use crate::ui::view::{FaultNotice, view};

/// The page.
#[component]
pub fn SettingsPage() -> Html {
    let t = use_text();
    use_tab(t.keep.settings.to_owned(), TabState::Plain);
    let settings = use_load((), |()| api::settings());
    let open = use_state(|| None::<Setting>);
    let toaster = use_toaster();
    let (reload, close, list) = (settings.reload.clone(), open.setter(), settings.load.data().cloned());
    let done = Callback::from(move |new: Setting| {
        let was = list.iter().flat_map(|list| list.iter()).find(|was| was.name == new.name && was.changed_at.is_some());
        let back = match was {
            Some(was) => api::change_setting(was.name.clone(), was.value.clone()),
            None => api::reset_setting(new.name.clone()),
        };
        close.set(None);
        toaster.good_undo(t, (t.keep.changed, new.name), back.coming(), &reload);
    });
    let reset = use_action(api::reset_setting, done.clone());
    let row = |setting: &Setting| {
        let (set, mine) = (open.setter(), setting.clone());
        let onedit = Callback::from(move |()| set.set(Some(mine.clone())));
        let name = setting.name.clone();
        let onreset = reset.go.reform(move |()| name.clone());
        html! {
            <tr key={setting.name.clone()} data-testid="setting" data-name={setting.name.clone()} data-origin={setting.origin.clone()}>
                <td><code class="key">{&setting.name}</code><p class="faint small">{&setting.what}</p></td>
                <td class="setting-value">{value(t, &setting.value)}{problem(setting)}</td>
                <td class="faint small">{origin(t, setting)}</td>
                <td class="right row-actions">
                    if setting.changeable {
                        if setting.changed_at.is_some() {
                            <Button text={t.keep.back} icon={Icon::Repeat} icon_only=true small=true look={Look::Ghost} testid="setting-reset" onclick={onreset} />
                        }
                        <Button text={t.keep.change} icon={Icon::Pencil} icon_only=true small=true look={Look::Ghost} testid="setting-change" onclick={onedit} />
                    }
                </td>
            </tr>
        }
    };
    let close = open.setter();
    html! {
        <div class="page">
            <header class="page-head"><div><h1>{t.keep.settings}</h1><p class="page-lead">{t.keep.settings_lead}</p></div></header>
            {view(&settings.load, 12, &settings.reload, |list| html! {
                {for list.chunk_by(|a, b| a.group == b.group).map(|group| html! {
                    <section key={group[0].group.clone()}>
                        <header class="list-head"><h2>{&group[0].group}</h2></header>
                        <div class="card card-flush table-scroll">
                            <table class="table stacked settings">
                                <thead class="sr"><tr>
                                    <th scope="col">{t.keep.name}</th><th scope="col">{t.keep.value}</th><th scope="col">{t.keep.origin}</th>
                                    <th scope="col">{t.common.actions}</th>
                                </tr></thead>
                                <tbody>{for group.iter().map(row)}</tbody>
                            </table>
                        </div>
                    </section>
                })}
            })}
            if let Some(setting) = &*open {
                <Change setting={setting.clone()} onclose={Callback::from(move |()| close.set(None))} ondone={done} />
            }
        </div>
    }
}

fn value(t: &Texts, value: &str) -> Html {
    if value.is_empty() {
        html! { <span class="faint">{t.keep.not_set}</span> }
    } else {
        html! { <code>{value}</code> }
    }
}

fn problem(setting: &Setting) -> Html {
    html! {
        if let Some(problem) = &setting.problem {
            <p class="field-wrong">{glyph(Icon::Alert)}{" "}{problem}</p>
        }
    }
}

fn origin(t: &'static Texts, setting: &Setting) -> Html {
    match (&setting.otherwise, setting.changed_at) {
        (Some(otherwise), Some(at)) => {
            let otherwise = if otherwise.is_empty() { t.keep.not_set } else { otherwise };
            let who = setting.changed_by.clone().unwrap_or_default();
            html! { <>{tag(t.keep.changed_here, Tone::Motion)}{" "}<Ago {at} />{" "}{t.keep.by(&who, otherwise)}</> }
        }
        _ => html! { {&setting.origin} },
    }
}

/// Props of [`Change`].
#[derive(Properties, PartialEq)]
struct ChangeProps {
    setting: Setting,
    onclose: Callback<()>,
    ondone: Callback<Setting>,
}

#[component]
fn Change(props: &ChangeProps) -> Html {
    let t = use_text();
    let setting = &props.setting;
    let text = use_state_eq(|| setting.value.clone());
    let action = use_form_action(|(name, value)| api::change_setting(name, value), props.ondone.clone());
    let onsubmit = {
        let (go, name, text) = (action.go.clone(), setting.name.clone(), (*text).clone());
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            go.emit((name.clone(), text.clone()));
        })
    };
    let wrong = action.fault.as_ref().and_then(|fault| fault.errors.first()).map(|error| error.message.clone());
    let hint = format!("{} {}", t.keep.allowed(&setting.allowed), t.keep.default_hint);
    let set = text.setter();
    html! {
        <Dialog title={setting.name.clone()} onclose={props.onclose.clone()} testid="setting-form">
            <form {onsubmit} class="stack">
                <p class="faint">{&setting.what}</p>
                <Field id="setting-value" label={t.keep.value} {hint} wrong={wrong.clone().map(AttrValue::from)}>
                    <input id="setting-value" class="input mono" autocomplete="off" spellcheck="false" autofocus=true placeholder={setting.default.clone()}
                        value={(*text).clone()} oninput={move |e: InputEvent| set.set(typed(&e))} data-testid="setting-value" />
                </Field>
                if let Some(fault) = action.fault.as_ref().filter(|_| wrong.is_none()) {
                    <FaultNotice fault={fault.clone()} />
                }
                <footer class="dialog-foot">
                    <Button text={t.common.save} look={Look::Primary} submit=true busy={action.busy} testid="setting-save" />
                </footer>
            </form>
        </Dialog>
    }
}
