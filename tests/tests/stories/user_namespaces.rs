//! A Docker that renames users (`userns-remap`): runs work, and what they write is the server's to delete.

use fastflow_tests::daemon::Daemon;
use fastflow_tests::{Options, Server, docker};

/// Writes where a run may write, and tries where it may not.
const SCRIPT: &str = r"
import os
print(os.getuid(), open('/proc/self/uid_map').read().split())
open('own.txt', 'w').write('x')
open('/tmp/own.txt', 'w').write('x')
for path in ('/etc/passwd', '/usr/bin/evil', '/root/evil'):
    try:
        open(path, 'a').close()
    except OSError as error:
        print(type(error).__name__)
";

#[tokio::test]
async fn a_docker_that_renames_users_runs_pipelines_as_any_other() {
    let daemon = Daemon::start_renaming().await;
    let options = Options::new().env("DOCKER_HOST", daemon.host()).env("WORKER_NETWORK", "none");
    let server = Server::start(options).await;
    let client = server.client();
    let told = docker::docker(&["-H", &daemon.host(), "info", "--format", "{{.SecurityOptions}}"]).await;
    assert!(told.contains("name=userns"), "the story's daemon does rename users: {told}");
    server.pipeline("writes", SCRIPT);
    let run = client.run_well("writes").await;
    let log = client.log_text(&run.id).await;
    assert!(log.starts_with("10001 ['0', '0', "), "the folders' owners are those of the host: {log}");
    assert!(log.lines().skip(1).count() == 3 && !log.contains("FileNotFound"), "nothing else can be written: {log}");
    client.idle().await;
    let scratch = std::fs::read_dir(server.data_dir().join("scratch")).map_or(0, Iterator::count);
    assert_eq!(scratch, 0, "what the run wrote is gone with it");
    let (code, said) = server.call(&["doctor"]);
    assert!(said.contains("userns-remap") && !said.contains("FAIL  docker"), "{code:?}: {said}");
}
