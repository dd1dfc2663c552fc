//! The door, tried from both sides.

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::domain::clock::ManualClock;
use crate::store::testing::{on_both, sqlite};

const HOUR: f64 = 3600.0;

struct Door {
    auth: Auth,
    store: Store,
    clock: ManualClock,
    _folder: TempDir,
}

fn options(password: Option<&str>) -> Options {
    Options {
        admin_username: "admin".to_owned(),
        admin_password: password.map(|text| Zeroizing::new(text.to_owned())),
        session_lifetime: Duration::from_secs(24 * 3600),
        session_idle: Duration::from_secs(2 * 3600),
        limits: Limits::default(),
        cost: Cost::TRIVIAL,
    }
}

async fn door() -> Door {
    let (store, folder) = sqlite().await;
    let clock = ManualClock::at(Millis(1_700_000_000_000));
    let auth = Auth::new(options(Some("correct horse")), store.clone(), Arc::new(clock.clone())).expect("opens");
    auth.ensure_admin().await.expect("works");
    Door { auth, store, clock, _folder: folder }
}

fn from(ip: &str) -> Client {
    Client { ip: Some(ip.parse().expect("an address")), user_agent: Some("test\n\u{1b}[31m".to_owned()) }
}

impl Door {
    async fn login(&self, name: &str, password: &str) -> Result<Session, AuthError> {
        self.auth.login(name, password, &from("10.0.0.1")).await
    }

    async fn token(&self) -> String {
        self.login("admin", "correct horse").await.expect("right").token.expose().to_owned()
    }

    async fn is_in(&self, token: &str) -> bool {
        match self.auth.authenticate(token).await {
            Ok(_) => true,
            Err(AuthError::Unauthenticated) => false,
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn in_and_out() {
    on_both(async |store| {
        let clock = ManualClock::at(Millis(1_700_000_000_000));
        let auth = Auth::new(options(Some("correct horse")), store.clone(), Arc::new(clock.clone())).expect("opens");
        auth.ensure_admin().await.expect("works");
        let session = auth.login(" Admin ", "correct horse", &from("::ffff:10.0.0.1")).await.expect("right");
        let token = session.token.expose();
        let identity = auth.authenticate(token).await.expect("in");
        assert_eq!(identity.user, session.user);
        assert_eq!((identity.user.username.as_str(), identity.user.role), ("admin", Role::Admin));
        assert_eq!(identity.expires_at, session.expires_at);
        let (row, _) = store.session(session.token.hash().as_str()).await.expect("answers").expect("there");
        assert_eq!((row.ip.as_deref(), row.user_agent.as_deref()), (Some("10.0.0.1"), Some("test[31m")));
        auth.logout(token).await.expect("works");
        assert!(matches!(auth.authenticate(token).await, Err(AuthError::Unauthenticated)));
        auth.logout(token).await.expect("twice does no harm");
        let odd = auth.login("nul\0", "x", &Client::default()).await;
        assert!(matches!(odd, Err(AuthError::InvalidCredentials)), "{odd:?}");
    })
    .await;
}

#[tokio::test]
async fn the_first_user_gets_a_password_that_is_told_once() {
    let (store, _folder) = sqlite().await;
    let clock = Arc::new(ManualClock::at(Millis(0)));
    let auth = Auth::new(options(None), store.clone(), clock.clone()).expect("opens");
    let FirstUser::Created { username, generated: Some(password) } = auth.ensure_admin().await.expect("works") else {
        panic!("a password must be made");
    };
    assert!(auth.login(&username, &password, &Client::default()).await.is_ok());
    assert!(matches!(auth.ensure_admin().await, Ok(FirstUser::Present)));
    // Setting one later changes nothing.
    let later = Auth::new(options(Some("another")), store, clock).expect("opens");
    assert!(matches!(later.ensure_admin().await, Ok(FirstUser::Present)));
    assert!(later.login(&username, &password, &Client::default()).await.is_ok());
    assert!(matches!(later.login(&username, "another", &Client::default()).await, Err(AuthError::InvalidCredentials)));
}

#[tokio::test]
async fn a_first_user_that_cannot_be_is_told() {
    let (store, _folder) = sqlite().await;
    for (name, password) in [("", "long enough"), ("a\nb", "long enough"), ("admin", "")] {
        let options = Options { admin_username: name.to_owned(), ..options(Some(password)) };
        let auth = Auth::new(options, store.clone(), Arc::new(ManualClock::at(Millis(0)))).expect("opens");
        assert!(matches!(auth.ensure_admin().await, Err(AuthError::FirstUser(_))), "{name:?} {password:?}");
    }
    assert!(!store.has_users().await.expect("answers"));
}

#[tokio::test]
async fn unknown_wrong_and_disabled_are_the_same_answer() {
    let door = door().await;
    let hash = door.store.user_by_name("admin").await.expect("answers").expect("there").password_hash;
    let gone = UserRow {
        id: "2".to_owned(),
        username: "gone".to_owned(),
        password_hash: hash,
        role: Role::Viewer,
        disabled: true,
        created_at: Millis(0),
        updated_at: Millis(0),
    };
    door.store.insert_user(&gone).await.expect("new");
    let long = format!("correct horse{}", " ".repeat(MAX_PASSWORD_BYTES));
    for (name, password) in [
        ("admin", "wrong"),
        ("admin", ""),
        ("admin", long.as_str()),
        ("nobody", "correct horse"),
        ("gone", "correct horse"),
        ("", "correct horse"),
        ("a\0", "correct horse"),
        (long.as_str(), "correct horse"),
    ] {
        let outcome = door.login(name, password).await;
        assert!(matches!(outcome, Err(AuthError::InvalidCredentials)), "{name:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn guessing_is_slowed_down_where_it_comes_from() {
    let door = door().await;
    for _ in 0..5 {
        assert!(matches!(door.login("admin", "wrong").await, Err(AuthError::InvalidCredentials)));
    }
    let slowed = door.login("ADMIN", "correct horse").await;
    assert!(matches!(slowed, Err(AuthError::TooManyAttempts { retry_after: 30 })), "{slowed:?}");
    assert!(door.auth.login("admin", "correct horse", &from("10.0.0.2")).await.is_ok());
    door.clock.advance_seconds(30.0);
    assert!(door.login("admin", "correct horse").await.is_ok());
}

#[tokio::test]
async fn a_hundred_guesses_at_once_are_no_more_than_one_after_the_other() {
    let door = Arc::new(door().await);
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let door = Arc::clone(&door);
            tokio::spawn(async move { door.login("admin", "wrong").await.expect_err("wrong") })
        })
        .collect();
    let mut tried = 0;
    for task in tasks {
        tried += usize::from(matches!(task.await.expect("task"), AuthError::InvalidCredentials));
    }
    assert_eq!(tried, 5);
}

#[tokio::test]
async fn a_session_ends_when_idle() {
    let door = door().await;
    let token = door.token().await;
    for _ in 0..3 {
        door.clock.advance_seconds(1.9 * HOUR);
        assert!(door.is_in(&token).await, "use keeps it alive");
    }
    door.clock.advance_seconds(2.1 * HOUR);
    assert!(!door.is_in(&token).await);
}

#[tokio::test]
async fn a_session_ends_at_its_end_however_busy() {
    let door = door().await;
    let token = door.token().await;
    for _ in 0..23 {
        door.clock.advance_seconds(HOUR);
        assert!(door.is_in(&token).await);
    }
    // Two seconds before the end it is remembered for five; it ends in time all the same.
    door.clock.advance_seconds(HOUR - 2.0);
    assert!(door.is_in(&token).await);
    door.clock.advance_seconds(2.0);
    assert!(!door.is_in(&token).await);
}

#[tokio::test]
async fn ended_sessions_are_swept() {
    let door = door().await;
    let old = door.token().await;
    door.clock.advance_seconds(3.0 * HOUR);
    let new = door.token().await;
    assert_eq!(door.auth.purge_expired().await.expect("works"), 1);
    assert!(!door.is_in(&old).await && door.is_in(&new).await);
}

#[tokio::test]
async fn a_session_deleted_elsewhere_ends_within_seconds() {
    let door = door().await;
    let token = door.token().await;
    assert!(door.is_in(&token).await);
    let hash = Token::parse(&token).expect("ours").hash();
    door.store.delete_session(hash.as_str()).await.expect("works");
    door.clock.advance_seconds(5.0);
    assert!(!door.is_in(&token).await);
}

#[tokio::test]
async fn the_token_is_nowhere_in_the_database() {
    let door = door().await;
    let token = door.token().await;
    let hash = Token::parse(&token).expect("ours").hash();
    let (row, user) = door.store.session(hash.as_str()).await.expect("answers").expect("there");
    assert!(!format!("{row:?}").contains(&token) && !user.password_hash.contains("correct horse"));
}

#[tokio::test]
async fn without_a_database_the_error_is_the_databases_and_costs_no_attempt() {
    let door = door().await;
    let token = door.token().await;
    door.store.close().await;
    for _ in 0..20 {
        assert!(matches!(door.login("admin", "wrong").await, Err(AuthError::Store(_))));
    }
    assert!(matches!(door.auth.authenticate(&token).await, Err(AuthError::Store(_))));
    assert!(matches!(door.auth.authenticate("rubbish").await, Err(AuthError::Unauthenticated)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn malformed_tokens_are_not_logged_in(texts in prop::collection::vec("\\PC{0,60}|[A-Za-z0-9_-]{43}", 16)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(async {
            let door = door().await;
            for text in texts {
                assert!(!door.is_in(&text).await, "{text:?}");
            }
        });
    }
}
