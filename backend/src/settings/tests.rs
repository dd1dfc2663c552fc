//! Changes of settings: checked, stored, told, taken back.

use std::sync::Mutex;

use super::*;
use crate::domain::clock::ManualClock;
use crate::store::testing::on_both;

fn known(name: &'static str, changeable: bool) -> Known {
    Known {
        group: "Test",
        name,
        what: "Does something.",
        allowed: "a number".to_owned(),
        default: "5".to_owned(),
        value: "7".to_owned(),
        origin: "environment".to_owned(),
        changeable,
    }
}

/// `A` and `B` are numbers; a change of `A` is what may wait in the queue.
async fn open(store: &Store, told: &Arc<Mutex<Vec<usize>>>) -> Settings {
    let heard = told.clone();
    let options = Options {
        known: vec![known("A", true), known("B", true), known("FIXED", false)],
        read: Box::new(|changes| {
            let mut tuning = Tuning { max_queued: 7, ..Tuning::example() };
            let mut problems = Vec::new();
            for (name, value) in changes {
                match value.parse() {
                    Ok(number) if name == "A" => tuning.max_queued = number,
                    Ok(_) => {}
                    Err(_) => {
                        problems.push(FieldProblem { field: name.clone(), message: "allowed is a number".into() });
                    }
                }
            }
            if problems.is_empty() { Ok(tuning) } else { Err(problems) }
        }),
        apply: Box::new(move |tuning| heard.lock().expect("free").push(tuning.max_queued)),
    };
    Settings::open(options, store.clone(), Arc::new(ManualClock::at(Millis(1000)))).await.expect("opened")
}

#[tokio::test]
async fn a_change_holds_at_once_and_after_a_restart_and_can_be_taken_back() {
    on_both(async |store| {
        let told = Arc::default();
        let settings = open(&store, &told).await;
        let before = settings.list().remove(0);
        assert_eq!((before.value.as_str(), before.origin.as_str(), before.otherwise), ("7", "environment", None));

        let changed = settings.change("A", " 9 ", "ada").await.expect("changed");
        assert_eq!((changed.value.as_str(), changed.origin.as_str()), ("9", "changed"));
        assert_eq!(
            (changed.otherwise.as_deref(), changed.otherwise_origin.as_deref()),
            (Some("7"), Some("environment"))
        );
        assert_eq!((changed.changed_by.as_deref(), changed.changed_at), (Some("ada"), Some(Millis(1000).to_utc())));
        assert_eq!(settings.tuning().max_queued, 9);
        assert_eq!(*told.lock().expect("free"), [7, 9]);

        let again = open(&store, &Arc::default()).await;
        assert_eq!(again.tuning().max_queued, 9, "after a restart");
        again.change("A", "11", "bob").await.expect("changed");
        assert!(settings.reload().await.expect("read") && !settings.reload().await.expect("read"));
        assert_eq!(settings.tuning().max_queued, 11, "another server has changed it");
        let back = settings.reset("A", "ada").await.expect("taken back");
        assert_eq!((back.value.as_str(), back.origin.as_str(), back.changed_by), ("7", "environment", None));
        assert_eq!(settings.tuning().max_queued, 7);
    })
    .await;
}

#[tokio::test]
async fn what_is_not_allowed_changes_nothing() {
    on_both(async |store| {
        let settings = open(&store, &Arc::default()).await;
        assert!(matches!(settings.change("A", "many", "ada").await, Err(SettingsError::Bad(problems)) if problems.len() == 1));
        assert!(matches!(settings.change("FIXED", "1", "ada").await, Err(SettingsError::Fixed(_))));
        assert!(matches!(settings.reset("OTHER", "ada").await, Err(SettingsError::Unknown(_))));
        assert_eq!(settings.tuning().max_queued, 7);
        assert!(store.settings_of(PREFIX).await.expect("read").is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_stored_change_that_this_release_does_not_take_is_told_and_the_others_hold() {
    on_both(async |store| {
        for (name, value) in [("A", "9"), ("B", "nonsense")] {
            store
                .put_settings_document(&format!("{PREFIX}{name}"), Some(value), "old", Millis(1))
                .await
                .expect("stored");
        }
        let settings = open(&store, &Arc::default()).await;
        assert_eq!(settings.tuning().max_queued, 9);
        let shown = settings.list().remove(1);
        assert_eq!((shown.value.as_str(), shown.origin.as_str()), ("7", "environment"));
        assert!(shown.problem.is_some_and(|problem| problem.contains("a number")));
        assert!(settings.change("B", "3", "ada").await.expect("mended").problem.is_none());
    })
    .await;
}
