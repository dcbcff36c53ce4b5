# What the scripts of this folder share: sourced by each, from any working directory.
# shellcheck shell=bash

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

PYTHON=${PYTHON:-python3}

say() { printf '==> %s\n' "$*"; }
die() { printf 'tress: %s\n' "$*" >&2; exit 1; }

# quietly LABEL COMMAND...: its output only if it fails.
quietly() {
    local output
    output=$(mktemp)
    if "${@:2}" >"$output" 2>&1; then rm -f "$output"; return 0; fi
    cat "$output" >&2
    rm -f "$output"
    die "$1 failed (its output is above)"
}

# at_least A B: is version A the same as B or newer?
at_least() { [[ $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]; }

# The value of `KEY = "VALUE"` in a TOML file of ours.
toml_value() { sed -n "s/^$2 *= *\"[^0-9]*\([^\"]*\)\".*/\1/p" "$1" | head -n 1; }

# --- What must be on the machine: each check says what is missing and what would do. ---------------------------------

need_python() {
    local wanted about
    wanted=$(toml_value pyproject.toml requires-python)
    command -v "$PYTHON" >/dev/null ||
        die "no $PYTHON here: tress needs CPython $wanted or newer (make PYTHON=/path/to/python3 chooses one)"
    about=$("$PYTHON" -c 'import sys; print(sys.platform, sys.implementation.name, "%d.%d.%d" % sys.version_info[:3])') ||
        die "$PYTHON does not run"
    read -r platform implementation python_version <<<"$about"
    [[ $platform == linux ]] || die "tress runs on Linux, and this is $platform"
    [[ $implementation == cpython ]] || die "tress needs CPython, and $PYTHON is $implementation"
    at_least "$python_version" "$wanted" ||
        die "$PYTHON is Python $python_version: tress needs $wanted or newer (make PYTHON=/path/to/python3 chooses one)"
    "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
        die "$PYTHON cannot make virtual environments: install its venv package (on Debian: python${python_version%.*}-venv)"
}

need_rust() {
    local tool wanted have
    wanted=$(toml_value Cargo.toml rust-version)
    for tool in cargo rustc; do
        command -v $tool >/dev/null || die "no $tool here: tress needs a Rust toolchain, $wanted or newer"
    done
    have=$(rustc --version) || die "rustc does not run"
    have=$(awk '{print $2}' <<<"$have")
    at_least "${have%%-*}" "$wanted" || die "rustc is $have: tress needs $wanted or newer"
}

# Rust links with cc, so it needs the C library's start files as well as the program.
need_cc() {
    local probe
    command -v cc >/dev/null || die "no C compiler here (cc): Rust links with it (on Debian: gcc and libc6-dev)"
    probe=$(mktemp)
    cc -x c -o "$probe" - <<<'int main(void) { return 0; }' 2>/dev/null ||
        { rm -f "$probe"; die "cc cannot link a program: is the C library's development package there? (on Debian: libc6-dev)"; }
    rm -f "$probe"
}

# --- The virtual environment: .venv for python3, .venv-3.13 and so on for an interpreter that PYTHON names. ----------

locate_venv() {
    need_python
    if [[ $PYTHON == python3 ]]; then venv=$root/.venv; else venv=$root/.venv-${python_version%.*}; fi
    python=$venv/bin/python
    export CARGO_TARGET_DIR=$root/target/${venv##*/} # of its own: PyO3 is built anew for each interpreter
}

# Runs one at a time in each environment: two makes at once must not build into it together.
lock_venv() {
    command -v flock >/dev/null || return 0
    exec 8>"$venv.lock"
    flock 8
}

unlock_venv() { exec 8>&-; }

# A stamp is a file in the environment that holds what a step was done for; the step is done again when that changes.
stamped() { [[ -e $venv/.stamp-$1 && $(<"$venv/.stamp-$1") == "$2" ]]; }
stamp() { printf '%s\n' "$2" >"$venv/.stamp-$1"; }

make_venv() {
    local made_for
    made_for="$("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.executable), sys.version.split()[0])')"
    stamped python "$made_for" && "$python" -c '' 2>/dev/null && return
    say "making ${venv#"$root"/} for Python $python_version"
    rm -rf "$venv"
    "$PYTHON" -m venv "$venv"
    stamp python "$made_for"
}

# install_tools GROUP...: what ci/requirements-GROUP.txt lists.
install_tools() {
    local group file content
    for group in "$@"; do
        file=ci/requirements-$group.txt
        content=$(sha256sum <"$file")
        stamped "requirements-$group" "$content" && continue
        say "installing the $group tools into ${venv#"$root"/}"
        quietly "installing $file" "$python" -m pip install --disable-pip-version-check --requirement "$file"
        stamp "requirements-$group" "$content"
    done
}

# Everything that the extension module is made from; Python files are not, since the install is editable, and tress-load
# is a program of its own.
build_inputs() {
    rustc --version
    printf '%s\n' "${RUSTFLAGS:-}"
    find Cargo.toml Cargo.lock .cargo pyproject.toml crates -type f -not -path 'crates/tress-load/*' \
        -not -path '*/tests/*' -not -path '*/benches/*' -not -name '*.md' -print0 | sort -z | xargs -0 sha256sum
}

build() {
    local inputs
    need_rust
    inputs=$(build_inputs | sha256sum)
    stamped build "$inputs" && "$python" -c 'import tress._native' 2>/dev/null && return
    need_cc
    say "building tress into ${venv#"$root"/} (release mode)"
    VIRTUAL_ENV=$venv quietly "the build" "$python" -m maturin develop --release --locked
    stamp build "$inputs"
}

# As an installer does for a package: else every process compiles tress anew where PYTHONDONTWRITEBYTECODE is set.
compile_python() { "$python" -m compileall -q python tests bench conformance || die "some Python here does not compile"; }

# set_up GROUP...: the environment with these groups of tools and tress itself; sets `python` to its interpreter.
set_up() {
    locate_venv
    lock_venv
    make_venv
    install_tools build "$@"
    build
    compile_python
    unlock_venv
}
