#!/bin/sh
# Before a removal, but not before an upgrade ($1 is "upgrade" or 1 then).
set -e
case "$1" in upgrade | 1) exit 0 ;; esac
[ -d /run/systemd/system ] || exit 0
systemctl disable --now sallyport.service >/dev/null 2>&1 || true
