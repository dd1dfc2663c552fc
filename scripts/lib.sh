# shellcheck shell=bash disable=SC2034
# What the scripts beside this file share. Source it, it runs nothing.
# Everything a script says goes to stderr, so that stdout stays free for values (see test-services).

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }

die() {
    printf '\n%s\n' "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

is_root() { [ "$(id -u)" -eq 0 ]; }

# A setting as the server will see it: the environment wins, then .env, then the default.
setting() {
    local name=$1 default=${2-} line
    if [ -n "${!name-}" ]; then
        printf '%s' "${!name}"
        return
    fi
    if [ -f "$ROOT/.env" ]; then
        line=$(sed -n "s/^[[:space:]]*\(export[[:space:]]\+\)\?$name=//p" "$ROOT/.env" | tail -n 1)
        line=${line%$'\r'}
        # One pair of quotes around the value, as dotenv files allow.
        case $line in
            \"*\") line=${line#\"} line=${line%\"} ;;
            \'*\') line=${line#\'} line=${line%\'} ;;
        esac
        if [ -n "$line" ]; then
            printf '%s' "$line"
            return
        fi
    fi
    printf '%s' "$default"
}

# apt_install PURPOSE PACKAGE...: installs what is missing, or says what the reader has to do.
apt_install() {
    local purpose=$1 package missing=()
    shift
    have apt-get || die "$purpose needs these packages, and this system has no apt-get: $*
Install them by hand (their names here are Debian's) and start again."
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    is_root || die "$purpose needs Debian packages that are missing. Run this once, then start again:
    sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}"
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    # Two tries, with fresh package lists before the second: lists that are absent or old are the usual reason to fail,
    # and an update that is not needed costs every later call ten seconds.
    apt-get install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" >&2 || {
        apt-get update -qq >&2 || die "apt-get update failed: is there a network?"
        apt-get install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" >&2 ||
            die "apt-get could not install: ${missing[*]}"
    }
}

# wait_for SECONDS COMMAND...: until the command succeeds; false when the time is over.
wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.3
    done
}

# debian_root SUITE FOLDER PACKAGE,...: unpacks a small Debian there, as root, from the mirror that this machine's own apt uses (on
# another distribution from debootstrap's default). What only people read is left out; licences stay.
debian_root() {
    local suite=$1 root=$2 packages=$3 mirror log
    apt_install "unpacking a Debian" debootstrap debian-archive-keyring ca-certificates
    # shellcheck disable=SC2016 # the fields are apt's
    mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        sed -n "s/^$suite main \(https\?:.*\)/\1/p" | head -n 1)
    log=$(mktemp)
    say "unpacking Debian $suite"
    debootstrap --variant=minbase ${packages:+"--include=$packages"} "$suite" "$root" ${mirror:+"$mirror"} >"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        die "debootstrap failed."
    }
    rm -rf "$log" "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/cache/debconf/*-old "$root"/var/log/* \
        "$root"/usr/share/{man,info,locale,lintian,i18n,bug} "$root"/tmp/* "$root"/var/tmp/*
    find "$root/usr/share/doc" ! -type d ! -name copyright -delete
    find "$root/usr/share/doc" -type d -empty -delete
    # Written by debootstrap for this machine; Docker mounts its own over them.
    : >"$root/etc/hostname"
    : >"$root/etc/resolv.conf"
}

# The image that every pipeline runs in. The same default stands in the server's configuration.
worker_image() { setting WORKER_BASE_IMAGE ghcr.io/astral-sh/uv:python3.11-bookworm-slim; }

# Where cargo puts what it builds.
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}

# The tools that scripts/tools had to build live here, one folder per version: several checkouts share them, and the
# user's own versions in cargo's folder stay what they are.
TOOLS=${FASTFLOW_TOOLS:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/fastflow/tools}

# The one place that knows which versions: Trunk.toml, and for cargo-deny this line.
tool_version() {
    case $1 in
        trunk) sed -n 's/^trunk-version *= *"=\(.*\)"/\1/p' "$ROOT/Trunk.toml" ;;
        wasm-bindgen) sed -n 's/^wasm_bindgen *= *"\(.*\)"/\1/p' "$ROOT/Trunk.toml" ;;
        cargo-deny) echo 0.20.2 ;;
    esac
}

has_tool() { [ "$("$1" --version 2>/dev/null | head -n 1)" = "$1 $(tool_version "$1")" ]; }

for _tool in trunk wasm-bindgen cargo-deny; do
    has_tool $_tool || PATH=$TOOLS/$_tool-$(tool_version $_tool)/bin:$PATH
done
unset _tool
export PATH

# The steps that running, testing and measuring have in common.
prepare() {
    "$ROOT/scripts/step" "Docker engine" "$ROOT/scripts/docker-engine"
    "$ROOT/scripts/step" "Rust and the SPA's tools" "$ROOT/scripts/tools"
    "$ROOT/scripts/step" "Worker image" "$ROOT/scripts/worker-image"
    "$ROOT/scripts/step" "SPA" "$ROOT/scripts/web"
}
