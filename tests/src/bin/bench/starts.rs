//! From a request to the first line and to the end: ours, warm and cold; Docker's own calls; the command of the first plan.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastflow_shared::{events, routes};
use fastflow_tests::bench::{Raw, Wanted};
use fastflow_tests::options::UvCache;
use fastflow_tests::{Client, Options, Server, place};

use crate::picture::Phase;
use crate::report::{Report, Table, Times, both, millis, ratio};

/// Starts per side.
const STARTS: usize = 21;

/// Name, requirements, script.
const SCRIPTS: [(&str, &str, &str); 3] = [
    ("plain", "", "print('first line')"),
    ("requests", "requests>=2.32,<3\n", "import requests\nprint('first line', requests.__version__)"),
    (
        "pandas",
        "pandas>=2.2,<3\npyarrow>=17\n",
        "import pandas, pyarrow\nprint('first line', pandas.__version__, pyarrow.__version__)",
    ),
];

#[derive(Default)]
struct Side {
    first: Times,
    end: Times,
}

impl Side {
    fn push(&mut self, (first, end): (Duration, Duration)) {
        self.first.push(first);
        self.end.push(end);
    }
}

/// Starts a pipeline and watches it: until its first line, until its end.
pub async fn watch(client: &Client, pipeline: &str) -> (Duration, Duration) {
    let begin = Instant::now();
    let run = client.start(pipeline).await;
    let mut stream = client.stream(&routes::run_logs_stream(&run.id), None).await;
    let mut first = None;
    loop {
        let event = stream.event(Duration::from_secs(120)).await.expect("the stream goes on");
        match event.name.as_str() {
            events::LINES => {
                first.get_or_insert_with(|| begin.elapsed());
            }
            events::END => {
                let end = begin.elapsed();
                return (first.unwrap_or(end), end);
            }
            _ => {}
        }
    }
}

/// Where environments are kept between benches, so that packages are fetched once.
pub fn cache() -> PathBuf {
    place::scratch().join("bench-uv")
}

/// The same script for Docker alone: hardened like ours, in the environment of that key, which is mounted.
pub fn in_environment(key: &str, script: &str) -> Wanted {
    let environment = format!("/fastflow/uv/environments/{key}");
    let mount = format!("{}:{environment}:ro", cache().join("environments").join(key).display());
    Wanted::hardened(&[&format!("{environment}/bin/python"), "-u", "-c", script]).mounted(&[&mount])
}

pub async fn part(report: &mut Report) {
    let cache = cache();
    let options =
        || Options::new().uv_cache(UvCache::At(cache.clone())).env("RUST_LOG", "warn,fastflow::timeline=debug");
    let cold = Server::start(options()).await;
    lay_out(&cold);
    for (name, ..) in SCRIPTS {
        cold.client().run_well(name).await;
    }
    cold.client().idle().await;
    let warm = Server::start(options().warm(1)).await;
    lay_out(&warm);
    for (name, ..) in SCRIPTS {
        warm.all_parked().await;
        assert!(warm.client().run_well(name).await.warm_start, "it takes the parked container");
    }
    let raw = Raw::new(cold.instance());
    let plan_cache = cache.join("plan");
    std::fs::create_dir_all(&plan_cache).expect("a folder");
    let mut marks = [BTreeMap::new(), BTreeMap::new()];
    for (place, server) in [&cold, &warm].into_iter().enumerate() {
        // What was said until now is of no interest.
        marks[place].insert("skip", Times::from_iter([Duration::from_secs(timelines(server).len() as u64)]));
    }

    let head = ["script", "", "median / p95", "of Docker's", "of the plan's"];
    let mut table = Table::new("starts", &head).note(format!(
        "{STARTS} starts each, in turns; median / p95 from the request on. Docker: create, attach, start by its socket, hardened \
         alike, with the same environment mounted. The plan: `uv run --with-requirements` with a full cache."
    ));
    for (name, _, script) in SCRIPTS {
        let key = cold.client().run_well(name).await.environment.expect("it has one");
        let bare = in_environment(&key, script);
        let plan = plans_command(&cold, &plan_cache, name);
        // Fills its cache.
        raw.run(&plan).await;
        let [mut docker, mut plans, mut ours_cold, mut ours_warm] = [(); 4].map(|()| Side::default());
        for _ in 0..STARTS {
            let seen = raw.run(&bare).await;
            docker.push((seen.first, seen.end));
            let seen = raw.run(&plan).await;
            plans.push((seen.first, seen.end));
            ours_cold.push(watch(cold.client(), name).await);
            cold.client().idle().await;
            warm.client().idle().await;
            warm.all_parked().await;
            ours_warm.push(watch(warm.client(), name).await);
        }
        let label = match name {
            "plain" => "no requirements",
            "pandas" => "pandas and pyarrow",
            other => other,
        };
        for (what, pick) in
            [("first line", (|side| &side.first) as fn(&Side) -> &Times), ("completion", |side| &side.end)]
        {
            for (who, side) in [("warm", &ours_warm), ("cold", &ours_cold), ("Docker", &docker), ("plan", &plans)] {
                let times = pick(side);
                let of = |other: &Side| ratio(times.median(), pick(other).median());
                let who = format!("{what}, {who}");
                table.row(&[label, &who, &both(times), &of(&docker), &of(&plans)]);
            }
        }
    }
    report.add(table);
    where_it_goes(report, &cold, &warm, &marks);
}

fn lay_out(server: &Server) {
    for (name, requirements, script) in SCRIPTS {
        let pipeline = server.pipeline(name, script);
        let _ = pipeline.requirements(requirements);
    }
}

/// The container of the first plan: its command, its mounts, no hardening.
fn plans_command(server: &Server, cache: &Path, name: &str) -> Wanted {
    let requirements = format!("/app/{name}/requirements.txt");
    let main = format!("/app/{name}/main.py");
    let pipelines = format!("{}:/app:ro", server.pipelines_dir().display());
    let cache = format!("{}:/root/.cache/uv", cache.display());
    let mut mounts = vec![pipelines, cache];
    let mut env = vec!["PYTHONUNBUFFERED=1".to_owned()];
    for (variable, value) in std::env::vars() {
        if variable == "SSL_CERT_FILE" {
            mounts.push(format!("{value}:/ca.pem:ro"));
            env.push("SSL_CERT_FILE=/ca.pem".to_owned());
        } else if variable.starts_with("UV_") {
            env.push(format!("{variable}={value}"));
        }
    }
    let mounts: Vec<&str> = mounts.iter().map(String::as_str).collect();
    Wanted::plain(&["uv", "run", "--with-requirements", &requirements, &main]).mounted(&mounts).env(env)
}

/// The marks of each run that the server has told of, in µs.
fn timelines(server: &Server) -> Vec<BTreeMap<String, u64>> {
    let messages = server.messages();
    let told = messages.lines().filter_map(|line| line.split_once("fastflow::timeline: ").map(|(_, told)| told));
    told.map(|told| {
        told.split(' ')
            .filter_map(|mark| mark.split_once('='))
            .filter_map(|(name, at)| Some((name.to_owned(), at.parse().ok()?)))
            .collect()
    })
    .collect()
}

/// What lies between two marks, in words; the later one names it.
const STEPS: [(&str, &str, &str, bool); 13] = [
    ("accepted", "admitted", "slot", true),
    ("admitted", "read", "files read, image looked up", true),
    ("read", "environment", "environment found", true),
    ("environment", "folders", "folders made", true),
    ("folders", "created", "Docker creates", false),
    ("created", "attached", "Docker attaches", false),
    ("attached", "started", "Docker starts", false),
    ("started", "noted", "code and secrets ready, noted", true),
    ("noted", "sent", "job handed over", true),
    ("sent", "output", "Python, until its first line is in the log", false),
    ("output", "exited", "script, and Docker notices its end", false),
    ("exited", "recorded", "outcome recorded", true),
    ("recorded", "removed", "Docker removes", false),
];

fn where_it_goes(report: &mut Report, cold: &Server, warm: &Server, skip: &[BTreeMap<&str, Times>; 2]) {
    let mut table = Table::new("phases", &["step", "whose", "cold", "warm"])
        .note("Medians of the starts above, without and with requirements; code and secrets are made ready while Docker works.".to_owned());
    let medians = |server: &Server, skipped: usize| {
        let lines: Vec<_> = timelines(server).into_iter().skip(skipped).collect();
        STEPS.map(|(from, to, ..)| {
            // A parked container was created long ago: what is left of Docker's part is setting its limits.
            let from = if lines.iter().all(|marks| !marks.contains_key(from)) { "folders" } else { from };
            let between = |marks: &BTreeMap<String, u64>| Some(marks.get(to)?.saturating_sub(*marks.get(from)?));
            let times: Times = lines.iter().filter_map(between).map(Duration::from_micros).collect();
            (times.len() > 0).then(|| times.median())
        })
    };
    let skipped = |place: usize| usize::try_from(skip[place]["skip"].median().as_secs()).unwrap_or_default();
    let (cold, warm) = (medians(cold, skipped(0)), medians(warm, skipped(1)));
    let show = |time: Option<Duration>| time.map_or_else(|| "–".to_owned(), millis);
    for (place, (_, _, what, ours)) in STEPS.into_iter().enumerate() {
        let whose = if ours { "ours" } else { "Docker, Python" };
        table.row(&[what, whose, &show(cold[place]), &show(warm[place])]);
        let ms = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1000.0);
        report.phases.push(Phase { what, ours, cold: ms(cold[place]), warm: ms(warm[place]) });
    }
    report.add(table);
}
