#!/bin/sh
# Install the MCP servers and the inspector that tests run against, into the
# user's cache. Versions and hashes are pinned by the lock file; programs of the
# packages' own (install scripts) are not run.
set -eu
cd "$(dirname "$0")/../tools/mcp/testdata/npm"

case $(uname) in
Darwin) cache=$HOME/Library/Caches ;;
*) cache=${XDG_CACHE_HOME:-$HOME/.cache} ;;
esac
# The folder bears the lock's hash, so that another lock is another folder.
sum=$( { sha256sum package-lock.json 2>/dev/null || shasum -a 256 package-lock.json; } | cut -c 1-12)
dir=$cache/agent/mcp-tests-$sum
if [ -e "$dir/done" ]; then
	cp webcrypto.cjs "$dir/node_modules"
	exit 0
fi

for program in node npm; do
	command -v $program >/dev/null 2>&1 || {
		echo "$program is missing, which the tests against real MCP servers need; scripts/system.sh test installs it" >&2
		exit 1
	}
done
echo "Installing the MCP servers of the tests into $dir"
mkdir -p "$dir"
here=$PWD
cp package.json package-lock.json "$dir"
(cd "$dir" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error)
cp "$here/webcrypto.cjs" "$dir/node_modules"
# The inspector's command line asks for its version where the whole inspector,
# with its web pages, would have it.
(cd "$dir/node_modules/@modelcontextprotocol" && cp inspector-cli/package.json .)
: >"$dir/done"
