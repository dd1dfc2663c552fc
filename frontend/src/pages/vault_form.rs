//! The form for a secret or a parameter.

use fastflow_shared::{NewVaultEntry, VaultChange, VaultEntry};
use yew::prelude::*;

use crate::api;
use crate::hooks::use_form_action;
use crate::providers::toasts::use_toaster;
use crate::text::use_text;
use crate::ui::button::{Button, Look};
use crate::ui::dialog::Dialog;
use crate::ui::field::{Field, typed};

use super::start::good_name;

/// Props of [`VaultForm`].
#[derive(Properties, PartialEq)]
pub struct VaultFormProps {
    /// What is changed; nothing for a new one.
    pub entry: Option<VaultEntry>,
    /// Told when it is over.
    pub onclose: Callback<()>,
    /// Told when it was saved.
    pub onsaved: Callback<()>,
}

fn save((entry, change): (NewVaultEntry, bool)) -> api::Ask<VaultEntry> {
    if change {
        // An empty secret is one that was not typed: the stored one stays.
        let value = Some(entry.value).filter(|value| !entry.is_secret || !value.is_empty());
        let new = VaultChange { value, is_secret: Some(entry.is_secret), pipelines: Some(entry.pipelines) };
        return api::change_entry(entry.key, new);
    }
    api::add_entry(entry)
}

/// The form.
#[component]
pub fn VaultForm(props: &VaultFormProps) -> Html {
    let t = use_text();
    let toaster = use_toaster();
    let old = props.entry.clone();
    let key = use_state_eq(|| old.as_ref().map(|entry| entry.key.clone()).unwrap_or_default());
    let value = use_state_eq(|| old.as_ref().and_then(|entry| entry.value.clone()).unwrap_or_default());
    let secret = use_state_eq(|| old.as_ref().is_none_or(|entry| entry.is_secret));
    let pipelines = use_state_eq(|| old.as_ref().map(|entry| entry.pipelines.join(", ")).unwrap_or_default());
    let (close, saved) = (props.onclose.clone(), props.onsaved.clone());
    let done = Callback::from(move |entry: VaultEntry| {
        toaster.good_with(entry.key, entry.warning.unwrap_or_else(|| t.vault.saved.to_owned()), None);
        saved.emit(());
        close.emit(());
    });
    let action = use_form_action(save, done);
    let change = props.entry.is_some();
    let bad = !key.is_empty() && !good_name(&key);
    // An empty value is one as well, but not for a secret: that is a slip.
    let was_secret = props.entry.as_ref().is_some_and(|entry| entry.is_secret);
    let complete = good_name(&key) && (!value.is_empty() || was_secret || !*secret);
    let onsubmit = {
        let (go, key, value, is_secret) = (action.go.clone(), (*key).clone(), (*value).clone(), *secret);
        let names = pipelines.split(',').map(str::trim).filter(|name| !name.is_empty());
        let pipelines: Vec<String> = names.map(str::to_owned).collect();
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            if complete {
                let (key, value, pipelines) = (key.clone(), value.clone(), pipelines.clone());
                go.emit((NewVaultEntry { key, value, is_secret, pipelines }, change));
            }
        })
    };
    let (set_key, set_value, set_pipelines) = (key.setter(), value.setter(), pipelines.setter());
    let kind = |on: bool, text: &'static str, hint: &'static str, testid: &'static str| {
        let (set, checked) = (secret.setter(), *secret == on);
        html! {
            <label class="option">
                <input type="radio" name="kind" {checked} data-testid={testid} onchange={Callback::from(move |_: Event| set.set(on))} />
                <span><strong>{text}</strong><br /><span class="field-hint">{hint}</span></span>
            </label>
        }
    };
    let title = props.entry.as_ref().map_or_else(|| t.vault.new.to_owned(), |entry| t.vault.edit_title(&entry.key));
    let server = action.fault.as_ref().map(|fault| {
        let field = fault.errors.first().map(|error| error.message.clone());
        AttrValue::from(field.unwrap_or_else(|| t.fault_advice(fault)))
    });
    html! {
        <Dialog {title} onclose={props.onclose.clone()} testid="vault-form">
            <form {onsubmit} class="stack">
                if !change {
                    <Field id="vault-key" label={t.vault.key} hint={t.vault.key_hint} wrong={bad.then_some(AttrValue::Static(t.vault.bad_key))}>
                        <input id="vault-key" class="input mono" value={(*key).clone()} autocomplete="off" spellcheck="false" autofocus=true
                            aria-invalid={bad.then_some("true")} oninput={move |event: InputEvent| set_key.set(typed(&event).trim().to_owned())} data-testid="vault-key" />
                    </Field>
                }
                <Field id="vault-value" label={t.vault.value} wrong={server} hint={if was_secret { t.vault.replace_hint } else { t.vault.value_hint }}>
                    <textarea id="vault-value" class="input mono" rows="4" value={(*value).clone()} autocomplete="off" spellcheck="false"
                        oninput={move |event: InputEvent| set_value.set(typed(&event))} data-testid="vault-value" />
                </Field>
                <Field id="vault-pipelines" label={t.vault.pipelines} hint={t.vault.pipelines_hint}>
                    <input id="vault-pipelines" class="input" value={(*pipelines).clone()} autocomplete="off" spellcheck="false"
                        oninput={move |event: InputEvent| set_pipelines.set(typed(&event))} data-testid="vault-pipelines" />
                </Field>
                <fieldset class="options">
                    <legend class="sr">{t.vault.kind}</legend>
                    {kind(true, t.vault.secret, t.vault.secret_hint, "vault-secret")}
                    {kind(false, t.vault.parameter, t.vault.parameter_hint, "vault-parameter")}
                </fieldset>
                <footer class="dialog-foot">
                    <Button text={t.common.cancel} onclick={props.onclose.clone()} />
                    <Button text={t.common.save} look={Look::Primary} submit=true busy={action.busy} disabled={!complete} testid="vault-save" />
                </footer>
            </form>
        </Dialog>
    }
}
