//! The shape of a language: which texts there are, page by page, and how a language travels to the browser.
//!
//! The program `fastflow-texts` is compiled from this file and the languages, and writes a file for each, a text to a line in the
//! order of the fields. The browser's program has this file alone, and reads the lines in the same order.

use super::form::{self, Form};

/// The lines of a language's file.
pub struct Lines {
    rest: &'static str,
}

impl Lines {
    // One copy, and into its place: six hundred fields do this.
    #[inline(never)]
    fn next(&mut self, place: &mut &'static str) {
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        *place = line;
        self.rest = rest;
    }
}

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident {
        $($text:ident),* $(,)? $(; $(fn $func:ident($($arg:ident: $kind:ty),*)),* $(,)?)?
    })*) => {$(
        $(#[$doc])*
        pub struct $name { $(pub $text: &'static str,)* $($(pub $func: Form,)*)? }

        impl $name {
            const EMPTY: Self = Self { $($text: "",)* $($($func: Form(""),)*)? };

            fn read(&mut self, lines: &mut Lines) {
                $(lines.next(&mut self.$text);)*
                $($(lines.next(&mut self.$func.0);)*)?
            }

            #[cfg(not(target_family = "wasm"))]
            fn write(&self, to: &mut Vec<String>) {
                $(to.push(self.$text.to_owned());)*
                $($(to.push(form::numbered(&self.$func, &[$(stringify!($arg)),*]));)*)?
            }

            $($(pub fn $func(&self, $($arg: $kind),*) -> String { form::fill(&self.$func, &[$(&$arg),*]) })*)?
        }
    )*};
}

macro_rules! language {
    ($($field:ident: $table:ident),* $(,)?) => {
        /// All texts of one language.
        pub struct Texts {
            /// Months, abbreviated.
            pub months: [&'static str; 12],
            /// Days of the week, abbreviated, from Monday on.
            pub weekdays: [&'static str; 7],
            /// Decimal sign.
            pub point: &'static str,
            /// Separator of thousands.
            pub separator: &'static str,
            /// What follows the day in a date.
            pub day_dot: &'static str,
            $(pub $field: $table,)*
        }

        impl Texts {
            /// The texts of a file that [`Texts::write`] wrote. What is missing is empty.
            #[must_use]
            pub fn read(file: &'static str) -> Box<Self> {
                let lines = &mut Lines { rest: file };
                let mut texts = Box::new(Self {
                    months: [""; 12], weekdays: [""; 7], point: "", separator: "", day_dot: "",
                    $($field: $table::EMPTY,)*
                });
                for word in texts.months.iter_mut().chain(&mut texts.weekdays) {
                    lines.next(word);
                }
                lines.next(&mut texts.point);
                lines.next(&mut texts.separator);
                lines.next(&mut texts.day_dot);
                $(texts.$field.read(lines);)*
                texts
            }

            /// The file for the browser.
            ///
            /// # Panics
            /// When a text is of two lines, or names a gap that its function does not have: nothing is built then.
            #[cfg(not(target_family = "wasm"))]
            #[must_use]
            pub fn write(&self) -> String {
                let mut lines: Vec<String> = self.months.iter().chain(&self.weekdays).map(|word| (*word).to_owned()).collect();
                lines.extend([self.point, self.separator, self.day_dot].map(str::to_owned));
                $(self.$field.write(&mut lines);)*
                for line in &lines {
                    assert!(!line.contains('\n'), "a text is one line: {line:?}");
                }
                lines.join("\n")
            }
        }
    };
}

language! {
    nav: Nav, common: Common, time: Time, status: Status, fault: FaultTexts, login: Login, dash: Dash, start: Start,
    runs: Runs, run: RunTexts, log: Log, pipeline: PipelineTexts, vault: Vault, people: People, jobs: Jobs, code: Code,
    system: System, palette: Palette, lost: Lost, keep: Keep, pipes: Pipes,
}

tables! {
    /// The frame around every page.
    Nav {
        dashboard, runs, schedules, vault, vault_short, system, pipelines, main, skip, sign_out, api_docs, signed_in_as,
        live, live_off, live_off_hint, theme, theme_system, theme_light, theme_dark, language, search, menu, help,
        viewer, operator, admin, breadcrumbs
    }
    /// Words that many pages need.
    Common {
        cancel, close, save, retry, copy, copied, download, open, loading,
        actions, load_more, request_id, dismiss, stale;
        fn confirm_type(name: &str)
    }
    /// Times.
    Time { now; fn seconds(n: i64), fn minutes(n: i64), fn hours(n: i64), fn days(n: i64), fn months(n: i64), fn years(n: i64),
           fn ago(text: &str), fn ahead(text: &str) }
    /// Where a run stands.
    Status {
        waiting, queued, preparing, starting, running, stopping, success, interrupted, failed, oom, timeout, cancelled,
        dependency, docker, not_executable, not_found, unhealthy, lost, pending
    }
    /// What can go wrong, and what to do.
    FaultTexts {
        network, credentials, attempts, queue_full, disabled, invalid, no_pipeline, no_run, docker, signed_out, forbidden,
        not_found, conflict, input, busy, unavailable, server, network_advice, credentials_advice, queue_full_advice,
        disabled_advice, invalid_advice, docker_advice, unreadable_advice;
        fn retry_in(n: i64)
    }
    /// Signing in.
    Login { title, lead, username, password, submit, submitting, show, hide, expired, first_hint }
    /// The first page.
    Dash {
        title, now, idle, idle_hint, queued, pipelines, filter, no_match, empty_title, empty_lead, empty_step1,
        empty_step2, empty_step3, sync, syncing, synced, sync_failed, never_synced, folder, docker_down, latest, never_ran,
        success_rate, mean, run, run_with, invalid, in_repository_off, switch_on, switch_off, switched_on,
        switched_off, started, all_tags, failures;
        fn of_slots(used: i32, all: i32), fn started_name(name: &str), fn sync_result(added: usize, changed: usize, removed: usize), fn switch_label(name: &str),
        fn both(running: i32, queued: i32), fn some_running(running: i32), fn some_queued(queued: i32), fn day(day: &str, all: i64, bad: i64), fn day_good(day: &str, all: i64), fn day_none(day: &str), fn year(all: &str, bad: &str)
    }
    /// The form that starts a pipeline.
    Start {
        lead, parameters_hint, secret_values, secret_hint, add_row, remove_row, submit, key, value, bad_key, double_key;
        fn title(name: &str)
    }
    /// The list of runs.
    Runs {
        title, any_status, any_trigger, any_pipeline, any_cause, status, pipeline, trigger, cause, started, duration, empty,
        empty_hint, empty_filtered, clear, newest, oldest, longest, shortest, order, end
    }
    /// One run.
    RunTexts {
        by_hand, by_api, by_schedule, by_retry, cancel, cancel_title, cancel_lead, cancel_keep, cancelled_toast, again, again_hint,
        retry, retry_hint, exit_code, attempt, previous, next, commit, environment, image, uv, setup, parameters, variables,
        variables_hint, no_parameters, source_default, source_secret, source_parameter, source_start, log, resources, cpu,
        memory, peak, average, soft_limit, hard_limit, no_samples, samples_soon, soft_exceeded, throttled, waited, prepared, ran,
        timeline, queue_next, waits_installation, waits_shared, waits_docker, due, timeout, details, no_limit, table, time, created, cores, log_size, stopping_hint,
        interrupted_hint, success_lead, silent, cached_environment, notify, notify_on;
        fn title(name: &str), fn queue_position(n: i32), fn attempt_of(n: i32, all: i32), fn by(who: &str), fn exit(code: i32)
    }
    /// The log viewer.
    Log {
        label, jump, search, next, previous, no_hits, stamps, wrap, copy, download, download_plain, download_stamped,
        reconnecting, connecting, live, ended, waiting, empty, earlier, away, searching, go, go_hint, link, stderr, full_page, paused,
        copied_link, options;
        fn hits(at: usize, all: usize), fn skipped(n: &str), fn cut(n: &str)
    }
    /// One pipeline.
    PipelineTexts {
        overview, settings, runs, problems, stats, environment, env_unknown, env_building, env_ready, env_failed, built, cpu, memory, soft, timeout, retries, variables, no_variables, tags, discovered, total, failed,
        rate, mean, p95, reset, reset_title, reset_lead, reset_done, since, problem_lead, none, commit, repository_switch,
        from_file, no_runs, global_default, durations, peaks, packages, from_source, linked, copied, named_by, size, link_mode,
        build_took, env_key, delete, delete_hint, delete_in_repository, deleted, delete_no_runs, delete_no_jobs;
        fn at(file: &str, line: i32), fn at_column(file: &str, line: i32, column: i32), fn delete_lead(runs: &str, jobs: &str), fn delete_runs(n: i32), fn delete_jobs(jobs: &str)
    }
    /// Secrets and parameters.
    Vault {
        title, lead, empty, empty_hint, key, value, kind, secret, parameter, updated, hidden, new, edit, delete, delete_lead, saved,
        deleted, key_hint, value_hint, replace_hint, secret_hint, parameter_hint, bad_key, pipelines, pipelines_hint, reveal,
        reveal_lead;
        fn delete_title(key: &str), fn edit_title(key: &str), fn reveal_title(key: &str)
    }
    /// Users, one's own account, the audit log.
    People {
        users, users_lead, new_user, role, role_hint, enabled, last_login, never, reset, reset_lead, delete_lead, name_hint, once,
        account, current_password, new_password, password_hint, change_password, password_changed, sessions, client, address,
        last_used, this_one, end, end_others, tokens, token_name, new_token, ends, days, no_tokens, token_lead, audit, audit_lead, who,
        what, when, result, from, to, any_action, any_result, ok, denied, no_entries, changed;
        fn may_log_in(name: &str), fn reset_title(name: &str), fn password_of(name: &str)
    }
    /// Schedules.
    Jobs {
        title, lead, empty, empty_hint, pipeline, when, next, last, state, from_repository, from_api, new, change, history,
        delete_title, delete_lead, planned, started, waits, left_out, failed, calendar, calendar_hint, truncated, earlier, later,
        name, kind, cron, interval, once, zone, cron_hint, interval_hint, once_hint, yours, catch_up, latest, skip, all,
        latest_hint, skip_hint, all_hint, overlap, allow, queue, cancel, allow_hint, busy_hint, queue_hint, cancel_hint, limit,
        instances, max_age, starts, starts_hint, ends, own, own_hint, values_hint, cpu, memory, timeout
    }
    /// Where the code comes from.
    Code {
        title, lead, now, settings, log, added, changed, removed, unchanged, broken, repository, by, none, auth_none, auth_token,
        auth_app, auth_ssh, auth, interval, subdir, username, ssh_key, known_hosts, app_id, installation, api_url, app_key,
        webhook, webhook_hint, stored, test, saved, subdir_hint, interval_hint, url_hint;
        fn distance(ahead: i32, behind: i32)
    }
    /// The server itself.
    System {
        title, ready, not_ready, chores, chore, every, last, took, result, next, version, docker, slots, queue, never, code, source,
        branch, commit, pipelines, invalid, no_chores, database, disk, api, about, about_text
    }
    /// What is kept on the disk, backups, settings.
    Keep {
        storage, storage_lead, used, budget, cache, free, floor, none, measured, soon, part, size, spare, things, next, next_lead,
        nothing, last_used, why, when, if_needed, backups, backups_lead, back_up, backed_up, no_backups, made, clean, clean_lead,
        logs, environments, uv_cache, code, commits, database, work, count, age, over, over_cache, first, settings, settings_lead,
        name, value, origin, not_set, change, back, changed, default_hint, changed_here;
        fn allowed(text: &str), fn by(who: &str, value: &str), fn cleaned(runs: &str), fn clean_title(runs: &str)
    }
    /// The command palette and the help sheet.
    Palette {
        title, placeholder, empty, pages, pipelines, actions, run_pipeline, sync_now, toggle_theme, toggle_language,
        help_title, help_palette, help_help, help_dashboard, help_runs, help_schedules, help_vault, help_system, help_search,
        help_close, help_log, help_log_search, help_log_follow, help_log_wrap, help_log_stamps, help_general, show_help, hint
    }
    /// Many pipelines, and their files.
    Pipes {
        any_state, active, failing, off, broken, choose_all, forget, run_lead, source, files, more_files, no_files, binary, cut,
        next_fire, missing, warm, cold, warm_pool, undo, from, to;
        fn selected(n: usize), fn choose(name: &str), fn started(n: usize, of: usize), fn switched(n: usize, of: usize), fn run_title(n: usize), fn more(n: usize)
    }
    /// A page that does not exist.
    Lost { title, lead, run_lead, pipeline_lead }
}
