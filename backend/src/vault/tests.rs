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
    NewVaultEntry { key: key.to_owned(), value: value.to_owned(), is_secret, pipelines: Vec::new() }
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
            vault.open_for("etl", None).await.expect("opens"),
            [variable("REGION", "eu\nwest ü", Source::Parameter), variable("TOKEN", "hunter2", Source::Secret)]
        );

        let change = VaultChange { value: Some("hunter3".to_owned()), is_secret: None, pipelines: None };
        assert_eq!(vault.change("TOKEN", &change).await.expect("there").value, None);
        let change = VaultChange { value: Some("open".to_owned()), is_secret: Some(false), pipelines: None };
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
    let error = wrong.open_for("etl", None).await.expect_err("does not open");
    assert!(matches!(&error, VaultError::Unreadable { key, .. } if key == "REGION"), "{error:?}");
    assert_eq!(wrong.unreadable().await.expect("answers"), ["REGION", "TOKEN"]);
    assert_eq!(wrong.list().await.expect("answers").len(), 3);
    let both = vault(&store, &format!("{OTHER_KEY},{KEY}"));
    assert_eq!(both.open_for("etl", None).await.expect("opens").len(), 3);
}

#[tokio::test]
async fn values_are_sealed_at_rest_and_hidden_in_debug_output() {
    let (store, _folder) = sqlite().await;
    let vault = vault(&store, KEY);
    vault.create(&new("TOKEN", "hunter2", true)).await.expect("new");
    vault.create(&new("REGION", "hunter2", false)).await.expect("new");
    let printed = format!("{:?} {:?} {vault:?}", store.vault_rows().await, vault.open_for("etl", None).await);
    assert!(printed.contains("TOKEN") && !printed.contains("hunter2") && !printed.contains(KEY), "{printed}");
}

#[tokio::test]
async fn a_secret_goes_where_both_its_own_list_and_the_pipelines_allow_it() {
    on_both(async |store| {
        let vault = vault(&store, KEY);
        for (key, pipelines, is_secret) in [
            ("ALL", &[][..], true),
            ("ETL", &["etl"][..], true),
            ("OTHER", &["b", "a"][..], true),
            ("PLAIN", &[], false),
        ] {
            let pipelines = pipelines.iter().map(|name| (*name).to_owned()).collect();
            vault.create(&NewVaultEntry { pipelines, ..new(key, "a value", is_secret) }).await.expect("new");
        }
        let given = async |wanted: Option<&[&str]>| {
            let wanted: Option<Vec<String>> = wanted.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            let variables = vault.open_for("etl", wanted.as_deref()).await?;
            Ok::<_, VaultError>(variables.into_iter().map(|variable| variable.name).collect::<Vec<_>>())
        };
        assert_eq!(given(None).await.expect("given"), ["ALL", "ETL", "PLAIN"]);
        assert_eq!(given(Some(&[])).await.expect("given"), ["PLAIN"], "parameters are no secrets");
        assert_eq!(given(Some(&["ETL"])).await.expect("given"), ["ETL", "PLAIN"]);
        for (name, why) in [("OTHER", "kept for other pipelines"), ("NONE", "not in the vault")] {
            let error = given(Some(&["ETL", name])).await.expect_err("not given").to_string();
            assert!(error.contains(name) && error.contains(why), "{error}");
        }
        let free = VaultChange { value: None, is_secret: None, pipelines: Some(Vec::new()) };
        assert!(vault.change("OTHER", &free).await.expect("there").pipelines.is_empty());
        assert_eq!(given(Some(&["OTHER"])).await.expect("given"), ["OTHER", "PLAIN"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_an_entry_is_told_with_its_pointer() {
    let (store, _folder) = sqlite().await;
    let vault = vault(&store, KEY);
    let entry = NewVaultEntry {
        pipelines: vec!["etl".to_owned(), "../x".to_owned()],
        ..new("A-B", &"x".repeat(MAX_SECRET_BYTES + 1), true)
    };
    let Err(VaultError::Bad(problems)) = vault.create(&entry).await else { panic!("it is wrong") };
    let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["/key", "/value", "/pipelines/1"]);
    assert!(vault.create(&new("LARGE", &"x".repeat(MAX_SECRET_BYTES + 1), false)).await.is_ok(), "a parameter");
    let hide = VaultChange { value: None, is_secret: Some(false), pipelines: None };
    vault.create(&new("TOKEN", "hunter2", true)).await.expect("new");
    assert!(
        matches!(vault.change("TOKEN", &hide).await, Err(VaultError::Bad(problems)) if problems[0].field == "/value")
    );
}

#[tokio::test]
async fn a_value_that_is_too_short_to_be_hidden_is_stored_with_a_warning() {
    let (store, _folder) = sqlite().await;
    let vault = vault(&store, KEY);
    assert!(vault.create(&new("PIN", "12345", true)).await.expect("new").warning.is_some());
    assert_eq!(vault.create(&new("LONG", "hunter2", true)).await.expect("new").warning, None);
    assert_eq!(vault.create(&new("PLAIN", "x", false)).await.expect("new").warning, None);
    let warned: Vec<_> =
        vault.list().await.expect("answers").into_iter().map(|entry| entry.warning.is_some()).collect();
    assert_eq!(warned, [false, true, false]);
    assert!(vault.encrypt("123").expect("encrypted").warning.is_some());
}

#[tokio::test]
async fn one_value_is_revealed_and_what_is_encrypted_for_a_file_opens() {
    let (store, _folder) = sqlite().await;
    let vault = vault(&store, KEY);
    vault.create(&new("TOKEN", "hunter2", true)).await.expect("new");
    assert_eq!(vault.reveal("TOKEN").await.expect("there").value, "hunter2");
    assert!(matches!(vault.reveal("NONE").await, Err(VaultError::NotFound(_))));
    let encrypted = vault.encrypt("swordfish").expect("encrypted").encrypted;
    assert_eq!(vault.open_encrypted("X", &encrypted).expect("opens"), "swordfish");
    let error = vault.open_encrypted("X", "gAAAAnonsense").expect_err("does not open").to_string();
    assert!(error.contains("`X`") && !error.contains("nonsense"), "{error}");
}

#[tokio::test]
async fn a_key_is_replaced_in_steps_that_can_be_repeated() {
    on_both(async |store| {
        let old = vault(&store, OTHER_KEY);
        for number in 0..250 {
            old.create(&new(&format!("S{number:03}"), &format!("value {number}"), number % 2 == 0)).await.expect("new");
        }
        store.set_run_mask("a run", &old.keyring.seal("[]")).await.expect("stored");
        let both = vault(&store, &format!("{KEY},{OTHER_KEY}"));
        both.create(&new("NEW", "x", true)).await.expect("new");
        let lost = VaultRow {
            key: "LOST".to_owned(),
            is_secret: true,
            pipelines: Vec::new(),
            sealed_value: "gAAAA".to_owned(),
            created_at: Millis(1),
            updated_at: Millis(1),
        };
        store.insert_vault_row(&lost).await.expect("new");

        let rotation = both.rotate().await.expect("done");
        assert_eq!((rotation.0[0].resealed, rotation.0[0].current), (250, 1));
        assert_eq!((rotation.0[2].resealed, &rotation.0[0].unreadable[..]), (1, &["LOST".to_owned()][..]));
        assert!(!rotation.is_complete() && rotation.to_string().contains("LOST: none of the keys opens it"));
        let again = both.rotate().await.expect("done");
        assert_eq!((again.0[0].resealed, again.0[0].current), (0, 251));

        store.delete_vault_row("LOST").await.expect("there");
        let new = vault(&store, KEY);
        assert!(new.rotate().await.expect("done").is_complete());
        assert_eq!(new.open_for("etl", None).await.expect("all of them open").len(), 251);
    })
    .await;
}
