//! What is to come: a trigger explained, and what would fire between two instants.

use std::collections::HashMap;

use fastflow_shared::{FieldProblem, FireTime, Firing, FiringStatus, Outlook, Preview, Sentence, TriggerDraft};

use super::edit::{field_of, kind_of};
use super::show::{sentence, show_firing};
use super::tick::{policy, timetable, words};
use super::{Schedule, ScheduleError};
use crate::domain::clock::Millis;
use crate::domain::simulate::{Fate, Player, play};
use crate::domain::trigger::{Timetable, Trigger, YEAR};
use crate::domain::trigger_words::{self, Language};
use crate::domain::zone::Zone;
use crate::store::JobRow;

/// Most due times that are told at once.
pub const MAX_NEXT: usize = 100;

/// Most entries of a preview.
const MAX_ENTRIES: usize = 5_000;

/// Longest preview in milliseconds: a leap year and a day.
const MAX_SPAN: i64 = YEAR + 86_400_000;

impl Schedule {
    /// Explains a trigger: in words, its next due times, and what changes of the clock do to it within a year.
    ///
    /// # Errors
    /// [`ScheduleError::BadJob`] when it cannot be read.
    pub fn explain(&self, draft: &TriggerDraft, count: usize) -> Result<Outlook, ScheduleError> {
        let zone = draft.time_zone.clone().unwrap_or_else(|| self.options.time_zone.name().to_owned());
        let (start, end) = (draft.start_at.map(Millis::from), draft.end_at.map(Millis::from));
        let kind = kind_of(draft.trigger_type);
        let timetable = Timetable::parse(kind, &draft.trigger_value, &zone, start, end).map_err(|error| {
            ScheduleError::BadJob(vec![FieldProblem { field: field_of(&error).to_owned(), message: error.to_string() }])
        })?;
        self.outlook(&timetable, &zone, count)
    }

    /// The next due times of a job, as if it were not paused.
    ///
    /// # Errors
    /// [`ScheduleError::UnknownJob`], [`ScheduleError::Trigger`], or the database.
    pub async fn next(&self, id: &str, count: usize) -> Result<Outlook, ScheduleError> {
        let row = self.row(id).await?;
        self.outlook(&timetable(&row)?, &row.job.time_zone, count)
    }

    fn outlook(&self, timetable: &Timetable, zone: &str, count: usize) -> Result<Outlook, ScheduleError> {
        let now = self.clock.now();
        let zone = match &timetable.trigger {
            Trigger::Cron(_, zone) => *zone,
            _ => Zone::parse(zone)?,
        };
        let note = |note| {
            let say = |language| trigger_words::note(note, language);
            Sentence { en: say(Language::English), de: say(Language::German) }
        };
        Ok(Outlook {
            sentence: sentence(timetable),
            time_zone: zone.name().to_owned(),
            next: timetable.upcoming(now, count.min(MAX_NEXT)).map(|at| fire_time(at, zone)).collect(),
            clock_changes: timetable.dst_notes(now, Millis(now.0 + YEAR)).iter().map(note).collect(),
        })
    }

    /// What fired and what would fire between two instants, of all jobs or of one pipeline's. Up to the present it is what
    /// the book says; from then on each job is played by the scheduler's own steps, with runs that take as long as its
    /// pipeline's runs take on average, without outages and without the server's own limit of concurrent runs.
    ///
    /// # Errors
    /// [`ScheduleError::BadSpan`], or the database.
    pub async fn preview(&self, from: Millis, to: Millis, pipeline: Option<&str>) -> Result<Preview, ScheduleError> {
        if to <= from || to.0 - from.0 > MAX_SPAN {
            return Err(ScheduleError::BadSpan("`to` must come after `from`, and at most a year after it".to_owned()));
        }
        self.adopt().await?;
        let now = self.clock.now();
        let is_wanted = |name: &str| pipeline.is_none_or(|wanted| wanted == name);
        let mut items: Vec<Firing> = Vec::new();
        if from <= now {
            let limit = u32::try_from(MAX_ENTRIES).unwrap_or(u32::MAX);
            // What was due in this very millisecond and is in the book has happened.
            let past = self.store.firings_between(from, to.min(Millis(now.0 + 1)), limit).await?;
            items.extend(past.into_iter().filter(|row| is_wanted(&row.pipeline_name)).map(show_firing));
        }
        let mut truncated = items.len() >= MAX_ENTRIES;
        if to > now {
            let rows = self.store.jobs().await?;
            let durations = self.durations().await?;
            // Once one job fills the answer, what comes later than its last entry is cut off anyway.
            let mut until = to;
            for row in rows.iter().filter(|row| is_wanted(&row.job.pipeline_name)) {
                if !row.job.enabled || row.job.paused {
                    continue;
                }
                let duration = durations.get(&row.job.pipeline_name).copied().unwrap_or_default();
                let played = self.play_job(row, duration, until).await?;
                if played.len() >= MAX_ENTRIES {
                    truncated = true;
                    until = played.last().map_or(until, |last| Millis::from(last.due_at));
                }
                items.extend(played.into_iter().filter(|firing| Millis::from(firing.due_at) >= from));
            }
        }
        items.sort_by(|a, b| (a.due_at, &a.pipeline_name, &a.job_id).cmp(&(b.due_at, &b.pipeline_name, &b.job_id)));
        truncated |= items.len() > MAX_ENTRIES;
        items.truncate(MAX_ENTRIES);
        Ok(Preview { from: from.to_utc(), to: to.to_utc(), now: now.to_utc(), items, truncated })
    }

    /// How long runs take on average, in milliseconds, by pipeline.
    async fn durations(&self) -> Result<HashMap<String, i64>, ScheduleError> {
        let mean = |seconds: Option<f64>| Millis(0).plus_seconds(seconds.unwrap_or_default()).0;
        let rows = self.store.pipelines().await?.into_iter();
        Ok(rows.map(|row| (row.name, mean(row.stats.mean_duration_seconds))).collect())
    }

    async fn play_job(&self, row: &JobRow, duration: i64, until: Millis) -> Result<Vec<Firing>, ScheduleError> {
        let Ok(timetable) = timetable(row) else { return Ok(Vec::new()) };
        let policy = policy(row);
        let now = self.clock.now();
        // Runs that work now: nobody knows since when they have nothing left to do, so each gets its whole time from now.
        let active = if policy.limit() == usize::MAX {
            Vec::new()
        } else {
            self.store.active_runs_of_job(&row.job.id, &row.job.pipeline_name).await?
        };
        let ends = Millis(now.0.saturating_add(duration));
        let player = Player {
            timetable,
            policy,
            next: row.job.next_run_at,
            decided_at: row.decided_at,
            duration,
            active: active.iter().map(|_| ends).collect(),
            waiting: Vec::new(),
        };
        // A due time of the past that is still to be dealt with is dealt with now.
        let outages = [(Millis(i64::MIN), now)];
        let firing = |played: crate::domain::simulate::Played| {
            let (status, starts_at, due_times, until, reason) = match played.fate {
                Fate::Starts { at, .. } => (FiringStatus::Planned, Some(at), 1, None, None),
                Fate::Waits => (FiringStatus::Waiting, None, 1, None, None),
                Fate::LeftOut { why, count, until } => {
                    let why = words(why, policy.limit(), count);
                    (FiringStatus::LeftOut, None, i64::try_from(count).unwrap_or(i64::MAX), Some(until), Some(why))
                }
            };
            Firing {
                job_id: row.job.id.clone(),
                pipeline_name: row.job.pipeline_name.clone(),
                due_at: played.due.to_utc(),
                status,
                starts_at: starts_at.map(Millis::to_utc),
                due_times,
                until: until.filter(|until| *until > played.due).map(Millis::to_utc),
                run: None,
                reason,
            }
        };
        let played = tokio::task::spawn_blocking(move || play(player, &outages, until, MAX_ENTRIES)).await;
        let played = played.map_err(|_| ScheduleError::BadSpan("the preview broke off".to_owned()))?;
        Ok(played.into_iter().map(firing).collect())
    }
}

fn fire_time(at: Millis, zone: Zone) -> FireTime {
    let seconds = at.0.div_euclid(1000);
    let (offset, wall) = (zone.offset(seconds), zone.local(seconds));
    let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 60);
    let wall = wall.map_or_else(String::new, |wall| wall.format("%Y-%m-%dT%H:%M:%S").to_string());
    FireTime { at: at.to_utc(), local: format!("{wall}{sign}{:02}:{:02}", minutes / 60, minutes % 60) }
}
