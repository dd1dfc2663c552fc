//! Who may call which operation, and what of it is written into the audit log: one line each, and the only place that says
//! so. The gate in front of all operations goes by it; a test compares it with the OpenAPI document, so that a new operation
//! without a line fails. One that came without all the same is an admin's alone.

use fastflow_shared::{Role, routes};
use poem::http::Method;

/// Most bytes of a request's body: parameters and secrets, never files.
const MAX_BODY: usize = 2 << 20;

/// The same for operations that need no login.
const MAX_OPEN_BODY: usize = 16 << 10;

/// What holds for one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its `operationId`.
    pub operation: &'static str,
    /// The lowest role that may call it; `None` for anybody, without a login.
    pub needs: Option<Role>,
    /// Whether it needs a login with a password: a stolen API token must not make itself at home.
    pub in_person: bool,
    /// What it is called in the audit log, as `area.verb`, if it is written there.
    pub action: Option<&'static str>,
    /// Whether the answer is held back when the audit log cannot be written.
    pub discloses: bool,
    /// Whether it is done although the audit log cannot be written: it only ends what is going on.
    pub even_unlogged: bool,
    /// Whether refusals of somebody who is not known are written down. Only where something limits how often there can be
    /// one: else anybody could fill the log.
    pub refusals: bool,
    /// Most bytes of its body.
    pub max_body: usize,
}

const fn rule(operation: &'static str, needs: Option<Role>) -> Rule {
    let max_body = if needs.is_none() { MAX_OPEN_BODY } else { MAX_BODY };
    Rule {
        operation,
        needs,
        in_person: false,
        action: None,
        discloses: false,
        even_unlogged: false,
        refusals: false,
        max_body,
    }
}

const fn open(operation: &'static str) -> Rule {
    rule(operation, None)
}

const fn viewer(operation: &'static str) -> Rule {
    rule(operation, Some(Role::Viewer))
}

const fn operator(operation: &'static str) -> Rule {
    rule(operation, Some(Role::Operator))
}

const fn admin(operation: &'static str) -> Rule {
    rule(operation, Some(Role::Admin))
}

impl Rule {
    /// Every call is written into the audit log, refused ones included; none is done while that cannot be written.
    const fn audited(self, action: &'static str) -> Self {
        Self { action: Some(action), ..self }
    }

    /// The same for an operation that gives away what nobody can take back: no entry, no answer.
    const fn discloses(self, action: &'static str) -> Self {
        Self { discloses: true, ..self.audited(action) }
    }

    /// Every call is written down, and none is refused because that fails: who wants a run stopped, a session ended or a
    /// token gone must not wait for a disk.
    const fn ends(self, action: &'static str) -> Self {
        Self { even_unlogged: true, ..self.audited(action) }
    }

    /// With refusals of strangers.
    const fn with_refusals(self) -> Self {
        Self { refusals: true, ..self }
    }

    /// With a larger body than operations without a login have.
    const fn large(self) -> Self {
        Self { max_body: MAX_BODY, ..self }
    }

    /// Only with a login, not with an API token.
    const fn in_person(self) -> Self {
        Self { in_person: true, ..self }
    }
}

/// Every operation.
pub const RULES: &[Rule] = &[
    // The door.
    open("login").audited("auth.login").with_refusals(),
    viewer("logout").ends("auth.logout"),
    viewer("getMe"),
    viewer("changePassword").in_person().audited("auth.password"),
    viewer("listSessions").in_person(),
    viewer("endSession").in_person().ends("session.end"),
    viewer("endOtherSessions").in_person().ends("session.end_others"),
    viewer("listTokens"),
    viewer("createToken").in_person().discloses("token.create"),
    viewer("deleteToken").ends("token.delete"),
    // People.
    admin("listUsers"),
    admin("createUser").discloses("user.create"),
    admin("getUser"),
    admin("changeUser").audited("user.change"),
    admin("deleteUser").audited("user.delete"),
    admin("resetUserPassword").discloses("user.reset_password"),
    admin("listAudit"),
    admin("exportAudit").discloses("audit.export"),
    // Pipelines.
    viewer("listPipelines"),
    viewer("getPipeline"),
    operator("switchPipeline").audited("pipeline.switch"),
    operator("startPipeline").audited("run.start"),
    viewer("listPipelineRuns"),
    admin("deletePipeline").audited("pipeline.delete"),
    viewer("getPipelineStats"),
    viewer("getPipelineEnvironment"),
    viewer("listPipelineFiles"),
    viewer("getPipelineFile"),
    operator("resetPipelineStats").audited("pipeline.reset_stats"),
    // Runs.
    viewer("listRuns"),
    viewer("getRun"),
    operator("cancelRun").ends("run.cancel"),
    operator("rerunRun").audited("run.rerun"),
    operator("retryRun").audited("run.retry"),
    viewer("getRunHealth"),
    viewer("getRunLogs"),
    viewer("getRunLogLines"),
    viewer("searchRunLog"),
    viewer("countRunsByDay"),
    viewer("streamRunLogs"),
    viewer("getRunLogFile"),
    viewer("getRunMetrics"),
    viewer("streamRunMetrics"),
    viewer("getRunMetricsFile"),
    // Secrets and parameters.
    operator("listSecrets"),
    admin("createSecret").audited("secret.create"),
    admin("changeSecret").audited("secret.change"),
    admin("deleteSecret").audited("secret.delete"),
    admin("revealSecret").in_person().discloses("secret.reveal"),
    operator("encryptValue").audited("secret.encrypt"),
    // The code.
    operator("sync").audited("sync.run"),
    viewer("getSyncStatus"),
    viewer("listSyncs"),
    viewer("getSyncLog"),
    viewer("streamSyncLog"),
    admin("getSyncSettings"),
    admin("changeSyncSettings").audited("sync.change_settings"),
    admin("resetSyncSettings").audited("sync.reset_settings"),
    admin("testSync").audited("sync.test"),
    open("syncWebhook").large().audited("sync.webhook"),
    // The server.
    open("getHealth"),
    open("getReadiness"),
    viewer("getOverview"),
    viewer("getStorage"),
    viewer("listChores"),
    admin("runChore").audited("chore.run"),
    // What is kept, and for how long.
    admin("listSettings"),
    admin("changeSetting").audited("setting.change"),
    admin("resetSetting").audited("setting.reset"),
    operator("previewCleanup"),
    admin("cleanUp").audited("storage.clean_up"),
    admin("listBackups"),
    admin("createBackup").audited("backup.create"),
    admin("getBackupFile").discloses("backup.download"),
    // Schedules.
    viewer("listJobs"),
    viewer("getJob"),
    viewer("getJobOutlook"),
    viewer("listJobFirings"),
    viewer("explainTrigger"),
    viewer("listTimeZones"),
    viewer("previewSchedules"),
    operator("createJob").audited("schedule.create"),
    operator("changeJob").audited("schedule.change"),
    operator("switchJob").audited("schedule.switch"),
    operator("deleteJob").audited("schedule.delete"),
    operator("runJob").audited("schedule.run"),
    viewer("streamEvents"),
];

/// What holds for an operation that has no line.
const UNKNOWN: Rule = admin("").audited("other.call");

/// The rule of an operation.
pub fn of(operation: &str) -> Rule {
    RULES.iter().copied().find(|rule| rule.operation == operation).unwrap_or(UNKNOWN)
}

/// Finds an operation by method and address, as the OpenAPI document has them.
#[derive(Debug, Default)]
pub struct Operations(Vec<Operation>);

/// An operation of the document.
#[derive(Debug)]
struct Operation {
    method: Method,
    /// Parts of its path; `None` for a parameter.
    parts: Vec<Option<String>>,
    rule: Rule,
}

/// An operation that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What holds for it.
    pub rule: Rule,
    /// The last parameter of its path, decoded: the name or id of what it is about.
    pub target: Option<String>,
}

impl Operations {
    /// Reads the document.
    pub fn of(document: &serde_json::Value) -> Self {
        let mut all = Vec::new();
        for (path, operations) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in operations.as_object().into_iter().flatten() {
                let (Ok(method), Some(id)) =
                    (method.to_uppercase().parse::<Method>(), operation["operationId"].as_str())
                else {
                    continue;
                };
                let part = |part: &str| (!part.starts_with('{')).then(|| part.to_owned());
                all.push(Operation { method, parts: path.split('/').map(part).collect(), rule: of(id) });
            }
        }
        // A word that is written out wins over a parameter, as it does in the router.
        all.sort_by_key(|operation| operation.parts.iter().map(Option::is_none).collect::<Vec<_>>());
        Self(all)
    }

    /// The operation that a request calls.
    pub fn find(&self, method: &Method, path: &str) -> Option<Found> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let asked: Vec<_> = path.split('/').collect();
        let fits = |operation: &&Operation| {
            operation.method == method
                && operation.parts.len() == asked.len()
                && operation.parts.iter().zip(&asked).all(|(part, asked)| match part {
                    Some(word) => word == asked,
                    None => !asked.is_empty(),
                })
        };
        let operation = self.0.iter().find(fits)?;
        let last = operation.parts.iter().zip(&asked).rev().find(|(part, _)| part.is_none());
        Some(Found { rule: operation.rule, target: last.map(|(_, asked)| routes::decode(asked)) })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn operations_are_found_as_the_router_finds_them() {
        let document = json!({ "paths": {
            "/api/runs/{id}": { "get": { "operationId": "getRun" } },
            "/api/runs/{id}/cancel": { "post": { "operationId": "cancelRun" } },
            "/api/audit": { "get": { "operationId": "listAudit" } },
            "/api/audit/export": { "get": { "operationId": "exportAudit" } },
            "/api/audit/{id}": { "get": { "operationId": "newAndUnruled" } },
        }});
        let operations = Operations::of(&document);
        let find = |method: Method, path: &str| {
            operations.find(&method, path).map(|found| (found.rule.operation, found.target))
        };
        let text = |text: &str| Some(text.to_owned());
        for (method, path, expected) in [
            (Method::GET, "/api/runs/a%2Fb", Some(("getRun", text("a/b")))),
            (Method::HEAD, "/api/runs/x", Some(("getRun", text("x")))),
            (Method::POST, "/api/runs/x/cancel", Some(("cancelRun", text("x")))),
            (Method::GET, "/api/audit/export", Some(("exportAudit", None))),
            (Method::GET, "/api/audit/other", Some(("", text("other")))),
            (Method::POST, "/api/runs/x", None),
            (Method::GET, "/api/runs/", None),
            (Method::GET, "/api/runs/x/", None),
            (Method::GET, "/api/nothing", None),
        ] {
            assert_eq!(find(method, path), expected, "{path}");
        }
        assert_eq!(
            operations.find(&Method::GET, "/api/audit/x").map(|found| found.rule.needs),
            Some(Some(Role::Admin))
        );
    }

    #[test]
    fn each_operation_has_one_line_and_each_action_its_area() {
        let names: BTreeSet<_> = RULES.iter().map(|rule| rule.operation).collect();
        assert_eq!(names.len(), RULES.len(), "an operation stands twice");
        for action in RULES.iter().filter_map(|rule| rule.action) {
            let (area, verb) = action.split_once('.').expect("area.verb");
            let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            assert!(plain(area) && plain(verb), "{action}");
        }
        for rule in RULES {
            assert!(!rule.in_person || rule.needs.is_some(), "{}", rule.operation);
        }
    }
}
