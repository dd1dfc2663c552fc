//! The server's own messages: to stderr, as text for people or as JSON for collectors.
//!
//! A message is a sentence that can be read alone and carries its facts as fields as well, so that both readers are served
//! by one line of code. Errors are logged once, where they stop being passed on.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::Server;

/// Begins to write messages. A second call changes nothing.
pub(super) fn start(server: &Server) {
    // Checked when the settings were read.
    let filter = EnvFilter::try_new(&server.log_filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // Who did what with a secret is told whatever else is not.
    let filter = match "audit=info".parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let stderr = || std::io::stderr();
    let begin = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let done = if server.log_json {
        begin.json().flatten_event(true).with_span_list(false).finish().try_init()
    } else {
        begin.with_ansi(std::io::stderr().is_terminal()).finish().try_init()
    };
    // Somebody else, such as a test, has begun already.
    drop(done);
}
