# To be sourced: installs packages of the system where that is possible.
can_install() { command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; }
apt_install() { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; }
