#!/bin/sh
# Install the system packages that the project needs.
#
#   scripts/system.sh run    what `agent run` needs: a Vulkan loader and driver,
#                            and pip, which knows where Python packages live
#   scripts/system.sh test   also the validation layer, the shader compiler,
#                            Chromium (which carries the SwiftShader driver), Node
#                            for the MCP servers that tests talk to, and an emulator
#                            of arm64
#
# It installs on Debian and Ubuntu, as root or by sudo, and only what is
# missing. Elsewhere it says what to install and goes on where the rest works.
set -eu

have() { command -v "$1" >/dev/null 2>&1; }

# have_library NAME: is the shared library known to the dynamic linker?
have_library() {
	{ /sbin/ldconfig -p 2>/dev/null || ldconfig -p 2>/dev/null || true; } | grep -q "$1" && return 0
	for dir in /usr/lib /usr/lib64 /usr/local/lib /usr/lib/*-linux-gnu; do
		[ -e "$dir/$1" ] && return 0
	done
	return 1
}

have_file() { # have_file GLOB...
	for file in "$@"; do [ -e "$file" ] && return 0; done
	return 1
}

# give_up: without what is missing, runs go on and tests do not.
give_up() {
	[ "$goal" = run ] && exit 0
	exit 1
}

goal=${1:-run}
missing=''
need() { missing="$missing $1"; }

have_library libvulkan.so.1 || need libvulkan1
have_file /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json || need mesa-vulkan-drivers
have uv || python3 -m pip --version >/dev/null 2>&1 || need python3-pip

if [ "$goal" = test ]; then
	have_file /usr/share/vulkan/icd.d/lvp_icd*.json || need mesa-vulkan-drivers
	have_file /usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json || need vulkan-validationlayers
	have glslc || need glslc
	have chromium || need chromium
	have node || need nodejs
	have npm || need npm
	case $(uname -m) in
	aarch64 | arm64) ;;
	*) have qemu-aarch64-static || need qemu-user-static ;;
	esac
fi

[ -n "$missing" ] || exit 0

if ! have apt-get; then
	cat >&2 <<EOF
This system lacks what these Debian packages hold:$missing
Install their counterparts, for example:
  Fedora:  sudo dnf install vulkan-loader mesa-vulkan-drivers python3-pip
  Arch:    sudo pacman -S vulkan-icd-loader vulkan-swrast python-pip
  macOS:   brew install molten-vk vulkan-loader python
  (for the tests also the Vulkan validation layers, Chromium, Node, npm and qemu-aarch64-static)
Without a Vulkan driver everything still runs, on the CPU backend.
EOF
	give_up
fi

as_root='env DEBIAN_FRONTEND=noninteractive'
if [ "$(id -u)" != 0 ]; then
	if have sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
		as_root="sudo $as_root"
	else
		echo "Install the missing packages, then try again:" >&2
		echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends$missing" >&2
		give_up
	fi
fi

echo "Installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # both are meant to be split
if ! { $as_root apt-get update && $as_root apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "apt-get could not install$missing (its last lines are above)" >&2
	give_up
fi
