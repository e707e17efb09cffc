#!/bin/sh
# After an installation or an upgrade. Without a configuration there is nothing to serve;
# with one that is sound the new program takes over.
set -e
getent passwd sallyport >/dev/null || useradd --system --home-dir /var/lib/sallyport --shell /usr/sbin/nologin sallyport
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
if [ ! -e /etc/sallyport/sallyport.yaml ]; then
	echo "sallyport: write /etc/sallyport/sallyport.yaml (an example is in /usr/share/doc/sallyport/examples), then: systemctl enable --now sallyport"
elif sallyport check --config /etc/sallyport/sallyport.yaml >/dev/null 2>&1; then
	systemctl try-restart sallyport.service || true
else
	echo "sallyport: the configuration has faults for this version, the old program goes on: sallyport check"
fi
