#!/usr/bin/env bash
# Build the image and run it, without Docker: buildah makes it on a Debian of mmdebstrap in place of python:3.13-slim, and
# the entry point and the health check run in it, as its user, on a root that is read-only, against the simulator.
#
# Needs root, buildah, mmdebstrap, and .venv (make install). Leaves nothing but build/, which make clean removes.
set -euo pipefail
cd "$(dirname "$0")/.."

for program in buildah mmdebstrap unshare chroot; do
    command -v "$program" >/dev/null || { echo "$program is not installed" >&2; exit 2; }
done
[ "$(id -u)" = 0 ] || { echo "only root can build and run an image this way" >&2; exit 2; }

python=$PWD/.venv/bin/python
work=$(mktemp -d)
base=$PWD/build/base-bookworm.tar
export STORAGE_DRIVER=vfs
store=(buildah --root "$work/store" --runroot "$work/run")
jobs_started=()

end() {
    for job in "${jobs_started[@]}"; do kill "$job" 2>/dev/null || true; done
    "${store[@]}" umount --all >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap end EXIT

say() { printf '%5s s  %s\n' "$SECONDS" "$*"; }

# The base, and the packages of the lock, by whatever index pip is set to use here.
mkdir -p build "$work/wheels" "$work/etc" "$work/state" "$work/pip"
[ -e "$base" ] || mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$base"
printf 'FROM scratch\nADD base.tar /\n' >"$work/Dockerfile"
ln "$base" "$work/base.tar" 2>/dev/null || cp "$base" "$work/base.tar"
"${store[@]}" build --quiet --isolation chroot -t base -f "$work/Dockerfile" "$work" >/dev/null
say "a base: $(du -m "$base" | cut -f1) MB"
"$python" -m pip download -qq --require-hashes -r requirements.lock -d "$work/wheels"
"$python" -m pip download -qq -d "$work/wheels" 'hatchling>=1.27'
printf '[global]\nno-index = true\nfind-links = /wheels\n' >"$work/pip/pip.conf"
say "$(find "$work/wheels" -type f | wc -l) packages"

# The image, by the Dockerfile as it is.
"${store[@]}" build --quiet --isolation chroot --format docker --build-arg BASE=base -t poller \
    --volume "$work/wheels:/wheels:ro" --volume "$work/pip/pip.conf:/etc/pip.conf:ro" . >"$work/id"
"${store[@]}" inspect --type image poller >"$work/image.json"
said() { "$python" -c 'import json, sys; at = json.load(open(sys.argv[1]))["Docker"]["config"]
for key in sys.argv[2].split("."): at = at[key]
print("\n".join(at) if isinstance(at, list) else at)' "$work/image.json" "$1"; }
[ "$(said User)" = 65532:65532 ] && [ "$(said StopSignal)" = SIGTERM ] && [ "$(said WorkingDir)" = /var/lib/poller ]
mapfile -t entry < <(said Entrypoint; said Cmd)
mapfile -t health < <(said Healthcheck.Test)
mapfile -t environment < <(said Env)
[ "${health[0]}" = CMD ]
say "the image: ${entry[*]}; healthy by: ${health[*]:1}"

# A container: its root read-only, its state and /tmp not, as its user, without a way to more rights.
container=$("${store[@]}" from poller)
root=$("${store[@]}" mount "$container")
say "it has $(du -sm --exclude=proc "$root/opt/poller" | cut -f1) MB in /opt/poller, $(du -sm "$root" | cut -f1) MB in all"
chown 65532:65532 "$work/state"
chmod 0711 "$work"
inside() {
    unshare --mount --propagation private bash -c '
        set -e
        root=$1 work=$2; shift 2
        mount --bind "$root" "$root"
        mkdir -p "$root/etc/poller" "$root/proc" "$root/dev"
        mount --bind "$work/etc" "$root/etc/poller"
        mount --bind "$work/state" "$root/var/lib/poller"
        mount -t tmpfs tmpfs "$root/tmp"
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount -o remount,bind,ro "$root"
        exec setpriv --no-new-privs chroot --userspec=65532:65532 --groups= "$root" /usr/bin/env -i -C /var/lib/poller "$@"
    ' - "$root" "$work" "${environment[@]}" "$@"
}

inside python -c 'import os; assert (os.getuid(), os.getgid(), os.getgroups()) == (65532, 65532, []), os.getgroups()'
! inside python -c 'open("/opt/poller/x", "w")' 2>/dev/null
! inside python -m pip --version 2>/dev/null
say "poller $(inside poller --version | cut -d" " -f2), which writes its state and no more"

"$python" -m poller.simulator --port 0 --records 5 --rate 5 >"$work/simulator" & jobs_started+=($!)
for _ in $(seq 100); do [ "$(wc -l <"$work/simulator")" -ge 2 ] && break; sleep 0.1; done
url=$(grep -o 'http://[^ ]*' "$work/simulator" | head -n 1)
token=$(grep -oE '[A-Za-z0-9-]{40,}' "$work/simulator" | head -n 1)
printf '[source]\ntoken = { env = "SPACE_INVOICES_TOKEN" }\nbase_url = "%s"\nevery = "1s"\n' "$url" >"$work/etc/config.toml"
environment+=("SPACE_INVOICES_TOKEN=$token")

! inside "${health[@]:1}" || { echo "it is healthy before it runs" >&2; exit 1; }
inside "${entry[@]}" >"$work/out" 2>"$work/err" & runs=$!; jobs_started+=("$runs")
for _ in $(seq 60); do inside "${health[@]:1}" >"$work/health" && break; sleep 1; done
inside "${health[@]:1}"
for _ in $(seq 60); do [ -s "$work/out" ] && break; sleep 1; done
say "$(wc -l <"$work/out") events, $(find "$work/state" -name '*.db' -printf '%p %m %U\n' | sed "s|$work||")"
[ -s "$work/out" ]

began=$SECONDS
kill -TERM "$(sed 's/.*process \([0-9]*\).*/\1/' "$work/health")"
wait "$runs" || { cat "$work/err" >&2; exit 1; }
say "ended by SIGTERM in $((SECONDS - began)) s"
