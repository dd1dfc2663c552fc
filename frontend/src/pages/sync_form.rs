//! The form for where the code comes from. Made from a list of fields; what is right or wrong is the server's to say.

use yew::prelude::*;

use crate::api;
use crate::hooks::{use_form_action, use_load};
use crate::logic::plain::{Plain, Plains};
use crate::providers::toasts::use_toaster;
use crate::text::{Texts, use_text};
use crate::ui::button::{Button, Look};
use crate::ui::dialog::Dialog;
use crate::ui::field::{Choice, Field, typed};
use crate::ui::icon::{Icon, glyph};
use crate::ui::view::view;

/// Name, label, hint, the credential that needs it (empty for all), and the type of its input (empty for several lines).
type Item = (&'static str, &'static str, &'static str, &'static str, &'static str);

fn items(t: &'static Texts) -> [Item; 14] {
    let c = &t.code;
    [
        ("repository_url", c.repository, c.url_hint, "", "text"),
        ("branch", t.system.branch, "", "", "text"),
        ("subdir", c.subdir, c.subdir_hint, "", "text"),
        ("auto_sync_seconds", c.interval, c.interval_hint, "", "number"),
        ("webhook_secret", c.webhook, c.webhook_hint, "", "password"),
        ("auth", c.auth, "", "", "choice"),
        ("username", c.username, "", "token", "text"),
        ("token", c.auth_token, "", "token", "password"),
        ("ssh_key", c.ssh_key, "", "ssh_key", ""),
        ("ssh_known_hosts", c.known_hosts, "ssh-keyscan HOST", "ssh_key", ""),
        ("github_app_id", c.app_id, "", "github_app", "text"),
        ("github_installation_id", c.installation, "", "github_app", "text"),
        ("github_api_url", c.api_url, "", "github_app", "text"),
        ("github_private_key", c.app_key, "", "github_app", ""),
    ]
}

/// Props of [`SyncForm`].
#[derive(Properties, PartialEq)]
pub struct SyncFormProps {
    /// Told when it is over.
    pub onclose: Callback<()>,
}

/// The form, in a dialog.
#[component]
pub fn SyncForm(props: &SyncFormProps) -> Html {
    let t = use_text();
    let settings = use_load((), |()| api::sync_settings());
    html! {
        <Dialog title={t.code.settings} onclose={props.onclose.clone()} testid="sync-form">
            {view(&settings.load, 6, &settings.reload, |found| html! {
                <Fields found={(**found).clone()} onclose={props.onclose.clone()} />
            })}
        </Dialog>
    }
}

/// Props of [`Fields`].
#[derive(Properties, PartialEq)]
struct FieldsProps {
    found: Plains,
    onclose: Callback<()>,
}

#[component]
fn Fields(props: &FieldsProps) -> Html {
    let t = use_text();
    let toaster = use_toaster();
    let now = use_state(|| props.found.clone());
    let tested = use_state(|| None::<(bool, String)>);
    let (close, told) = (props.onclose.clone(), tested.setter());
    let done = Callback::from(move |answer: Plains| {
        // Only a test answers with a message.
        match answer.get("message").and_then(Plain::text) {
            Some(message) => told.set(Some((answer.get("ok") == Some(&Plain::Flag(true)), message.to_owned()))),
            None => {
                toaster.good(t.code.saved);
                close.emit(());
            }
        }
    });
    let action = use_form_action(api::sync_change, done);
    let order = |save: bool| {
        let (go, now, tested) = (action.go.clone(), (*now).clone(), tested.setter());
        Callback::from(move |()| {
            tested.set(None);
            go.emit((now.clone(), save));
        })
    };
    let onsubmit = order(true).reform(|event: SubmitEvent| event.prevent_default());
    let auth = now.get("auth").and_then(Plain::text).unwrap_or_default().to_owned();
    let errors = action.fault.as_ref().map(|fault| fault.errors.as_slice()).unwrap_or_default();
    let general =
        action.fault.as_ref().filter(|fault| fault.errors.is_empty()).map(|fault| (false, t.fault_advice(fault)));
    let options = [
        ("none", t.code.auth_none),
        ("token", t.code.auth_token),
        ("github_app", t.code.auth_app),
        ("ssh_key", t.code.auth_ssh),
    ];
    let options: Vec<(AttrValue, AttrValue)> =
        options.into_iter().map(|(value, text)| (value.into(), text.into())).collect();
    let field = |(name, label, hint, _, look): Item| {
        let id = format!("sync-{name}");
        let stored = now.get(&format!("{name}_set")) == Some(&Plain::Flag(true));
        let wrong = errors.iter().find(|error| error.field == name).map(|error| AttrValue::from(error.message.clone()));
        let value = match now.get(name) {
            Some(Plain::Text(text)) => text.clone(),
            Some(Plain::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let (before, setter) = ((*now).clone(), now.setter());
        let set = Callback::from(move |text: String| {
            let mut next = before.clone();
            // An empty field is not sent: a credential stays as it is, and everything else has a default.
            if text.is_empty() {
                next.remove(name);
            } else if look == "number" {
                next.insert(name.to_owned(), Plain::Number(text.parse().unwrap_or(-1)));
            } else {
                next.insert(name.to_owned(), Plain::Text(text));
            }
            setter.set(next);
        });
        let oninput = set.reform(|event: InputEvent| typed(&event));
        html! {
            <Field key={name} id={id.clone()} {label} hint={if stored { t.code.stored } else { hint }} {wrong}>
                if look == "choice" {
                    <Choice {label} options={options.clone()} {value} onchange={set} testid="sync-auth" />
                } else if look.is_empty() {
                    <textarea {id} class="input mono" rows="3" {value} {oninput} autocomplete="off" spellcheck="false" />
                } else {
                    <input {id} class="input" type={look} {value} {oninput} autocomplete="off" spellcheck="false" />
                }
            </Field>
        }
    };
    html! {
        <form {onsubmit} class="stack">
            {for items(t).into_iter().filter(|item| item.3.is_empty() || item.3 == auth).map(field)}
            if let Some((good, text)) = (*tested).clone().or(general) {
                <div class={classes!("notice", if good { "tone-good" } else { "tone-bad" })} role="alert" data-testid="sync-tested">
                    {glyph(if good { Icon::Check } else { Icon::Alert })}<span>{text}</span>
                </div>
            }
            <footer class="dialog-foot">
                <Button text={t.code.test} onclick={order(false)} busy={action.busy} testid="sync-test" />
                <Button text={t.common.save} look={Look::Primary} submit=true busy={action.busy} testid="sync-save" />
            </footer>
        </form>
    }
}
