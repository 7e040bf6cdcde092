#!/bin/sh
# Install what the Vulkan tests need: the loader, two software drivers (Mesa's
# lavapipe, and the SwiftShader that Debian's Chromium packages carry), the
# validation layer, the SPIR-V tools and the shader compiler.
#
# On Debian and Ubuntu the packages come by apt-get, as root or by sudo.
# SwiftShader needs neither: two files are unpacked from the package into the
# user's cache, unless Chromium is installed. The second time it does nothing.
set -eu

have_file() { # have_file GLOB...
	for file in "$@"; do [ -e "$file" ] && return 0; done
	return 1
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/chorale/swiftshader

missing=''
need() { missing="$missing $1"; }
have_file /usr/lib/*/libvulkan.so.1 /usr/lib*/libvulkan.so.1 || need libvulkan1
have_file /usr/share/vulkan/icd.d/lvp_icd*.json || need mesa-vulkan-drivers
have_file /usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json || need vulkan-validationlayers
command -v spirv-val >/dev/null || need spirv-tools
command -v glslc >/dev/null || need glslc
swiftshader=yes
have_file /usr/lib/chromium*/vk_swiftshader_icd.json "$cache"/*/vk_swiftshader_icd.json || swiftshader=''
[ -n "$missing" ] || [ -z "$swiftshader" ] || exit 0

if ! command -v apt-get >/dev/null; then
	cat >&2 <<EOT
This system has no apt-get. Install the counterparts of these Debian packages:$missing
and put SwiftShader's libvk_swiftshader.so and vk_swiftshader_icd.json, which any
Chromium or Chrome has in its folder, into $cache/local/
EOT
	exit 1
fi

if [ -n "$missing" ]; then
	as_root=''
	if [ "$(id -u)" != 0 ]; then
		if ! command -v sudo >/dev/null || ! { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
			echo "Install the missing packages, then try again: sudo apt-get install -y$missing" >&2
			exit 1
		fi
		as_root=sudo
	fi
	$as_root apt-get update -qq
	# shellcheck disable=SC2086 # the list is meant to be split
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
fi

[ -z "$swiftshader" ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# Debian keeps the driver in chromium-common, older releases in chromium.
for package in chromium-common chromium; do
	apt-get download -qq "$package" 2>/dev/null || continue
	deb=$(ls "${package}"_*.deb)
	version=$(dpkg-deb -f "$deb" Version | tr -c 'A-Za-z0-9.\n' -)
	mkdir -p unpacked
	dpkg-deb --fsys-tarfile "$deb" | tar -x -C unpacked --wildcards './usr/lib/chromium/*vk_swiftshader*' 2>/dev/null || true
	if have_file unpacked/usr/lib/chromium/libvk_swiftshader.so && have_file unpacked/usr/lib/chromium/vk_swiftshader_icd.json; then
		mkdir -p "$cache"
		rm -rf "$cache/$version"
		mv unpacked/usr/lib/chromium "$cache/$version"
		echo "SwiftShader of $package $version is in $cache/$version"
		exit 0
	fi
done
echo "SwiftShader was found in no Chromium package; try: apt-get update, or install chromium" >&2
exit 1
