//! Jobs that stand in the pipelines' files.

use std::collections::BTreeSet;

use super::{Schedule, ScheduleError};
use crate::catalog::Pipeline;
use crate::domain::clock::Millis;
use crate::domain::firing::CatchUp;
use crate::domain::trigger::Timetable;
use crate::domain::zone::Zone;
use crate::store::{NewJob, REPOSITORY};

impl Schedule {
    /// Makes the stored jobs of the repository equal to what the pipelines' files say, when the list of pipelines is not the
    /// one that they were last taken from. Jobs of pipelines that are gone or whose files cannot be read stay: they are shown
    /// as broken, and their due times are recorded as failed.
    pub(super) async fn adopt(&self) -> Result<(), ScheduleError> {
        // Held all the while, so that an older list is never stored over a newer one.
        let mut adopted = self.adopted.lock().await;
        let snapshot = self.catalog.snapshot();
        if snapshot.revision == *adopted {
            return Ok(());
        }
        let now = self.clock.now();
        let valid = || snapshot.pipelines.values().filter(|pipeline| pipeline.is_valid());
        let jobs: Vec<NewJob> = valid().flat_map(|pipeline| jobs_of(pipeline, self.options.time_zone, now)).collect();
        let read: BTreeSet<String> = valid().map(|pipeline| pipeline.name.clone()).collect();
        self.store.upsert_repository_jobs(&jobs, &read, now).await?;
        *adopted = snapshot.revision;
        Ok(())
    }
}

fn jobs_of(pipeline: &Pipeline, zone: Zone, now: Millis) -> impl Iterator<Item = NewJob> {
    pipeline.settings.schedules.iter().map(move |schedule| {
        let zone = schedule.zone.clone().unwrap_or_else(|| zone.name().to_owned());
        let (kind, value) = (schedule.kind, &schedule.value);
        let timetable = Timetable::parse(kind, value, &zone, schedule.start, schedule.end);
        let (most, age) = match schedule.policy.catch_up {
            CatchUp::All { most, max_age } => (Some(i64::from(most)), Some(max_age / 1000)),
            _ => (None, None),
        };
        NewJob {
            id: uuid::Uuid::now_v7().to_string(),
            pipeline_name: pipeline.name.clone(),
            name: (schedule.id != kind).then(|| schedule.id.clone()),
            trigger_type: kind.to_owned(),
            trigger_value: value.clone(),
            time_zone: zone,
            enabled: schedule.enabled,
            paused: false,
            source: REPOSITORY.to_owned(),
            source_id: Some(format!("{}#{}", pipeline.name, schedule.id)),
            start_at: schedule.start,
            end_at: schedule.end,
            catch_up: schedule.policy.catch_up.as_str().to_owned(),
            catch_up_limit: most,
            catch_up_max_age: age,
            overlap: schedule.policy.overlap.as_str().to_owned(),
            max_instances: schedule.policy.max_instances.map(i64::from),
            parameters: schedule.env.clone(),
            overrides: schedule.overrides.clone(),
            created_by: None,
            next_run_at: timetable.as_ref().ok().and_then(|timetable| timetable.next_after(now)),
            problem: timetable.err().map(|error| error.to_string()),
        }
    })
}
