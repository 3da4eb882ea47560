#!/usr/bin/env bash
# Installs with apt what `make test` needs besides Go, make and git, and only
# what is missing: Chromium, a C compiler for the race detector, Node.js and
# npm, a keyring and a message bus, an LDAP server, PostgreSQL and a pooler.
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

# test/peers runs a provider that is not ours, which is written for Node.js.
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)

# test/keyring keeps a key in a keyring, on a bus of its own, and looks at it
# from a terminal.
command -v gnome-keyring-daemon >/dev/null || packages+=(gnome-keyring)
command -v dbus-daemon >/dev/null || packages+=(dbus-daemon)
command -v script >/dev/null || packages+=(bsdutils)

# test/directory asks an LDAP server.
command -v slapd >/dev/null || [ -x /usr/sbin/slapd ] || packages+=(slapd)

if ! command -v initdb >/dev/null && ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
	packages+=(postgresql)
fi
if ! command -v pgbouncer >/dev/null && [ ! -x /usr/sbin/pgbouncer ]; then
	packages+=(pgbouncer)
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
