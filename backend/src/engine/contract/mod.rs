//! The engine's contract as tests: each is one function over [`Ground`], and runs on the fake *and* on real Docker.
//!
//! A job is written twice, in shell for the real one and as instructions for the fake ([`Ground::job`]); what must come of
//! it is written once. Docker absent is a failed test, never a skipped one. What only a real container can show is tested
//! in `docker/live_tests.rs`, with the same [`on_docker`].

mod lifecycle;
mod output;
mod resuming;
mod world;

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt;
use tokio::sync::Semaphore;

use super::fake::{FakeDocker, program};
use super::*;

/// The image that the product runs pipelines in.
pub(super) const IMAGE: &str = "ghcr.io/astral-sh/uv:python3.11-bookworm-slim";

/// Longer than any of these tests takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// Containers start no faster when more tests start them at once, see the measurements in the design.
static AT_ONCE: Semaphore = Semaphore::const_new(3);

/// Where a test stands: two instances on one Docker.
pub(super) struct Ground {
    pub engine: Arc<dyn Engine>,
    /// Another instance, which must not be touched.
    pub neighbour: Arc<dyn Engine>,
    pub image: String,
    pub instance: String,
}

/// What came of a job.
#[derive(Debug)]
pub(super) struct Outcome {
    pub id: ContainerId,
    pub exit: Exit,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Ground {
    pub fn spec(&self, name: &str) -> ContainerSpec {
        ContainerSpec {
            name: format!("{}-{name}", self.instance),
            kind: Kind::Run,
            image: self.image.clone(),
            user: "10001:10001".to_owned(),
            run_id: Some(format!("run-{name}")),
            pipeline: Some("test".to_owned()),
            mounts: vec![Mount::Tmpfs { target: "/tmp".into(), size_bytes: Some(1 << 24), executable: true }],
            network: Network::None,
            limits: Limits { cpus: None, memory_bytes: Some(256 << 20), pids: Some(100) },
        }
    }

    /// The same job for a shell and for the fake.
    pub fn job(&self, shell: &str, fake: &str) -> Job {
        Job {
            argv: vec!["/bin/sh".into(), "-c".into(), shell.into()],
            env: vec![(program::VARIABLE.into(), fake.into())],
            cwd: "/tmp".into(),
        }
    }

    /// Created, attached, started, job handed over.
    pub async fn begin(&self, name: &str, job: &Job) -> (ContainerId, OutputStream) {
        let id = self.engine.create(&self.spec(name)).await.expect("create");
        let Attachment { output, input } = self.engine.attach(&id).await.expect("attach");
        self.engine.start(&id).await.expect("start");
        input.send(job).await.expect("hand over the job");
        (id, output)
    }

    /// A whole life but the removal.
    pub async fn run(&self, name: &str, job: &Job) -> Outcome {
        let (id, output) = self.begin(name, job).await;
        let (stdout, stderr) = drain(output).await;
        let exit = self.engine.wait(&id).await.expect("wait");
        Outcome { id, exit, stdout, stderr }
    }

    pub async fn state(&self, id: &ContainerId) -> ContainerState {
        self.engine.inspect(id).await.expect("inspect").expect("the container is there")
    }

    /// Docker's own log per stream.
    pub async fn logged(&self, id: &ContainerId) -> (Vec<u8>, Vec<u8>) {
        let log = self.engine.stored_log(id, None).await.expect("stored log");
        let frames = log.map(|frame| frame.map(|StoredFrame { source, bytes, .. }| Frame { source, bytes }));
        drain(Box::pin(frames)).await
    }
}

/// Everything that comes, per stream.
pub(super) async fn drain(mut output: OutputStream) -> (Vec<u8>, Vec<u8>) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(frame) = output.next().await {
        let frame = frame.expect("output");
        match frame.source {
            Source::Stdout => stdout.extend_from_slice(&frame.bytes),
            Source::Stderr => stderr.extend_from_slice(&frame.bytes),
        }
    }
    (stdout, stderr)
}

/// Reads stdout until so many lines have come.
pub(super) async fn read_lines(output: &mut OutputStream, lines: usize) -> Vec<u8> {
    let mut seen = BytesMut::new();
    while seen.iter().filter(|byte| **byte == b'\n').count() < lines {
        let frame = output.next().await.expect("more output").expect("output");
        seen.extend_from_slice(&frame.bytes);
    }
    seen.to_vec()
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a test on the fake.
async fn on_fake<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(Ground) -> F) {
    let docker = FakeDocker::new();
    let ground = Ground {
        engine: Arc::new(docker.engine(Options::new("test"))),
        neighbour: Arc::new(docker.engine(Options::new("neighbour"))),
        image: IMAGE.to_owned(),
        instance: "test".to_owned(),
    };
    test(ground).await;
}

/// The options of an instance for tests on this machine's Docker.
pub(super) fn docker_options(instance: &str) -> Options {
    Options { docker_host: std::env::var("DOCKER_HOST").ok(), ..Options::new(instance) }
}

/// Runs a test on this machine's Docker and removes all that it made, however it ends.
pub(super) async fn on_docker<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(Ground) -> F) {
    let _place = AT_ONCE.acquire().await.expect("never closed");
    let instance = format!("test-{}", uuid::Uuid::now_v7().simple());
    let neighbour = format!("{instance}-neighbour");
    let engines = [&instance, &neighbour]
        .map(|instance| Arc::new(DockerEngine::new(docker_options(instance)).expect("usable Docker host")));
    if let Err(error) = engines[0].info().await {
        panic!("this test needs a running Docker engine: {error}");
    }
    let image = engines[0].ensure_image(IMAGE).await.expect("this test needs the worker image");
    let ground = Ground {
        engine: Arc::clone(&engines[0]) as Arc<dyn Engine>,
        neighbour: Arc::clone(&engines[1]) as Arc<dyn Engine>,
        image: image.reference,
        instance,
    };
    let test = tokio::spawn(tokio::time::timeout(PATIENCE, test(ground)));
    let ended = test.await;
    for engine in &engines {
        for left in engine.list().await.expect("list for the clean-up") {
            engine.remove(&left.id).await.expect("clean up");
        }
        engine.remove_network().await.expect("clean up the network");
    }
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(_)) => panic!("the test hung"),
        Err(failure) => resume_unwind(failure.into_panic()),
    }
}

/// Makes two tests of each function: one on the fake, whose time flies, and one on Docker.
macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod fake {
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                super::super::on_fake(super::$name).await;
            })*
        }
        mod docker {
            $(#[tokio::test]
            async fn $name() {
                super::super::on_docker(super::$name).await;
            })*
        }
    };
}
use contract;
