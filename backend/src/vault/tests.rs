//! The vault on both databases.

use super::*;
use crate::domain::clock::{ManualClock, Millis};
use crate::store::testing::{on_both, sqlite};

const KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
const OTHER_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn vault(store: &Store, keys: &str) -> Vault {
    let keyring = Arc::new(Keyring::parse(keys, "test").expect("keys"));
    Vault::new(store.clone(), keyring, Arc::new(ManualClock::at(Millis(1_000))))
}

fn new(key: &str, value: &str, is_secret: bool) -> NewVaultEntry {
    NewVaultEntry { key: key.to_owned(), value: value.to_owned(), is_secret }
}

fn variable(name: &str, value: &str, source: Source) -> Variable {
    Variable { name: name.to_owned(), value: value.to_owned(), source }
}

#[tokio::test]
async fn an_entry_from_birth_to_death() {
    on_both(async |store| {
        let vault = vault(&store, KEY);
        let secret = vault.create(&new("TOKEN", "hunter2", true)).await.expect("new");
        assert_eq!((secret.key.as_str(), secret.value), ("TOKEN", None));
        vault.create(&new("REGION", "eu\nwest ü", false)).await.expect("new");
        assert!(
            matches!(vault.create(&new("TOKEN", "x", false)).await, Err(VaultError::Exists(key)) if key == "TOKEN")
        );

        let shown: Vec<_> = vault.list().await.expect("answers").into_iter().map(|e| (e.key, e.value)).collect();
        assert_eq!(shown, [("REGION".to_owned(), Some("eu\nwest ü".to_owned())), ("TOKEN".to_owned(), None)]);
        assert_eq!(
            vault.open_for("etl").await.expect("opens"),
            [variable("REGION", "eu\nwest ü", Source::Parameter), variable("TOKEN", "hunter2", Source::Secret)]
        );

        let change = VaultChange { value: "hunter3".to_owned(), is_secret: None };
        assert_eq!(vault.change("TOKEN", &change).await.expect("there").value, None);
        let change = VaultChange { value: "open".to_owned(), is_secret: Some(false) };
        assert_eq!(vault.change("TOKEN", &change).await.expect("there").value.as_deref(), Some("open"));

        vault.delete("TOKEN").await.expect("there");
        assert!(matches!(vault.delete("TOKEN").await, Err(VaultError::NotFound(_))));
        assert!(matches!(vault.change("TOKEN", &change).await, Err(VaultError::NotFound(_))));
        assert!(matches!(vault.delete("a\0b").await, Err(VaultError::NotFound(_))));
    })
    .await;
}

#[tokio::test]
async fn what_no_process_can_be_given_is_refused_before_a_run_has_to() {
    let (store, _folder) = sqlite().await;
    let vault = vault(&store, KEY);
    for (key, value) in [("A-B", ""), ("FASTFLOW_X", ""), ("A", "\0")] {
        assert!(matches!(vault.create(&new(key, value, true)).await, Err(VaultError::Bad(_))), "{key}");
    }
    assert_eq!(vault.list().await.expect("answers"), []);
}

#[tokio::test]
async fn with_the_wrong_key_the_entry_is_named_and_nothing_else() {
    let (store, _folder) = sqlite().await;
    vault(&store, KEY).create(&new("TOKEN", "hunter2", true)).await.expect("new");
    vault(&store, KEY).create(&new("REGION", "eu", false)).await.expect("new");
    let wrong = vault(&store, OTHER_KEY);
    wrong.create(&new("FINE", "x", false)).await.expect("new");
    let error = wrong.open_for("etl").await.expect_err("does not open");
    assert!(matches!(&error, VaultError::Unreadable { key, .. } if key == "REGION"), "{error:?}");
    assert_eq!(wrong.unreadable().await.expect("answers"), ["REGION", "TOKEN"]);
    assert_eq!(wrong.list().await.expect("answers").len(), 3);
    let both = vault(&store, &format!("{OTHER_KEY},{KEY}"));
    assert_eq!(both.open_for("etl").await.expect("opens").len(), 3);
}

#[tokio::test]
async fn values_are_sealed_at_rest_and_hidden_in_debug_output() {
    let (store, _folder) = sqlite().await;
    let vault = vault(&store, KEY);
    vault.create(&new("TOKEN", "hunter2", true)).await.expect("new");
    vault.create(&new("REGION", "hunter2", false)).await.expect("new");
    let printed = format!("{:?} {:?} {vault:?}", store.vault_rows().await, vault.open_for("etl").await);
    assert!(printed.contains("TOKEN") && !printed.contains("hunter2") && !printed.contains(KEY), "{printed}");
}
