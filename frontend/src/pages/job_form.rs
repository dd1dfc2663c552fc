//! The editor of a schedule. What it means (words, next times, changes of the clock, mistakes) the server says while one
//! types.

use std::collections::BTreeMap;
use std::rc::Rc;

use chrono::{DateTime, Utc};
use fastflow_shared::{CatchUpPolicy, Job, JobDraft, JobOverrides, OverlapPolicy, TriggerDraft, TriggerType};
use yew::prelude::*;

use crate::api;
use crate::browser;
use crate::hooks::{use_form_action, use_load};
use crate::logic::format;
use crate::logic::load::Load;
use crate::logic::time;
use crate::text::use_text;
use crate::ui::button::{Button, Look};
use crate::ui::dialog::Dialog;
use crate::ui::field::{Field, chosen, entered, typed};

/// Props of [`JobForm`].
#[derive(Properties, PartialEq)]
pub struct JobFormProps {
    /// What is changed; nothing for a new one.
    #[prop_or_default]
    pub job: Option<Rc<Job>>,
    /// Told when it is over.
    pub onclose: Callback<()>,
    /// Told when it was saved.
    pub onsaved: Callback<()>,
}

const KINDS: [TriggerType; 3] = [TriggerType::Cron, TriggerType::Interval, TriggerType::Once];
const CATCH_UP: [CatchUpPolicy; 3] = [CatchUpPolicy::Latest, CatchUpPolicy::Skip, CatchUpPolicy::All];
const OVERLAP: [OverlapPolicy; 4] =
    [OverlapPolicy::Allow, OverlapPolicy::Skip, OverlapPolicy::Queue, OverlapPolicy::CancelPrevious];

fn draft_of(job: Option<&Job>) -> JobDraft {
    let Some(job) = job.cloned() else {
        return JobDraft { trigger_value: "0 6 * * 1-5".to_owned(), ..JobDraft::default() };
    };
    JobDraft {
        pipeline_name: job.pipeline_name,
        name: job.name,
        trigger_type: job.trigger_type,
        trigger_value: job.trigger_value,
        time_zone: Some(job.time_zone),
        start_at: job.start_at,
        end_at: job.end_at,
        paused: job.paused,
        catch_up: job.catch_up,
        catch_up_limit: job.catch_up_limit,
        catch_up_max_age_seconds: job.catch_up_max_age_seconds,
        overlap: job.overlap,
        max_instances: job.max_instances,
        parameters: job.parameters,
        overrides: Some(job.overrides),
    }
}

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// Bytes of a mebibyte.
const MIB: f64 = 1_048_576.0;

/// Values as lines of `NAME=value`; one of several lines has no place there.
fn lines_of(draft: &JobDraft) -> String {
    draft
        .parameters
        .iter()
        .filter(|(_, value)| !value.contains('\n'))
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect()
}

/// The values of such lines; a line without `=` names an empty one.
fn values_of(lines: &str) -> BTreeMap<String, String> {
    let lines = lines.lines().map(str::trim_start).filter(|line| !line.is_empty());
    // One by one: `collect` would bring a sort with it.
    let mut out = BTreeMap::new();
    for line in lines {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        out.insert(name.trim_end().to_owned(), value.to_owned());
    }
    out
}

fn own(draft: &mut JobDraft) -> &mut JobOverrides {
    draft.overrides.get_or_insert_with(JobOverrides::default)
}

/// A number of something, as a whole number of its parts.
fn whole(text: &str, parts: f64) -> Option<i64> {
    format::number(text).map(|number| (number * parts).round() as i64)
}

fn shown(number: Option<i64>, parts: f64) -> Option<String> {
    number.map(|number| format::plain(number as f64 / parts))
}

/// A select of a few words; told of the index of the chosen one.
fn select(id: &'static str, words: &[&'static str], now: usize, onchange: Callback<usize>) -> Html {
    html! {
        <select {id} class="select" data-testid={id} onchange={Callback::from(move |event: Event| onchange.emit(chosen(&event).parse().unwrap_or_default()))}>
            {for words.iter().enumerate().map(|(index, word)| html! { <option value={index.to_string()} selected={index == now}>{*word}</option> })}
        </select>
    }
}

/// The form.
#[component]
pub fn JobForm(props: &JobFormProps) -> Html {
    let t = use_text();
    let draft = use_state(|| draft_of(props.job.as_deref()));
    let now = (*draft).clone();
    let lines = use_state(|| lines_of(&draft));
    let edit = |change: fn(&mut JobDraft, String)| {
        let draft = draft.clone();
        Callback::from(move |text: String| {
            let mut next = (*draft).clone();
            change(&mut next, text);
            draft.set(next);
        })
    };
    let pick = |change: fn(&mut JobDraft, usize)| {
        let draft = draft.clone();
        Callback::from(move |index: usize| {
            let mut next = (*draft).clone();
            change(&mut next, index);
            draft.set(next);
        })
    };
    let input = |id: &'static str, value: String, list: Option<&'static str>, change: fn(&mut JobDraft, String)| {
        html! {
            <input {id} class="input mono" {value} {list} autocomplete="off" spellcheck="false" data-testid={id}
                oninput={edit(change).reform(|event: InputEvent| typed(&event))} />
        }
    };
    // Read when they are left: half a number is none.
    let number = |id: &'static str, value: Option<String>, change: fn(&mut JobDraft, String)| {
        html! {
            <input {id} class="input mono" type="number" min="0" step="any" value={value.unwrap_or_default()} data-testid={id}
                onchange={edit(change).reform(|event: Event| entered(&event))} />
        }
    };
    let moment = |id: &'static str, at: Option<DateTime<Utc>>, change: fn(&mut JobDraft, String)| {
        html! {
            <input {id} class="input" type="datetime-local" value={at.map(time::local_input).unwrap_or_default()} data-testid={id}
                onchange={edit(change).reform(|event: Event| entered(&event))} />
        }
    };
    let pipelines = use_load((), |()| api::plain_pipelines());
    let zones = use_load((), |()| api::zones());
    let explained = use_load(
        TriggerDraft {
            trigger_type: now.trigger_type,
            trigger_value: now.trigger_value.clone(),
            time_zone: now.time_zone.clone(),
            start_at: now.start_at,
            end_at: now.end_at,
        },
        api::explain,
    );
    let (close, saved) = (props.onclose.clone(), props.onsaved.clone());
    let action = use_form_action(
        |(id, draft)| api::save_job(id, draft),
        Callback::from(move |_: Job| {
            saved.emit(());
            close.emit(());
        }),
    );
    let onsubmit = {
        let (go, draft, id) = (action.go.clone(), now.clone(), props.job.as_ref().map(|job| job.id.clone()));
        let lines = lines.clone();
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            let mut draft = draft.clone();
            draft.parameters.retain(|_, value| value.contains('\n'));
            draft.parameters.extend(values_of(&lines));
            go.emit((id.clone(), draft));
        })
    };
    let fault = match &explained.load {
        Load::Failed(fault, _) => Some(fault),
        _ => None,
    };
    let wrong = |field: &str| {
        let all = fault.into_iter().chain(action.fault.as_ref()).flat_map(|fault| &fault.errors);
        all.into_iter().find(|error| error.field == field).map(|error| AttrValue::from(error.message.clone()))
    };
    let at = |index: Option<usize>| index.unwrap_or_default();
    let kind = at(KINDS.iter().position(|kind| *kind == now.trigger_type));
    let catch_up = at(CATCH_UP.iter().position(|policy| *policy == now.catch_up));
    let overlap = at(OVERLAP.iter().position(|policy| *policy == now.overlap));
    let hint = [t.jobs.cron_hint, t.jobs.interval_hint, t.jobs.once_hint][kind];
    let names: Vec<String> = match &pipelines.load {
        Load::Ready(list) => list.iter().map(|pipeline| pipeline.name.clone()).collect(),
        _ => vec![now.pipeline_name.clone()],
    };
    let count = |number: Option<i32>| number.map_or_else(String::new, |number| number.to_string());
    let limits = now.overrides.clone().unwrap_or_default();
    let has_own =
        now.overrides.as_ref().is_some_and(|own| *own != JobOverrides::default()) || !now.parameters.is_empty();
    let set_lines = lines.setter();
    html! {
        <Dialog title={if props.job.is_some() { t.jobs.change } else { t.jobs.new }} onclose={props.onclose.clone()} class="dialog-wide" testid="job-form">
            <form {onsubmit} class="stack">
                <div class="two">
                    <Field id="job-pipeline" label={t.jobs.pipeline} wrong={wrong("pipeline_name")}>
                        <select id="job-pipeline" class="select" data-testid="job-pipeline" onchange={edit(|draft, text| draft.pipeline_name = text).reform(|event: Event| chosen(&event))}>
                            <option value="" selected={now.pipeline_name.is_empty()}></option>
                            {for names.into_iter().filter(|name| !name.is_empty()).map(|name| html! { <option selected={name == now.pipeline_name} value={name.clone()}>{&name}</option> })}
                        </select>
                    </Field>
                    <Field id="job-name" label={t.jobs.name} wrong={wrong("name")}>
                        {input("job-name", now.name.clone().unwrap_or_default(), None, |draft, text| draft.name = Some(text))}
                    </Field>
                    <Field id="job-kind" label={t.jobs.kind}>
                        {select("job-kind", &[t.jobs.cron, t.jobs.interval, t.jobs.once], kind, pick(|draft, index| draft.trigger_type = KINDS[index.min(2)]))}
                    </Field>
                    <Field id="job-zone" label={t.jobs.zone} wrong={wrong("time_zone")}>
                        {input("job-zone", now.time_zone.clone().unwrap_or_default(), Some("zones"), |draft, text| draft.time_zone = (!text.is_empty()).then_some(text))}
                        <datalist id="zones">{match &zones.load {
                            Load::Ready(zones) => html! { <>{for zones.iter().map(|zone| html! { <option value={zone.clone()} /> })}</> },
                            _ => html! {},
                        }}</datalist>
                    </Field>
                </div>
                <Field id="job-value" label={t.jobs.when} {hint} wrong={wrong("trigger_value")}>
                    {input("job-value", now.trigger_value.clone(), None, |draft, text| draft.trigger_value = text)}
                </Field>
                if let Load::Ready(outlook) = &explained.load {
                    <div class="outlook" data-testid="outlook">
                        <p class="strong" data-testid="sentence">{t.say(&outlook.sentence)}</p>
                        <table class="table"><thead><tr><th scope="col">{t.jobs.yours}</th><th scope="col">{&outlook.time_zone}</th></tr></thead><tbody>
                            {for outlook.next.iter().map(|next| html! { <tr><td class="num">{t.exact(next.at)}</td><td class="num faint">{next.local.replace('T', " ")}</td></tr> })}
                        </tbody></table>
                        {for outlook.clock_changes.iter().map(|note| html! { <p class="notice tone-warn"><span>{t.say(note)}</span></p> })}
                    </div>
                }
                <div class="two">
                    <Field id="job-catch-up" label={t.jobs.catch_up} hint={[t.jobs.latest_hint, t.jobs.skip_hint, t.jobs.all_hint][catch_up]}>
                        {select("job-catch-up", &[t.jobs.latest, t.jobs.skip, t.jobs.all], catch_up, pick(|draft, index| draft.catch_up = CATCH_UP[index.min(2)]))}
                    </Field>
                    <Field id="job-overlap" label={t.jobs.overlap} hint={[t.jobs.allow_hint, t.jobs.busy_hint, t.jobs.queue_hint, t.jobs.cancel_hint][overlap]}>
                        {select("job-overlap", &[t.jobs.allow, t.jobs.skip, t.jobs.queue, t.jobs.cancel], overlap, pick(|draft, index| draft.overlap = OVERLAP[index.min(3)]))}
                    </Field>
                    if now.catch_up == CatchUpPolicy::All {
                        <Field id="job-limit" label={t.jobs.limit} wrong={wrong("catch_up_limit")}>
                            {input("job-limit", count(now.catch_up_limit), None, |draft, text| draft.catch_up_limit = text.trim().parse().ok())}
                        </Field>
                        <Field id="job-age" label={t.jobs.max_age} wrong={wrong("catch_up_max_age_seconds")}>
                            {number("job-age", shown(now.catch_up_max_age_seconds, DAY), |draft, text| draft.catch_up_max_age_seconds = whole(&text, DAY))}
                        </Field>
                    }
                    <Field id="job-instances" label={t.jobs.instances} wrong={wrong("max_instances")}>
                        {input("job-instances", count(now.max_instances), None, |draft, text| draft.max_instances = text.trim().parse().ok())}
                    </Field>
                    <Field id="job-start" label={t.jobs.starts} hint={t.jobs.starts_hint}>
                        {moment("job-start", now.start_at, |draft, text| draft.start_at = browser::instant(&text))}
                    </Field>
                    <Field id="job-end" label={t.jobs.ends} wrong={wrong("end_at")}>
                        {moment("job-end", now.end_at, |draft, text| draft.end_at = browser::instant(&text))}
                    </Field>
                </div>
                <details class="chart-table" open={has_own}>
                    <summary data-testid="job-own">{t.jobs.own}</summary>
                    <p class="field-hint">{t.jobs.own_hint}</p>
                    <Field id="job-values" label={t.run.parameters} hint={t.jobs.values_hint} wrong={wrong("parameters")}>
                        <textarea id="job-values" class="input mono" rows="3" value={(*lines).clone()} autocomplete="off" spellcheck="false" data-testid="job-values"
                            oninput={Callback::from(move |event: InputEvent| set_lines.set(typed(&event)))} />
                    </Field>
                    <div class="two">
                        <Field id="job-cpu" label={t.jobs.cpu} wrong={wrong("cpu_hard_limit")}>
                            {number("job-cpu", limits.cpu_hard_limit.map(format::plain), |draft, text| own(draft).cpu_hard_limit = format::number(&text))}
                        </Field>
                        <Field id="job-memory" label={t.jobs.memory} wrong={wrong("mem_hard_limit")}>
                            {number("job-memory", shown(limits.mem_hard_limit, MIB), |draft, text| own(draft).mem_hard_limit = whole(&text, MIB))}
                        </Field>
                        <Field id="job-timeout" label={t.jobs.timeout} wrong={wrong("timeout")}>
                            {number("job-timeout", shown(limits.timeout, 1.0), |draft, text| own(draft).timeout = whole(&text, 1.0))}
                        </Field>
                        <Field id="job-retries" label={t.pipeline.retries} wrong={wrong("retry_attempts")}>
                            {number("job-retries", shown(limits.retry_attempts.map(i64::from), 1.0), |draft, text| own(draft).retry_attempts = text.trim().parse().ok())}
                        </Field>
                    </div>
                </details>
                if let Some(fault) = action.fault.as_ref().filter(|fault| fault.errors.is_empty()) {
                    <p class="field-wrong" role="alert">{t.fault_advice(fault)}</p>
                }
                <footer class="dialog-foot">
                    <Button text={t.common.cancel} onclick={props.onclose.clone()} />
                    <Button text={t.common.save} look={Look::Primary} submit=true busy={action.busy} disabled={now.pipeline_name.is_empty() || fault.is_some()} testid="job-save" />
                </footer>
            </form>
        </Dialog>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_lines() {
        let values = values_of("DAY=2026-03-01\n\n  A = b=c \nEMPTY");
        let expected =
            [("A", " b=c "), ("DAY", "2026-03-01"), ("EMPTY", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(values, BTreeMap::from(expected));
        let draft = JobDraft { parameters: values.clone(), ..JobDraft::default() };
        assert_eq!(values_of(&lines_of(&draft)), values);
    }

    #[test]
    fn numbers_have_parts() {
        assert_eq!(whole("1.5", MIB), Some(1_572_864));
        assert_eq!((whole("", DAY), whole("x", DAY)), (None, None));
        assert_eq!(shown(Some(1_572_864), MIB).as_deref(), Some("1.5"));
    }
}
