//! Lists: what they hold, that pages fit together, and that they are read from an index.

use fastflow_shared::{ErrorType, RunStatus, Trigger};
use sqlx::Row;

use super::super::run_list::{LATEST_OF, LATEST_SQLITE, page_sql};
use super::super::testing::{on_both, sqlite};
use super::super::*;
use super::{finish, new_run, record};
use crate::domain::clock::Millis;
use crate::domain::run::Event;

/// 60 runs of three pipelines, in all statuses; several share a time.
async fn fill(store: &Store) -> Vec<RunRow> {
    for number in 0..60_i64 {
        let id = format!("run-{number:02}");
        let run = NewRun {
            trigger: Trigger::ALL[number as usize % 4],
            ..new_run(&id, ["a", "b", "c"][number as usize % 3], 1_000 + number / 4)
        };
        store.insert_run(&run).await.expect("inserted");
        match number % 5 {
            0 => {}
            1 => assert!(record(store, &id, &[Event::Started], Facts::default(), 1).await.applied()),
            // Of 0 to 3 seconds, and one whose clock went backwards.
            2 if number == 57 => finish(store, &id, true, 9, 2).await,
            2 => finish(store, &id, true, 1, 1 + number % 4 * 1_000).await,
            3 => {
                let kind = ErrorType::ALL[number as usize % 10];
                let facts = Facts { error_type: Some(kind), ..Facts::default() };
                assert!(record(store, &id, &[Event::StartFailed], facts, 1).await.applied());
            }
            _ => assert!(record(store, &id, &[Event::WatchLost], Facts::default(), 1).await.applied()),
        }
    }
    let all = store.runs_page(&RunFilter::default(), RunOrder::OldestFirst, None, 1_000).await.expect("read");
    assert_eq!((all.rows.len(), all.next), (60, None));
    all.rows
}

/// The whole list, page by page.
async fn walk(store: &Store, filter: &RunFilter, order: RunOrder, limit: u32) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor: Option<RunCursor> = None;
    loop {
        let page = store.runs_page(filter, order, cursor.as_ref(), limit).await.expect("read");
        assert!(page.rows.len() <= limit as usize);
        ids.extend(page.rows.into_iter().map(|run| run.spec.id));
        let Some(next) = page.next else { return ids };
        cursor = Some(RunCursor::parse(&next.to_text()).expect("a cursor can be read"));
    }
}

#[tokio::test]
async fn pages_of_every_filter_fit_together_in_every_order() {
    on_both(async |store| {
        let all = fill(&store).await;
        let mut filters = Vec::new();
        for pipeline in [None, Some("b".to_owned())] {
            for statuses in
                [vec![], vec![RunStatus::Failed], vec![RunStatus::Running, RunStatus::Success, RunStatus::Failed]]
            {
                for trigger in [None, Some(Trigger::Api)] {
                    for error_type in [None, Some(ErrorType::Cancelled)] {
                        for (from, to) in [(None, None), (Some(Millis(1_003)), Some(Millis(1_010)))] {
                            let (pipeline, statuses) = (pipeline.clone(), statuses.clone());
                            filters.push(RunFilter { pipeline, statuses, trigger, error_type, from, to });
                        }
                    }
                }
            }
        }
        for filter in filters {
            let fits = |run: &&RunRow| {
                filter.pipeline.as_ref().is_none_or(|name| *name == run.spec.pipeline_name)
                    && (filter.statuses.is_empty() || filter.statuses.contains(&run.status))
                    && filter.trigger.is_none_or(|trigger| trigger == run.spec.trigger)
                    && filter.error_type.is_none_or(|kind| Some(kind) == run.error_type)
                    && filter.from.is_none_or(|from| run.spec.created_at >= from)
                    && filter.to.is_none_or(|to| run.spec.created_at < to)
            };
            let mut expected: Vec<_> = all.iter().filter(fits).map(|run| run.spec.id.clone()).collect();
            assert_eq!(walk(&store, &filter, RunOrder::OldestFirst, 7).await, expected, "{filter:?}");
            expected.reverse();
            assert_eq!(walk(&store, &filter, RunOrder::NewestFirst, 7).await, expected, "{filter:?}");
            assert_eq!(walk(&store, &filter, RunOrder::NewestFirst, 60).await, expected, "{filter:?}");
            let durations = |longest: bool| {
                let mut runs: Vec<_> = all.iter().filter(fits).collect();
                runs.sort_by_key(|run| {
                    let millis = run.finished_at.zip(run.started_at).map_or(-1, |(end, start)| end.0 - start.0);
                    (!longest && millis < 0, millis, run.spec.id.clone())
                });
                if longest {
                    runs.reverse();
                }
                runs.into_iter().map(|run| run.spec.id.clone()).collect::<Vec<_>>()
            };
            for limit in [1, 7, 60] {
                let told = format!("{filter:?}, {limit} at a time");
                assert_eq!(walk(&store, &filter, RunOrder::LongestFirst, limit).await, durations(true), "{told}");
                assert_eq!(walk(&store, &filter, RunOrder::ShortestFirst, limit).await, durations(false), "{told}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_run_inserted_meanwhile_moves_no_other() {
    on_both(async |store| {
        for number in 0..4 {
            store.insert_run(&new_run(&format!("run-{number}"), "etl", number)).await.expect("inserted");
        }
        let first = store.runs_page(&RunFilter::default(), RunOrder::NewestFirst, None, 2).await.expect("read");
        store.insert_run(&new_run("run-9", "etl", 9)).await.expect("inserted");
        let second = store.runs_page(&RunFilter::default(), RunOrder::NewestFirst, first.next.as_ref(), 2).await;
        let ids: Vec<_> = second.expect("read").rows.into_iter().map(|run| run.spec.id).collect();
        assert_eq!(ids, ["run-1", "run-0"]);
    })
    .await;
}

#[test]
fn cursors_of_strangers_are_refused() {
    for text in ["", "1", "_", "1_", "x_a", "1_a'b", "1_a b", "99999999999999999999_a", "d_a", "x1_a"] {
        assert_eq!(RunCursor::parse(text), None, "{text}");
    }
    for key in [RunKey::Accepted, RunKey::Duration] {
        let cursor = RunCursor { key, value: -5, id: "0197-a".into() };
        assert_eq!(RunCursor::parse(&cursor.to_text()), Some(cursor));
    }
}

#[tokio::test]
async fn the_latest_runs_of_every_pipeline() {
    on_both(async |store| {
        fill(&store).await;
        let seen = ["a", "b", "new"].map(|name| SeenPipeline { name: name.into(), has_requirements: false });
        store.upsert_seen(&seen, Millis(1)).await.expect("noted");
        for limit in [1, 2, 3, 20, 50] {
            let latest = store.latest_runs(limit).await.expect("read");
            assert_eq!(latest.keys().collect::<Vec<_>>(), ["a", "b"], "c is gone, new has none");
            for (name, runs) in latest {
                assert_eq!(runs, store.latest_runs_of(&name, limit).await.expect("read"), "{name} {limit}");
                assert_eq!(runs.len(), 20.min(limit as usize));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn active_counts() {
    on_both(async |store| {
        fill(&store).await;
        let counts = store.active_counts().await.expect("read");
        assert_eq!(counts.len(), 9);
        assert_eq!(counts.iter().map(|count| count.count).sum::<i64>(), 36);
        let first = ActiveCount { pipeline_name: "a".into(), status: RunStatus::Interrupted, count: 4 };
        assert_eq!(counts[0], first);
    })
    .await;
}

async fn plan(store: &Store, statement: String) -> Vec<String> {
    let explained = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let rows = sqlx::query(explained).fetch_all(&store.pool).await.expect("explained");
    rows.iter().map(|row| row.try_get("detail").expect("text")).collect()
}

/// SQLite tells how it would read, whatever the number of rows; PostgreSQL decides by statistics, so it is only measured
/// (see the ignored test below).
#[tokio::test]
async fn every_page_is_read_from_an_index_in_its_order() {
    let (store, folder) = sqlite().await;
    pages_are_read_in_order(&store).await;
    // A planner that knows some of the indices only takes the unknown ones for the best: so it was with statistics that somebody
    // had gathered before the indices of durations were made.
    let fill = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 29999) \
        INSERT INTO runs (id, pipeline_name, status, trigger_kind, attempt, max_attempts, created_at, queued_at, started_at, \
        finished_at) SELECT 'run-' || i, 'p' || (i % 10), 'SUCCESS', 'api', 1, 1, i * 1000, i * 1000, i * 1000, i * 1000 + i % 500 FROM n";
    store.execute(sqlx::query(fill)).await.expect("filled");
    store.execute(sqlx::query("ANALYZE")).await.expect("analysed");
    store.execute(sqlx::query("DELETE FROM sqlite_stat1 WHERE idx LIKE '%_duration'")).await.expect("deleted");
    let again = Store::open(&Options::sqlite(folder.path().join("test.db"))).await.expect("opens again");
    pages_are_read_in_order(&again).await;
}

async fn pages_are_read_in_order(store: &Store) {
    for order in RunOrder::ALL {
        for bits in 0..16 {
            let filter = RunFilter {
                pipeline: (bits & 1 != 0).then(|| "etl".to_owned()),
                trigger: (bits & 2 != 0).then_some(Trigger::Api),
                error_type: (bits & 4 != 0).then_some(ErrorType::Oom),
                ..RunFilter::default()
            };
            let steps = plan(store, page_sql(&filter, bits & 8 != 0, order, true)).await.join("; ");
            assert!(steps.contains("SEARCH runs USING INDEX") && !steps.contains("TEMP B-TREE"), "{filter:?}: {steps}");
        }
    }
    let steps = plan(store, LATEST_SQLITE.to_owned()).await.join("; ");
    for entry in [
        "SEARCH x USING COVERING INDEX runs_by_pipeline (pipeline_name=?)",
        "SEARCH r USING INDEX runs_by_pipeline (pipeline_name=? AND created_at>?)",
    ] {
        assert!(steps.contains(entry), "{steps}");
    }
    let steps = plan(store, LATEST_OF.to_owned()).await.join("; ");
    assert!(steps.contains("SEARCH runs USING INDEX runs_by_pipeline (") && !steps.contains("TEMP B-TREE"), "{steps}");
}

#[tokio::test]
async fn runs_are_counted_by_quarter_of_an_hour_and_status() {
    on_both(async |store| {
        let quarter = 900_000;
        for (id, pipeline, at, ends) in [
            ("a", "x", quarter * 10, Some(true)),
            ("b", "x", quarter * 11 - 1, Some(true)),
            ("c", "y", quarter * 11 - 1, Some(false)),
            ("d", "x", quarter * 11, None),
            ("e", "x", quarter * 12, Some(true)),
        ] {
            store.insert_run(&new_run(id, pipeline, at)).await.expect("inserted");
            if let Some(well) = ends {
                finish(&store, id, well, at, at + 1).await;
            }
        }
        let counted = async |pipeline, from: i64, to: i64| {
            let mut counts =
                store.run_counts(pipeline, Millis(quarter * from), Millis(quarter * to)).await.expect("counted");
            counts.sort_unstable_by_key(|(quarter, status, _)| (*quarter, status.as_str()));
            counts
        };
        let (good, bad, waits) = (RunStatus::Success, RunStatus::Failed, RunStatus::Pending);
        assert_eq!(counted(None, 10, 12).await, [(10, bad, 1), (10, good, 2), (11, waits, 1)]);
        assert_eq!(counted(Some("y"), 0, 99).await, [(10, bad, 1)]);
        assert_eq!(counted(Some("nobody"), 0, 99).await, []);
    })
    .await;
}
