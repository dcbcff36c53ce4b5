# Programs out of Debian's packages, without installing them and without root: sourced by what fetches some
# (ci/pythons/fetch, ci/servers/fetch). The packages are unpacked into a folder of the cache (TRESS_CACHE, by default
# ~/.cache/tress), and their programs are told to use the C library that they were unpacked with.
# Who sources this has `say` and `die`.
# shellcheck shell=bash

# The exit status that means: not to be had on this machine.
readonly NOT_TO_BE_HAD=2

cache_folder() {
    printf '%s\n' "${TRESS_CACHE:-${XDG_CACHE_HOME:-${HOME:?neither TRESS_CACHE nor HOME is set}/.cache}/tress}"
}

# State, sources and downloads of our own for apt, and no hooks; whatever else the system says (a proxy, say) holds.
configure_apt() {
    local apt=$1
    cat >"$apt/apt.conf" <<APT
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "$(id -un)";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
APT
}

system_codename() (
    . /etc/os-release
    [[ ${ID:-} == debian ]] && printf '%s\n' "${VERSION_CODENAME:-}"
)

# The mirror that this system's own apt uses for Debian itself.
mirror() {
    apt-get --print-uris update 2>/dev/null | sed -n "s|^'\(.*\)/dists/$1/InRelease'.*|\1|p" | head -n 1
}

# download_from SUITE SITE APT PACKAGE...: 0 when they were downloaded into APT/cache/archives, with all that they depend on.
download_from() {
    local suite=$1 site=$2 apt=$3 keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    rm -rf "$apt"
    mkdir -p "$apt"/state/lists/partial "$apt"/cache/archives/partial
    : >"$apt/status"
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$site" "$suite" >"$apt/sources.list"
    configure_apt "$apt"
    apt-get -qq -c "$apt/apt.conf" update >&2 || { say "cannot read the package list of Debian $suite"; return 1; }
    # An update that could not reach its mirror exits 0 all the same.
    grep -qx "$4" < <(apt-cache -c "$apt/apt.conf" pkgnames) || return 1
    apt-get -qq -c "$apt/apt.conf" --yes --download-only install "${@:4}" patchelf >&2
}

# download APT WHAT REMEDY [SUITE...] -- PACKAGE...: from the suite of this system, or else from those named; the first
# package tells whether a suite has it. Sets `suite`. WHAT and REMEDY are for the message where it cannot be had.
download() {
    local apt=$1 what=$2 remedy=$3 tool codename site
    shift 3
    for tool in apt-get apt-cache dpkg-deb; do
        command -v "$tool" >/dev/null || { say "no $tool here: $what cannot be fetched; $remedy"; return "$NOT_TO_BE_HAD"; }
    done
    codename=$(system_codename) || { say "not a Debian system: $remedy"; return "$NOT_TO_BE_HAD"; }
    site=$(mirror "$codename")
    [[ -n $site ]] || { say "apt has no source for Debian $codename: $remedy"; return "$NOT_TO_BE_HAD"; }
    local suites=("$codename")
    while [[ $1 != -- ]]; do suites+=("$1"); shift; done
    shift
    for suite in "${suites[@]}"; do
        if download_from "$suite" "$site" "$apt" "$@"; then return 0; fi
    done
    rm -rf "$apt"
    say "$what is neither on this machine nor in Debian ($(printf '%s, ' "${suites[@]}" | sed 's/, $//'))"
    return "$NOT_TO_BE_HAD"
}

# unpack_packages APT TARGET: everything that was downloaded.
unpack_packages() {
    local package
    for package in "$1"/cache/archives/*.deb; do dpkg-deb --extract "$package" "$2"; done
}

# use_own_libraries TARGET EXECUTABLE...: has programs unpacked into TARGET find the loader and the libraries there.
use_own_libraries() {
    local target=$1 loader libraries executable
    loader=$(find -L "$target/usr/lib64" "$target/usr/lib" "$target/lib64" "$target/lib" -maxdepth 2 -name 'ld-linux*' 2>/dev/null | head -n 1)
    [[ -n $loader ]] || die "no dynamic loader among the packages in $target"
    # Older suites still have /lib beside /usr/lib.
    libraries=$(find "$target/usr/lib" "$target/lib" -maxdepth 1 -type d -name '*-linux-gnu' 2>/dev/null | paste -sd :)
    patchelf() { "$loader" --library-path "$libraries" "$target/usr/bin/patchelf" "$@"; }
    for executable in "${@:2}"; do
        # An old-style rpath, since only that reaches the libraries of extension modules; and before the loader: the
        # other way round patchelf breaks executables that are not position-independent.
        patchelf --force-rpath --set-rpath "$libraries" "$executable"
        patchelf --set-interpreter "$(realpath "$loader")" "$executable"
    done
}
