//! Starting a pipeline: at once, or with values from a small form.

use std::collections::BTreeMap;

use fastflow_shared::{ParameterKind, PipelineParameter, Run, StartRun};
use yew::prelude::*;

use crate::api;
use crate::hooks::{Action, use_action, use_form_action};
use crate::logic::format::plain;
use crate::providers::dialogs::StartForm;
use crate::providers::toasts::use_toaster;
use crate::route::Route;
use crate::router::use_navigator;
use crate::text::use_text;
use crate::ui::button::{Button, Look};
use crate::ui::dialog::Dialog;
use crate::ui::field::{Field, chosen, typed};
use crate::ui::icon::{Icon, glyph};
use crate::ui::view::FaultNotice;

/// Starts a pipeline at once; the message leads to its run.
#[hook]
pub fn use_start() -> Action<String> {
    let t = use_text();
    let toaster = use_toaster();
    let done = Callback::from(move |run: Run| {
        let detail = t.dash.started_name(&run.pipeline_name);
        toaster.good_with(t.dash.started, detail, Some(Route::Run { id: run.id }));
    });
    use_action(|name| api::start_run(name, StartRun::default()), done)
}

/// A row of the form.
#[derive(Debug, Clone, Default, PartialEq)]
struct Row {
    key: String,
    value: String,
    secret: bool,
}

/// Whether a name can be an environment variable.
#[must_use]
pub fn good_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn wrong(rows: &[Row], index: usize) -> (bool, bool) {
    let key = rows[index].key.trim();
    let used = !key.is_empty() || !rows[index].value.is_empty();
    let double = !key.is_empty() && rows.iter().enumerate().any(|(i, row)| i < index && row.key.trim() == key);
    (used && !good_name(key), double)
}

fn collect(rows: &[Row]) -> StartRun {
    let pick = |secret: bool| -> BTreeMap<String, String> {
        let rows = rows.iter().filter(|row| row.secret == secret && !row.key.trim().is_empty());
        // One by one: `collect` would bring a sort with it.
        let mut out = BTreeMap::new();
        rows.for_each(|row| drop(out.insert(row.key.trim().to_owned(), row.value.clone())));
        out
    };
    StartRun { parameters: pick(false), env_vars: pick(true) }
}

/// What takes the value of a parameter. The browser checks what it can; the server checks all.
fn control(parameter: &PipelineParameter, value: &str, onvalue: &Callback<String>) -> Html {
    let PipelineParameter { name, kind, required, min, max, .. } = parameter.clone();
    let options = match kind {
        ParameterKind::Boolean => vec!["true".to_owned(), "false".to_owned()],
        _ => parameter.choices.clone(),
    };
    if !options.is_empty() {
        let none = parameter.default.is_none().then(String::new);
        return html! {
            <select id={name} class="select" {required} onchange={onvalue.reform(|event: Event| chosen(&event))} data-testid="start-parameter">
                {for none.into_iter().chain(options).map(|option| html! {
                    <option value={option.clone()} selected={option == value}>{option}</option>
                })}
            </select>
        };
    }
    let kind = if matches!(kind, ParameterKind::Integer | ParameterKind::Number) { "number" } else { "text" };
    let limit = |limit: Option<f64>| limit.map(plain);
    html! {
        <input id={name} class="input mono" type={kind} step={(parameter.kind == ParameterKind::Number).then_some("any")} {required}
            min={limit(min)} max={limit(max)} value={value.to_owned()} autocomplete="off" spellcheck="false"
            oninput={onvalue.reform(|event: InputEvent| typed(&event))} data-testid="start-parameter" />
    }
}

/// Props of [`StartDialog`].
#[derive(Properties, PartialEq)]
pub struct StartDialogProps {
    /// What to start.
    pub form: StartForm,
    /// Told when it is over.
    pub onclose: Callback<()>,
}

/// The form.
#[component]
pub fn StartDialog(props: &StartDialogProps) -> Html {
    let t = use_text();
    let navigator = use_navigator();
    let defined = !props.form.parameters.is_empty();
    // In the order of the form: that of the repository's list, else by name.
    let begin: Vec<(String, String)> = if defined {
        let default =
            |parameter: &PipelineParameter| (parameter.name.clone(), parameter.default.clone().unwrap_or_default());
        props.form.parameters.iter().map(default).collect()
    } else {
        props.form.defaults.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let defaults = begin.clone();
    let rows = use_state(move || {
        let mut rows: Vec<Row> = begin.into_iter().map(|(key, value)| Row { key, value, secret: false }).collect();
        if rows.is_empty() {
            rows.push(Row::default());
        }
        rows
    });
    let close = props.onclose.clone();
    let action = use_form_action(
        |(name, start)| api::start_run(name, start),
        Callback::from(move |run: Run| {
            close.emit(());
            navigator.as_ref().inspect(|navigator| navigator.push(&Route::Run { id: run.id }));
        }),
    );
    let broken = (0..rows.len()).any(|index| wrong(&rows, index) != (false, false));
    let onsubmit = {
        let (go, name, rows, defaults) = (action.go.clone(), props.form.name.clone(), rows.clone(), defaults);
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            if !broken {
                let mut start = collect(&rows.clone());
                // What the repository says anyway needs no saying: the run then shows only what differs.
                for (key, value) in &defaults {
                    if start.parameters.get(key) == Some(value) {
                        start.parameters.remove(key);
                    }
                }
                go.emit((name.clone(), start));
            }
        })
    };
    let edit = {
        let rows = rows.clone();
        Callback::from(move |(index, change): (usize, Callback<Row, Row>)| {
            let mut next = (*rows.clone()).clone();
            if let Some(row) = next.get_mut(index) {
                *row = change.emit(row.clone());
            }
            rows.set(next);
        })
    };
    let add = {
        let rows = rows.clone();
        Callback::from(move |()| {
            let mut next = (*rows.clone()).clone();
            next.push(Row::default());
            rows.set(next);
        })
    };
    html! {
        <Dialog title={t.start.title(&props.form.name)} onclose={props.onclose.clone()} testid="start-dialog" class="dialog-wide">
            <form {onsubmit}>
                if defined {
                    <div class="stack">
                        {for props.form.parameters.iter().zip(rows.iter()).enumerate().map(|(index, (parameter, row))| {
                            let pointer = format!("/parameters/{}", parameter.name);
                            let wrong = action.fault.as_ref().and_then(|fault| {
                                fault.errors.iter().find(|error| error.field == pointer).map(|error| AttrValue::from(error.message.clone()))
                            });
                            let change = edit.clone();
                            let onvalue = Callback::from(move |value: String| {
                                change.emit((index, Callback::from(move |row: Row| Row { value: value.clone(), ..row })));
                            });
                            html! {
                                <Field id={parameter.name.clone()} label={parameter.name.clone()} hint={parameter.description.clone().map(AttrValue::from)} {wrong}>
                                    {control(parameter, &row.value, &onvalue)}
                                </Field>
                            }
                        })}
                    </div>
                } else {
                <p class="dialog-lead">{t.start.lead}</p>
                <div class="pairs">
                    {for rows.iter().enumerate().map(|(index, row)| {
                        let (bad, double) = wrong(&rows, index);
                        let change = edit.clone();
                        let on_key = Callback::from(move |event: InputEvent| {
                            let key = typed(&event);
                            change.emit((index, Callback::from(move |row: Row| Row { key: key.clone(), ..row })));
                        });
                        let change = edit.clone();
                        let on_value = Callback::from(move |event: InputEvent| {
                            let value = typed(&event);
                            change.emit((index, Callback::from(move |row: Row| Row { value: value.clone(), ..row })));
                        });
                        let change = edit.clone();
                        let on_secret = Callback::from(move |()| {
                            change.emit((index, Callback::from(|row: Row| Row { secret: !row.secret, ..row })));
                        });
                        let (list, secret) = (rows.clone(), row.secret);
                        let on_remove = Callback::from(move |()| {
                            let mut next = (*list.clone()).clone();
                            next.remove(index);
                            list.set(next);
                        });
                        html! {
                            <div class="pair" key={index}>
                                <input class="input mono" placeholder={t.start.key} aria-label={t.start.key} value={row.key.clone()} oninput={on_key}
                                    aria-invalid={(bad || double).then_some("true")} autocomplete="off" spellcheck="false" data-testid="start-key" />
                                <input class="input mono" placeholder={t.start.value} aria-label={t.start.value} value={row.value.clone()} oninput={on_value}
                                    type={if secret { "password" } else { "text" }} autocomplete="off" spellcheck="false" data-testid="start-value" />
                                <Button text={t.start.secret_values} title={if secret { t.start.secret_hint } else { t.start.parameters_hint }}
                                    icon={Icon::Lock} icon_only=true look={Look::Ghost} pressed={secret} onclick={on_secret} />
                                <Button text={t.start.remove_row} icon={Icon::Close} icon_only=true look={Look::Ghost} onclick={on_remove} />
                                if bad || double {
                                    <p class="field-wrong" role="alert">{if bad { t.start.bad_key } else { t.start.double_key }}</p>
                                }
                            </div>
                        }
                    })}
                </div>
                <Button text={t.start.add_row} icon={Icon::Plus} look={Look::Ghost} small=true onclick={add} />
                <p class="field-hint pair-hint">{glyph(Icon::Lock)}{t.start.secret_values}{": "}{t.start.secret_hint}</p>
                }
                if let Some(fault) = &action.fault {
                    <FaultNotice fault={fault.clone()} />
                }
                <footer class="dialog-foot">
                    <Button text={t.common.cancel} onclick={props.onclose.clone()} />
                    <Button text={t.start.submit} icon={Icon::Play} look={Look::Primary} submit=true busy={action.busy} disabled={broken} testid="start-submit" />
                </footer>
            </form>
        </Dialog>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, value: &str, secret: bool) -> Row {
        Row { key: key.into(), value: value.into(), secret }
    }

    #[test]
    fn rows_are_checked_and_sorted_by_kind() {
        let rows =
            [row("A", "1", false), row("B", "2", true), row("", "", false), row("A", "3", false), row("9", "", false)];
        assert_eq!(wrong(&rows, 0), (false, false));
        assert_eq!(wrong(&rows, 2), (false, false));
        assert_eq!(wrong(&rows, 3), (false, true));
        assert_eq!(wrong(&rows, 4), (true, false));
        let start = collect(&rows[..3]);
        assert_eq!((start.parameters.len(), start.env_vars.len()), (1, 1));
    }
}
