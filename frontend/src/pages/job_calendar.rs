//! A week of due times: what they did, and what they will do.

use chrono::{DateTime, Datelike, Days, Local, NaiveDate, Timelike, Utc};
use fastflow_shared::{Firing, FiringStatus};
use yew::prelude::*;

use crate::api;
use crate::hooks::{use_live, use_load};
use crate::route::Route;
use crate::router::Link;
use crate::text::use_text;
use crate::ui::button::{Button, Look};
use crate::ui::icon::Icon;
use crate::ui::view::view;

use super::jobs::firing_word;

const WEEK: u64 = 7;

fn midnight(day: NaiveDate) -> Option<DateTime<Utc>> {
    let local = day.and_hms_opt(0, 0, 0)?.and_local_timezone(Local);
    local.earliest().map(|time| time.with_timezone(&Utc))
}

/// Entries of a day: a job that fires often with the same result is one entry with a count.
fn entries(items: &[Firing], day: NaiveDate) -> Vec<(&Firing, i64)> {
    let mut entries: Vec<(&Firing, i64)> = Vec::new();
    for item in items.iter().filter(|item| item.due_at.with_timezone(&Local).date_naive() == day) {
        match entries.iter_mut().find(|(first, _)| first.job_id == item.job_id && first.status == item.status) {
            Some((_, count)) => *count += item.due_times,
            None => entries.push((item, item.due_times)),
        }
    }
    entries
}

/// The calendar.
#[component]
pub fn JobCalendar() -> Html {
    let t = use_text();
    let first = use_state_eq(|| Local::now().date_naive().checked_sub_days(Days::new(1)).unwrap_or_default());
    let days: Vec<NaiveDate> = first.iter_days().take(WEEK as usize).collect();
    let from = midnight(*first).unwrap_or_default();
    let to = first.checked_add_days(Days::new(WEEK)).and_then(midnight).unwrap_or_default();
    let preview = use_load((from, to), |(from, to)| api::preview(from, to));
    use_live((), |event| ["sync", "run", "job"].contains(&event.kind.as_str()), preview.reload.clone());
    let turn = |forward: bool| {
        let (set, first) = (first.setter(), *first);
        Callback::from(move |()| {
            let week = Days::new(WEEK);
            let next = if forward { first.checked_add_days(week) } else { first.checked_sub_days(week) };
            set.set(next.unwrap_or(first));
        })
    };
    html! {
        <section class="card panel calendar" data-testid="calendar">
            <header class="panel-head">
                <h2>{t.jobs.calendar}</h2>
                <span>
                    <Button text={t.jobs.earlier} icon={Icon::ChevronLeft} icon_only=true small=true look={Look::Ghost} onclick={turn(false)} />
                    <Button text={t.jobs.later} icon={Icon::ChevronRight} icon_only=true small=true look={Look::Ghost} onclick={turn(true)} />
                </span>
            </header>
            {view(&preview.load, 4, &preview.reload, |preview| html! {
                <>
                    <ol class="week">
                        {for days.iter().map(|day| html! {
                            <li key={day.num_days_from_ce()}>
                                <h3 class="num">{t.weekdays[day.weekday().num_days_from_monday() as usize]}{" "}{day.day()}{t.day_dot}</h3>
                                {for entries(&preview.items, *day).into_iter().map(|(item, count)| {
                                    let (word, tone) = firing_word(t, item);
                                    let at = item.due_at.with_timezone(&Local);
                                    let time = format!("{:02}:{:02}", at.hour(), at.minute());
                                    let text = if count > 1 { format!("{time} ×{count}") } else { time };
                                    let to = match &item.run {
                                        Some(run) if count == 1 && item.status != FiringStatus::Planned => Route::Run { id: run.id.clone() },
                                        _ => Route::Pipeline { name: item.pipeline_name.clone() },
                                    };
                                    html! {
                                        <Link {to} classes={classes!("due", tone.class())}>
                                            <span class="num" title={word}>{text}</span>{" "}<span>{&item.pipeline_name}</span><span class="sr">{word}</span>
                                        </Link>
                                    }
                                })}
                            </li>
                        })}
                    </ol>
                    <p class="field-hint">{if preview.truncated { t.jobs.truncated } else { t.jobs.calendar_hint }}</p>
                </>
            })}
        </section>
    }
}
