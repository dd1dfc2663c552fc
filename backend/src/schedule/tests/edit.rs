//! Jobs as people make, change, pause and start them, and what they are told of them.

use fastflow_shared::{CatchUpPolicy, FiringStatus, JobOverrides, OverlapPolicy, TriggerDraft, TriggerType};

use super::*;

#[tokio::test]
async fn a_job_from_its_making_to_its_end() {
    testing::on_both(async |store| {
        let world = World::on(store);
        let server = world.server().await;
        let wanted = JobDraft {
            name: Some("  nightly ".to_owned()),
            time_zone: Some("Europe/Berlin".to_owned()),
            catch_up: CatchUpPolicy::All,
            catch_up_limit: Some(3),
            overlap: OverlapPolicy::Skip,
            max_instances: Some(2),
            parameters: [("A".to_owned(), "1".to_owned())].into(),
            overrides: Some(JobOverrides { timeout: Some(60), ..JobOverrides::default() }),
            ..draft(TriggerType::Cron, "30 2 * * *")
        };
        let job = server.create(wanted.clone(), "ada").await.expect("made");
        assert_eq!((job.name.as_deref(), job.created_by.as_deref(), job.enabled), (Some("nightly"), Some("ada"), true));
        assert_eq!(job.next_run_at, Some(at("2026-01-01T01:30:00Z").to_utc()));
        assert_eq!(job.sentence.en, "At 02:30 every day (Europe/Berlin)");
        assert_eq!((job.overrides.timeout, job.catch_up, job.catch_up_limit), (Some(60), CatchUpPolicy::All, Some(3)));

        let changed = server
            .update(&job.id, JobDraft { trigger_value: "0 5 * * *".to_owned(), ..wanted })
            .await
            .expect("changed");
        assert_eq!(changed.next_run_at, Some(at("2026-01-01T04:00:00Z").to_utc()));
        let paused = server.switch(&job.id, false).await.expect("paused");
        assert_eq!((paused.enabled, paused.paused, paused.next_run_at), (false, true, None));
        world.set(at("2026-01-03T00:00:00Z"));
        assert_eq!(server.tick().await.expect("ticks"), 0);
        let resumed = server.switch(&job.id, true).await.expect("goes on");
        assert_eq!(resumed.next_run_at, Some(at("2026-01-03T04:00:00Z").to_utc()), "nothing is made up for");

        let run = server.run_now(&job.id, StartedBy::Manual, "bob").await.expect("started");
        assert_eq!((run.triggered_by.as_deref(), run.parameters["A"].as_str()), (Some("bob"), "1"));
        let page = server.history(&job.id, None, 10).await.expect("read");
        assert_eq!((page.items.len(), page.items[0].status), (1, FiringStatus::ByHand));
        assert_eq!(page.items[0].run.as_ref().map(|run| run.id.clone()), Some(run.id));
        server.delete(&job.id).await.expect("deleted");
        assert!(matches!(server.job(&job.id).await, Err(ScheduleError::UnknownJob(_))));
        assert!(matches!(server.delete(&job.id).await, Err(ScheduleError::UnknownJob(_))));
    })
    .await;
}

#[tokio::test]
async fn every_mistake_of_a_draft_is_told_with_its_field() {
    let (store, _folder) = testing::sqlite().await;
    let world = World::on(store);
    let server = world.server().await;
    let bad = JobDraft {
        pipeline_name: "nowhere".to_owned(),
        name: Some("x".repeat(101)),
        max_instances: Some(0),
        catch_up_limit: Some(-1),
        parameters: [("A-B".to_owned(), String::new())].into(),
        overrides: Some(JobOverrides { mem_hard_limit: Some(5), cpu_hard_limit: Some(0.0), ..JobOverrides::default() }),
        ..draft(TriggerType::Cron, "0 0 2 * * *")
    };
    let Err(ScheduleError::BadJob(problems)) = server.create(bad, "ada").await else { panic!("taken") };
    let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
    let expected = [
        "trigger_value",
        "name",
        "pipeline_name",
        "catch_up_limit",
        "max_instances",
        "parameters",
        "cpu_hard_limit",
        "mem_hard_limit",
    ];
    assert_eq!(fields, expected);
    for (draft, field) in [
        (draft(TriggerType::Once, "2025-01-01T00:00:00Z"), "trigger_value"),
        (JobDraft { time_zone: Some("Mars".to_owned()), ..draft(TriggerType::Cron, "@daily") }, "time_zone"),
        (draft(TriggerType::Interval, "-1"), "trigger_value"),
    ] {
        let Err(ScheduleError::BadJob(problems)) = server.create(draft, "ada").await else { panic!("taken") };
        assert_eq!((problems.len(), problems[0].field.as_str()), (1, field));
    }
}

#[tokio::test]
async fn jobs_of_the_repository_can_be_paused_and_that_survives_syncs() {
    let (store, _folder) = testing::sqlite().await;
    let world = World::on(store);
    let settings = r#"{ "schedule_cron": "0 * * * *", "schedules": [{ "id": "a", "interval_seconds": 60, "enabled": false, "env": { "X": "y" }, "timeout": 5 }] }"#;
    world.pipeline("p", settings);
    let server = world.server().await;
    let jobs = server.jobs(Some("p")).await.expect("read");
    let of = |name: Option<&str>| jobs.iter().find(|job| job.name.as_deref() == name).expect("there").clone();
    let (hourly, other) = (of(None), of(Some("a")));
    assert_eq!(
        (other.enabled, other.paused, other.overrides.timeout, other.source.as_str()),
        (false, false, Some(5), "repository")
    );
    assert_eq!(other.parameters["X"], "y");
    for refused in
        [server.update(&hourly.id, draft(TriggerType::Cron, "@daily")).await.map(drop), server.delete(&hourly.id).await]
    {
        assert!(matches!(refused, Err(ScheduleError::InRepository(..))));
    }
    server.switch(&hourly.id, false).await.expect("paused");
    world.pipeline("p", &settings.replace("false", "true"));
    server.catalog.refresh().await.expect("readable");
    let jobs = server.jobs(None).await.expect("read");
    let states: Vec<_> = jobs.iter().map(|job| (job.id == hourly.id, job.enabled, job.paused)).collect();
    assert!(states.contains(&(true, false, true)) && states.contains(&(false, true, false)), "{states:?}");
}

#[tokio::test]
async fn a_preview_tells_what_was_and_what_would_be() {
    let (store, _folder) = testing::sqlite().await;
    let world = World::on(store);
    let server = world.server().await;
    let job = world.job("interval", "600", Policy { overlap: Overlap::Skip, ..LATEST }).await;
    for minutes in [10, 20] {
        world.set(Millis(at(BEGIN).0 + minutes * 60_000));
        server.tick().await.expect("ticks");
    }
    let preview = server.preview(at(BEGIN), at("2026-01-01T00:45:00Z"), None).await.expect("told");
    let told: Vec<_> = preview.items.iter().map(|item| item.status).collect();
    // The first run still works and nobody knows how long: it is taken to end at once, as runs of this pipeline do.
    assert_eq!(told, [FiringStatus::Started, FiringStatus::LeftOut, FiringStatus::Planned, FiringStatus::Planned]);
    assert!(!preview.truncated && preview.items.iter().all(|item| item.job_id == job));
    assert!(server.preview(at(BEGIN), at("2026-01-02T00:00:00Z"), Some("other")).await.expect("told").items.is_empty());
    let dense = world.job("interval", "1", LATEST).await;
    let all = server.preview(world.clock.now(), at("2026-06-01T00:00:00Z"), None).await.expect("told");
    assert!(all.truncated && all.items.len() == 5_000 && all.items.iter().any(|item| item.job_id == dense));
    assert!(all.items.iter().any(|item| item.job_id == job), "a dense job hides no other");
    for (from, to) in [("2026-01-02T00:00:00Z", BEGIN), (BEGIN, "2028-01-01T00:00:00Z")] {
        assert!(matches!(server.preview(at(from), at(to), None).await, Err(ScheduleError::BadSpan(_))));
    }
}

#[tokio::test]
async fn a_trigger_is_explained_before_it_is_stored() {
    let (store, _folder) = testing::sqlite().await;
    let world = World::on(store);
    let server = world.server().await;
    let trigger = TriggerDraft {
        trigger_value: "30 2 * * *".to_owned(),
        time_zone: Some("Europe/Berlin".to_owned()),
        ..TriggerDraft::default()
    };
    let outlook = server.explain(&trigger, 2).expect("explained");
    assert_eq!(outlook.sentence.de, "Um 02:30 jeden Tag (Europe/Berlin)");
    assert_eq!(
        outlook.next.iter().map(|next| next.local.as_str()).collect::<Vec<_>>(),
        ["2026-01-01T02:30:00+01:00", "2026-01-02T02:30:00+01:00"]
    );
    assert_eq!(outlook.clock_changes.len(), 2);
    let six = TriggerDraft { trigger_value: "0 30 2 * * *".to_owned(), ..trigger };
    let Err(ScheduleError::BadJob(problems)) = server.explain(&six, 2) else { panic!("taken") };
    assert!(problems[0].message.contains("write `30 2 * * *`"), "{problems:?}");
}

#[tokio::test]
async fn deleting_a_pipeline_warns_then_stops_its_runs_and_deletes_its_jobs() {
    let (store, _folder) = testing::sqlite().await;
    let world = World::on(store);
    world.pipeline("q", r#"{ "schedule_cron": "@daily" }"#);
    let server = world.server().await;
    let job = server.create(draft(TriggerType::Cron, "@daily"), "ada").await.expect("made");
    let run = server.run_now(&job.id, StartedBy::Manual, "ada").await.expect("started");
    let refused = server.remove_pipeline("p", false).await;
    assert!(matches!(refused, Err(ScheduleError::NotConfirmed { jobs: 1, runs: 1, .. })), "{refused:?}");
    assert!(server.catalog.pipeline("p").is_some());

    server.remove_pipeline("p", true).await.expect("deleted");
    assert!(status(&world.store, &run.id).await.is_final());
    assert!(!world.folder.path().join("pipelines/p").exists() && server.catalog.pipeline("p").is_none());
    assert_eq!(server.jobs(None).await.expect("read").len(), 1, "those of others stay");
    assert!(matches!(server.remove_pipeline("p", true).await, Err(ScheduleError::NoPipeline(_))));

    // One whose folder somebody else has removed is cleaned up after.
    std::fs::remove_dir_all(world.folder.path().join("pipelines/q")).expect("removed");
    server.catalog.refresh().await.expect("readable");
    assert!(matches!(
        server.remove_pipeline("q", false).await,
        Err(ScheduleError::NotConfirmed { jobs: 1, runs: 0, .. })
    ));
    server.remove_pipeline("q", true).await.expect("deleted");
    assert!(server.jobs(None).await.expect("read").is_empty());
    let left: Vec<_> = std::fs::read_dir(world.folder.path().join("pipelines")).expect("readable").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}
