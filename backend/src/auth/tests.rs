//! The door, tried from both sides.

use fastflow_shared::{NewApiToken, NewUser, UserChange};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::domain::clock::{Clock as _, ManualClock};
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
        password_min_chars: 12,
        token_max_days: Some(365),
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
        match self.auth.authenticate(token, None).await {
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
        let identity = auth.authenticate(token, None).await.expect("in");
        assert_eq!(identity.user, session.user);
        assert_eq!((identity.user.username.as_str(), identity.user.role), ("admin", Role::Admin));
        assert_eq!(identity.expires_at, Some(session.expires_at));
        let (row, _) = store.session(session.token.hash().as_str()).await.expect("answers").expect("there");
        assert_eq!((row.ip.as_deref(), row.user_agent.as_deref()), (Some("10.0.0.1"), Some("test[31m")));
        auth.logout(token).await.expect("works");
        assert!(matches!(auth.authenticate(token, None).await, Err(AuthError::Unauthenticated)));
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
        last_login_at: None,
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
    assert!(matches!(door.auth.authenticate(&token, None).await, Err(AuthError::Store(_))));
    assert!(matches!(door.auth.authenticate("rubbish", None).await, Err(AuthError::Unauthenticated)));
}

async fn admin(door: &Door) -> Identity {
    door.auth.authenticate(&door.token().await, None).await.expect("in")
}

fn new_user(name: &str, role: Role) -> NewUser {
    NewUser { username: name.to_owned(), role, password: Some("a quiet long word".to_owned()) }
}

fn new_token(role: Role, days: Option<u32>) -> NewApiToken {
    NewApiToken { name: "deploy".to_owned(), role, expires_in_days: days }
}

#[tokio::test]
async fn a_user_is_made_with_a_password_that_is_given_or_told_once() {
    let door = door().await;
    let made = door.auth.create_user(&new_user(" ute ", Role::Operator)).await.expect("new");
    assert_eq!((made.user.username.as_str(), made.password), ("ute", None));
    assert!(door.login("UTE", "a quiet long word").await.is_ok());
    let made = door.auth.create_user(&NewUser { password: None, ..new_user("uwe", Role::Viewer) }).await.expect("new");
    let password = made.password.expect("made up");
    assert!(password.len() >= 20 && door.login("uwe", &password).await.is_ok());
    let twice = door.auth.create_user(&new_user("Ute", Role::Viewer)).await;
    assert!(matches!(twice, Err(AuthError::UserExists(_))));
    for name in ["", "a b", "a\nb", "a\u{202e}b", "a\u{200b}", &"x".repeat(65)] {
        let refused = door.auth.create_user(&new_user(name, Role::Viewer)).await;
        assert!(matches!(refused, Err(AuthError::Field { field: "username", .. })), "{name:?}");
    }
    for password in ["short", "ute2-----------", "aaaaaaaaaaaaaaaa"] {
        let new = NewUser { password: Some(password.to_owned()), ..new_user("ute2", Role::Viewer) };
        let refused = door.auth.create_user(&new).await;
        assert!(matches!(refused, Err(AuthError::Field { field: "password", .. })), "{password:?}");
    }
}

#[tokio::test]
async fn who_is_locked_out_demoted_or_deleted_notices_at_once() {
    let door = door().await;
    let id = door.auth.create_user(&new_user("ute", Role::Admin)).await.expect("new").user.id;
    let token = door.login("ute", "a quiet long word").await.expect("right").token.expose().to_owned();
    let identity = door.auth.authenticate(&token, None).await.expect("in");
    let api = door.auth.create_token(&identity, &new_token(Role::Admin, None)).await.expect("made").secret;
    let role = async |token: &str| door.auth.authenticate(token, None).await.map(|identity| identity.user.role).ok();
    assert_eq!((role(&token).await, role(&api).await), (Some(Role::Admin), Some(Role::Admin)));

    let demoted = UserChange { role: Some(Role::Viewer), disabled: None };
    door.auth.change_user(&id, &demoted).await.expect("changed");
    assert_eq!((role(&token).await, role(&api).await), (Some(Role::Viewer), Some(Role::Viewer)), "the token falls too");

    let locked = UserChange { role: None, disabled: Some(true) };
    assert!(door.auth.change_user(&id, &locked).await.expect("changed").disabled);
    assert_eq!((role(&token).await, role(&api).await), (None, None));
    assert!(matches!(door.login("ute", "a quiet long word").await, Err(AuthError::InvalidCredentials)));
    door.auth.change_user(&id, &UserChange { role: None, disabled: Some(false) }).await.expect("changed");
    assert_eq!((role(&token).await, role(&api).await), (None, None), "nothing comes back to life");
    let token = door.login("ute", "a quiet long word").await.expect("let in again").token.expose().to_owned();
    assert!(role(&token).await.is_some());
    door.auth.delete_user(&id).await.expect("deleted");
    assert_eq!(role(&token).await, None);
    let first = door.auth.user_id("ADMIN").await.expect("there");
    assert!(matches!(door.auth.delete_user(&first).await, Err(AuthError::LastAdmin)));
    assert!(matches!(door.auth.delete_user("nobody").await, Err(AuthError::UserNotFound(_))));
}

#[tokio::test]
async fn a_stream_ends_with_its_login() {
    let door = door().await;
    let id = door.auth.create_user(&new_user("ute", Role::Viewer)).await.expect("new").user.id;
    let token = door.login("ute", "a quiet long word").await.expect("right").token.expose().to_owned();
    let auth = door.auth.clone();
    let stream = tokio::spawn(async move { auth.ended(token).await });
    // Something else changes first: that is no end.
    door.auth.create_user(&new_user("uwe", Role::Viewer)).await.expect("new");
    let other = door.auth.user_id("uwe").await.expect("there");
    door.auth.change_user(&other, &UserChange { role: None, disabled: Some(true) }).await.expect("changed");
    tokio::task::yield_now().await;
    assert!(!stream.is_finished());
    door.auth.change_user(&id, &UserChange { role: None, disabled: Some(true) }).await.expect("changed");
    tokio::time::timeout(Duration::from_secs(20), stream).await.expect("ends").expect("no panic");
}

#[tokio::test]
async fn a_password_change_ends_the_other_sessions_and_asks_for_the_old_one() {
    let door = door().await;
    let (token, other) = (door.token().await, door.token().await);
    let identity = door.auth.authenticate(&token, None).await.expect("in");
    let change = async |current: &str, new: &str| {
        door.auth.change_password(&identity, &token, current, new, &from("10.0.0.9")).await
    };
    assert!(matches!(change("wrong", "another long word").await, Err(AuthError::WrongPassword)));
    for new in ["short", "correct horse"] {
        let refused = change("correct horse", new).await;
        assert!(matches!(refused, Err(AuthError::Field { field: "new_password", .. })), "{new}: {refused:?}");
    }
    change("correct horse", "another long word").await.expect("changed");
    assert!(door.is_in(&token).await && !door.is_in(&other).await);
    assert!(matches!(door.login("admin", "correct horse").await, Err(AuthError::InvalidCredentials)));
    assert!(door.login("admin", "another long word").await.is_ok());
    // Guessing at the present password is slowed down like any other guessing.
    for _ in 0..5 {
        assert!(matches!(change("wrong", "x").await, Err(AuthError::WrongPassword)));
    }
    assert!(matches!(change("another long word", "x").await, Err(AuthError::TooManyAttempts { .. })));
}

#[tokio::test]
async fn a_reset_ends_all_sessions() {
    let door = door().await;
    let token = door.token().await;
    let id = door.auth.user_id("admin").await.expect("there");
    let reset = door.auth.reset_password(&id, None).await.expect("reset");
    assert!(!door.is_in(&token).await);
    assert!(door.login("admin", &reset.password.expect("made up")).await.is_ok());
    assert!(matches!(door.auth.reset_password(&id, Some("short")).await, Err(AuthError::Field { .. })));
    assert!(matches!(door.auth.reset_password("nobody", None).await, Err(AuthError::UserNotFound(_))));
}

#[tokio::test]
async fn own_sessions_are_listed_and_ended() {
    let door = door().await;
    let (first, second, third) = (door.token().await, door.token().await, door.token().await);
    let identity = door.auth.authenticate(&first, None).await.expect("in");
    let list = async || door.auth.sessions(&identity, &first).await.expect("answers");
    let sessions = list().await;
    assert_eq!(sessions.len(), 3);
    assert_eq!(sessions.iter().filter(|session| session.current).count(), 1);
    let hash = Token::parse(&second).expect("ours").hash();
    let id =
        sessions.iter().map(|session| session.id.clone()).find(|id| hash.as_str().starts_with(id)).expect("listed");
    door.auth.end_session(&identity, &id).await.expect("ended");
    assert!(!door.is_in(&second).await && door.is_in(&third).await);
    assert!(matches!(door.auth.end_session(&identity, &id).await, Err(AuthError::SessionNotFound(_))));
    assert_eq!(door.auth.end_other_sessions(&identity, &first).await.expect("ended"), 1);
    assert!(!door.is_in(&third).await && door.is_in(&first).await);
    assert_eq!(list().await.len(), 1);
}

#[tokio::test]
async fn tokens_end_when_they_should_and_may_no_more_than_their_owner() {
    let door = door().await;
    let admin = admin(&door).await;
    door.auth.create_user(&new_user("ute", Role::Operator)).await.expect("new");
    let session = door.login("ute", "a quiet long word").await.expect("right");
    let ute = door.auth.authenticate(session.token.expose(), None).await.expect("in");
    for (new, field) in [
        (new_token(Role::Admin, None), "role"),
        (new_token(Role::Viewer, Some(0)), "expires_in_days"),
        (new_token(Role::Viewer, Some(366)), "expires_in_days"),
        (NewApiToken { name: " ".to_owned(), ..new_token(Role::Viewer, None) }, "name"),
    ] {
        let refused = door.auth.create_token(&ute, &new).await.err();
        assert!(matches!(refused, Some(AuthError::Field { field: found, .. }) if found == field), "{refused:?}");
    }
    let day = door.auth.create_token(&ute, &new_token(Role::Viewer, Some(1))).await.expect("made");
    let year = door.auth.create_token(&ute, &new_token(Role::Operator, None)).await.expect("made");
    assert!(day.secret.starts_with("ff_") && day.secret.starts_with(&day.token.hint));
    let identity =
        door.auth.authenticate(&day.secret, Some("10.0.0.7".parse().expect("an address"))).await.expect("in");
    assert_eq!((identity.user.role, identity.means), (Role::Viewer, Means::Token { name: "deploy".to_owned() }));
    let listed = door.auth.tokens(Some(&ute.user.id)).await.expect("answers");
    let used = listed.iter().find(|token| token.id == day.token.id).expect("listed");
    assert_eq!(used.last_used_ip.as_deref(), Some("10.0.0.7"));
    assert!(used.last_used_at.is_some() && listed.iter().any(|token| token.last_used_at.is_none()));
    assert!(door.auth.tokens(Some(&admin.user.id)).await.expect("answers").is_empty());
    door.clock.advance_seconds(24.0 * HOUR);
    assert!(!door.is_in(&day.secret).await && door.is_in(&year.secret).await);
    assert!(matches!(
        door.auth.delete_token(&year.token.id, Some(&admin.user.id)).await,
        Err(AuthError::TokenNotFound(_))
    ));
    door.auth.delete_token(&year.token.id, Some(&ute.user.id)).await.expect("deleted");
    assert!(!door.is_in(&year.secret).await, "at once, remembered or not");
    door.clock.advance_seconds(24.0 * HOUR * 364.0);
    assert!(!door.is_in(&year.secret).await);
}

#[tokio::test]
async fn no_more_tokens_than_a_hundred() {
    let door = door().await;
    let admin = admin(&door).await;
    for _ in 0..100 {
        door.auth.create_token(&admin, &new_token(Role::Viewer, None)).await.expect("made");
    }
    let refused = door.auth.create_token(&admin, &new_token(Role::Viewer, None)).await.err();
    assert!(matches!(refused, Some(AuthError::TooManyTokens(100))), "{refused:?}");
}

#[tokio::test]
async fn a_hash_of_yesterdays_cost_is_renewed_at_the_next_login() {
    let door = door().await;
    let old = door.store.user_by_name("admin").await.expect("answers").expect("there").password_hash;
    let options = Options { cost: Cost { memory_kib: 16, passes: 1 }, ..options(None) };
    let later = Auth::new(options, door.store.clone(), Arc::new(door.clock.clone())).expect("opens");
    assert!(later.login("admin", "correct horse", &Client::default()).await.is_ok());
    let user = door.store.user_by_name("admin").await.expect("answers").expect("there");
    assert_ne!(user.password_hash, old);
    assert_eq!(user.last_login_at, Some(door.clock.now()));
    assert!(later.login("admin", "correct horse", &Client::default()).await.is_ok());
    assert!(door.login("admin", "correct horse").await.is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn malformed_tokens_are_not_logged_in(texts in prop::collection::vec("\\PC{0,60}|(ff_)?[A-Za-z0-9_-]{43}", 16)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(async {
            let door = door().await;
            for text in texts {
                assert!(!door.is_in(&text).await, "{text:?}");
            }
        });
    }
}
