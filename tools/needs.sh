#!/usr/bin/env bash
# Installs with apt what `make test` needs besides Go, make and git, and only
# what is missing: Chromium, and a C compiler for the race detector.
set -euo pipefail

packages=()

read -r compiler _ <<<"$(go env CC)"
if ! echo '#include <stdlib.h>' | "$compiler" -E - >/dev/null 2>&1; then
	packages+=(gcc libc6-dev)
fi

browser=
for name in headless_shell headless-shell chromium chromium-browser google-chrome google-chrome-stable; do
	browser=$(command -v "$name") && break
done
if [ -z "$browser" ]; then
	packages+=(chromium)
fi

if [ ${#packages[@]} -eq 0 ]; then
	exit 0
fi
if ! command -v apt-get >/dev/null; then
	echo "make test needs these, and there is no apt to get them: ${packages[*]}; install them and try again" >&2
	exit 1
fi
root=()
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "make test needs these: run as root: apt-get install ${packages[*]}" >&2
		exit 1
	fi
	root=(sudo)
fi
echo "installing with apt what the tests need: ${packages[*]}"
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}"
