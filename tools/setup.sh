#!/usr/bin/env bash
# Makes a fresh machine ready: a Node new enough to run TypeScript as it stands, pnpm, the packages of the lockfile, generated code.
# Needs any Node >= 20 with npm. Safe to run again: what is there already costs nothing. Prints one line per step that takes time.
#   tools/setup.sh          sets up, then prints nothing else
#   . tools/setup.sh path   only puts the tools on PATH of the sourcing shell, and what starts them sooner
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
node_version=24.21.0
pnpm_version=12.21.0
tools=$root/.tools

say() { printf '· %s\n' "$*" >&2; }
die() { printf 'maildoot: %s\n' "$*" >&2; exit 1; }

node_is_new_enough() { node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 24 || (a === 24 && b >= 12) ? 0 : 1)' 2>/dev/null; }

use_tools() { PATH=$tools/node_modules/.bin:$PATH; export PATH; }

# Runs a step with its output kept aside; on failure says what to do about the usual causes.
step() {
  local what=$1 log; shift
  say "$what"
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    if grep -qE 'ENOSPC|No space left' "$log"; then rm -f "$log"; die "the disk is full: free about 1 GB and run the same command again."; fi
    if grep -qE 'ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ECONNRESET|ENETUNREACH|ERR_SOCKET_TIMEOUT|META_FETCH_FAIL' "$log"; then
      rm -f "$log"; die "the npm registry can't be reached: the first start needs it once. Connect (or point npm at your mirror) and run the same command again."
    fi
    if grep -qE 'SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER|UNABLE_TO_VERIFY|CERT_' "$log"; then
      rm -f "$log"; die "the npm registry's certificate is not trusted here: set NODE_EXTRA_CA_CERTS (or npm's cafile) to your network's authority and run the same command again."
    fi
    if grep -qE 'EACCES|EPERM' "$log"; then rm -f "$log"; die "no permission to write in $root or in npm's cache: run as the user who owns them."; fi
    rm -f "$log"; die "failed: $what"
  fi
  rm -f "$log"
}

# A newcomer without a network hears of it in seconds, not minutes.
export npm_config_fetch_retries=2 npm_config_fetch_retry_mintimeout=1000 npm_config_fetch_retry_maxtimeout=4000

install_tools() {
  [ "$(cat "$tools/.versions" 2>/dev/null || true)" = "$node_version $pnpm_version" ] && return
  command -v npm >/dev/null || die "npm is missing: install Node 20 or newer (it brings npm) and run the same command again."
  mkdir -p "$tools" 2>/dev/null || die "can't write to $tools: run as the user who owns this checkout."
  step "installing Node $node_version and pnpm $pnpm_version into .tools (once)" \
    npm install --prefix "$tools" --no-audit --no-fund --no-save "node@$node_version" "pnpm@$pnpm_version"
  "$tools/node_modules/.bin/node" --version >/dev/null 2>&1 || die "Node $node_version does not run on this machine: install Node 24 yourself and run the same command again."
  echo "$node_version $pnpm_version" > "$tools/.versions"
}

install_packages() {
  local wanted
  wanted=$(cd "$root" && cat pnpm-lock.yaml pnpm-workspace.yaml package.json proto/package.json e2e/package.json bench/package.json docs/examples/package.json libs/*/package.json services/*/package.json | cksum)
  [ "$(cat "$root/node_modules/.maildoot-installed" 2>/dev/null || true)" = "$wanted" ] && return
  step "installing packages (the first time: about a minute)" \
    pnpm --dir "$root" install --frozen-lockfile --config.confirmModulesPurge=false
  echo "$wanted" > "$root/node_modules/.maildoot-installed"
}

command -v node >/dev/null || die "Node is missing: install Node 20 or newer with npm and run the same command again."
use_tools
if [ "${1:-}" = path ]; then
  # What Node makes of a source file is kept for the next process: the platform loads hundreds of them at each start. May be removed at any time.
  export NODE_COMPILE_CACHE=${NODE_COMPILE_CACHE-$root/node_modules/.cache/node-compile}
  return 0
fi
install_tools
node_is_new_enough || die "Node 24.12 or newer is needed and $(node --version) was found: remove .tools and run the same command again."
install_packages
"$root/tools/generate.sh"
