//! Deadlines. A story waits for a condition, never for a time.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How long most things may take, on a busy machine with two cores.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two looks.
pub const PAUSE: Duration = Duration::from_millis(40);

/// The future's value, within `limit`.
///
/// # Panics
/// When it takes longer.
pub async fn within<T>(what: &str, limit: Duration, future: impl Future<Output = T>) -> T {
    timeout(limit, future).await.unwrap_or_else(|_| panic!("{what} took longer than {limit:?}"))
}

/// Looks again and again until there is something.
///
/// # Panics
/// When there is still nothing after `limit`.
pub async fn until<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "waited {limit:?} in vain: {what}");
        sleep(PAUSE).await;
    }
}
