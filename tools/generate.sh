#!/usr/bin/env bash
# Generated code, made where its inputs changed: TypeScript of proto/ by buf and ts-proto, and each service's Prisma client.
# None of it is committed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

inputs=$(find proto services/*/prisma -name '*.proto' -o -name '*.prisma' -o -name 'buf*.yaml' | LC_ALL=C sort | xargs cat | cat - pnpm-lock.yaml | cksum)
[ "${1:-}" != --force ] && [ "$(cat node_modules/.maildoot-generated 2>/dev/null || true)" = "$inputs" ] && exit 0

echo '· generating code from proto/ and the Prisma schemas' >&2
bin=$PWD/node_modules/.bin
(cd proto && PATH=$bin:$PATH buf generate)
node tools/prisma-generate.ts
echo "$inputs" > node_modules/.maildoot-generated
