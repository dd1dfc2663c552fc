//! The product in a container of its own, with Docker's socket and one volume, as `docker-compose.yaml` starts it: nobody tells
//! it where its folders lie on the host.

use std::path::Path;
use std::time::Duration;

use fastflow_shared::{RunStatus, routes};
use fastflow_tests::docker::{self, docker};
use fastflow_tests::pipelines::Pipeline;
use fastflow_tests::server::{PASSWORD, USER};
use fastflow_tests::wait::{until, within};
use fastflow_tests::{Client, place};

/// Takes five seconds and more to count to 500.
pub const COUNTS: &str = "import os, time\nprint(sorted(os.listdir('.')), flush=True)\n\
    for n in range(1, 501):\n    print(f'line {n:04d}', flush=True)\n    time.sleep(0.01)\n";

/// What it prints.
pub fn counted() -> String {
    let lines: String = (1..=500).map(|n| format!("line {n:04}\n")).collect();
    // `/app/counts` leads to `/app` itself.
    format!("['counts', 'main.py']\n{lines}")
}

/// The image, a volume, and what is started of them; removed with the value.
struct Product {
    /// Name of the image, and of the installation that is started of it.
    name: String,
    port: u16,
    /// Folder of its pipelines.
    pipelines: std::path::PathBuf,
}

/// An image that was made already: the stories use it as it is, so that `scripts/image` can have the whole Dockerfile proved.
pub fn finished() -> Option<String> {
    std::env::var("FASTFLOW_TEST_IMAGE").ok().filter(|name| !name.is_empty())
}

/// Lays out what the stage `prebuilt` needs, with the program that the other stories test.
pub fn context(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    for file in ["Dockerfile", "LICENSE"] {
        std::fs::copy(place::repository().join(file), folder.join(file)).expect("a file of the repository");
    }
    // Without what only a debugger reads, which is most of it.
    let mut strip = std::process::Command::new("strip");
    let stripped = strip.arg("-o").arg(folder.join("fastflow")).arg(place::server_binary()).status();
    assert!(stripped.expect("strip, which comes with every C compiler").success());
}

/// Builds an image; with the builder that every Docker has.
pub async fn build(name: &str, folder: &Path, more: &[&str]) {
    let mut build = tokio::process::Command::new("docker");
    build.env("DOCKER_BUILDKIT", "0").args(["build", "--quiet", "--tag", name]).args(more).arg(folder);
    let output = within(&format!("building {name}"), Duration::from_secs(120), build.kill_on_drop(true).output()).await;
    let output = output.expect("docker");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

impl Product {
    /// The image of the program that the other stories test, on a stand-in for Debian.
    async fn build() -> Self {
        let name = place::unique();
        let root = place::scratch().join(&name);
        if let Some(finished) = finished() {
            docker(&["tag", &finished, &name]).await;
        } else {
            let base = format!("RUNTIME_IMAGE={}", docker::image());
            context(&root.join("context"));
            build(&name, &root.join("context"), &["--target", "prebuilt", "--build-arg", &base]).await;
        }
        let pipelines = root.join("pipelines");
        std::fs::create_dir_all(&pipelines).expect("a folder");
        Self { name, port: place::free_port(), pipelines }
    }

    /// Starts it; nothing says where anything lies.
    async fn start(&self) -> Client {
        let container = format!("{}-server", self.name);
        let volume = format!("{}:/srv/fastflow/data", self.name);
        let pipelines = format!("{}:/srv/fastflow/pipelines", self.pipelines.display());
        let port = format!("127.0.0.1:{}:8000", self.port);
        let instance = format!("FASTFLOW_INSTANCE={}", self.name);
        let worker = format!("WORKER_BASE_IMAGE={}", docker::image());
        let password = format!("ADMIN_PASSWORD={PASSWORD}");
        let socket = format!("{0}:{0}", "/var/run/docker.sock");
        let arguments = [
            "run",
            "--detach",
            "--init",
            "--name",
            &container,
            "--volume",
            &socket,
            "--volume",
            &volume,
            "--volume",
            &pipelines,
            "--publish",
            &port,
            "--env",
            &instance,
            "--env",
            &worker,
            "--env",
            &password,
            "--security-opt",
            "no-new-privileges:true",
            &self.name,
        ];
        docker(&arguments).await;
        let base = format!("http://127.0.0.1:{}", self.port);
        let anonymous = Client::anonymous(&base);
        until("the product to be ready", Duration::from_secs(60), async || {
            anonymous.is_well(routes::READY).await.then_some(())
        })
        .await;
        Client::program(&base, USER, PASSWORD).await
    }

    /// Removes its container, as an update of the image does: what it started goes on.
    async fn remove(&self) {
        docker(&["rm", "--force", &format!("{}-server", self.name)]).await;
    }

    async fn call(&self, arguments: &[&str]) -> String {
        let container = format!("{}-server", self.name);
        let mut all = vec!["exec", &container, "fastflow"];
        all.extend(arguments);
        docker(&all).await
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        let run = |arguments: &[&str]| {
            let _ = std::process::Command::new("docker").args(arguments).output();
        };
        if std::thread::panicking() {
            let logs = std::process::Command::new("docker").args(["logs", &format!("{}-server", self.name)]).output();
            if let Ok(logs) = logs {
                eprintln!("the product said:\n{}", String::from_utf8_lossy(&[logs.stdout, logs.stderr].concat()));
            }
        }
        run(&["rm", "--force", &format!("{}-server", self.name)]);
        docker::remove_all_of(&self.name);
        run(&["volume", "rm", &self.name]);
        run(&["image", "rm", "--force", &self.name]);
        let _ = std::fs::remove_dir_all(place::scratch().join(&self.name));
    }
}

#[tokio::test]
async fn the_product_works_in_a_container_and_its_successor_goes_on_with_its_runs() {
    let product = Product::build().await;
    let _ = Pipeline::create(&product.pipelines, "counts", COUNTS);
    let client = product.start().await;
    // Its environment is built in the volume, its code is copied there, and both are mounted from the host's side of it.
    let run = client.start("counts").await;
    client.log_when(&run.id, "line 0050").await;
    let told = product.call(&["doctor"]).await;
    assert!(told.contains("OK    docker") && told.contains("OK    folders"), "{told}");
    assert_eq!(product.call(&["health"]).await, "ok");
    product.remove().await;

    let client = product.start().await;
    let ended = client.end_of(&run.id).await;
    assert_eq!(ended.status, RunStatus::Success, "{:?}", ended.error_message);
    assert_eq!(client.log_text(&run.id).await, counted(), "every line once, across two containers of the product");
    client.idle().await;
    let again = client.run_to_end("counts").await;
    assert_eq!(again.status, RunStatus::Success, "{:?}", again.error_message);
}

/// The file that users start from names only what is there.
#[test]
fn the_compose_file_offers_what_the_documents_say() {
    let read = |name: &str| std::fs::read_to_string(place::repository().join(name)).expect("a file of the repository");
    let compose = read("docker-compose.yaml");
    for wanted in
        ["/var/run/docker.sock", "profiles: [postgres]", "profiles: [tls]", "path: .env", "127.0.0.1:8000:8000"]
    {
        assert!(compose.contains(wanted), "{wanted}");
    }
    let dockerfile = read("Dockerfile");
    for line in dockerfile.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from=")) {
        for name in line.split_whitespace().skip(1).filter(|name| !name.contains('[') && *name != ".") {
            let is_target = name.ends_with('/');
            assert!(is_target || place::repository().join(name).exists() || Path::new(name).is_absolute(), "{line}");
        }
    }
}
