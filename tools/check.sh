#!/usr/bin/env bash
# The checks that need no platform: types, lint and format, proto rules, and (without `static`) the unit tests beside the sources.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=$PWD/node_modules/.bin
# As in tools/test.ts.
export NODE_COMPILE_CACHE=${NODE_COMPILE_CACHE-$PWD/node_modules/.cache/node-compile}

echo '· types'
"$bin/tsc" -p tsconfig.json
echo '· lint and format'
"$bin/biome" check --error-on-warnings .
echo '· tables of settings in the READMEs'
node tools/settings-table.ts --check
echo '· docs of events'
node tools/events-docs.ts --check
echo '· docs of errors'
node tools/errors-docs.ts --check
echo '· the API breaks nothing of its last release'
node tools/openapi-release.ts --check
echo '· migrations fit the schemas'
node tools/migration.ts --check
echo '· proto'
(cd proto && PATH=$bin:$PATH buf lint && PATH=$bin:$PATH buf format --diff --exit-code)
# Against the last release; before the first one, against the proto files as they stood before their last change.
base=$(git describe --tags --match 'v*' --abbrev=0 2>/dev/null || git log -2 --format=%H -- proto 2>/dev/null | tail -n 1)
if [ -n "$base" ]; then
  PATH=$bin:$PATH buf breaking proto --against ".git#ref=$base,subdir=proto"
else
  echo '  no earlier version of proto/ in this clone: nothing to compare with'
fi
[ "${1:-}" = static ] || exec node --test --test-concurrency=2 'libs/*/src/**/*.test.ts' 'services/*/src/**/*.test.ts'
