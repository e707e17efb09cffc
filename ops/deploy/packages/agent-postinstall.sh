#!/bin/sh
# After an installation or an upgrade. A fresh agent knows no appliance: it is enabled,
# and started when its configuration says whom to trust.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
systemctl enable sallyport-agent.service >/dev/null 2>&1 || true
if grep -Eq '^[[:space:]]*(ca|pin|server|name-rule|trust-first-use)[[:space:]]*=' /etc/sallyport/agent.conf; then
	systemctl restart sallyport-agent.service || true
else
	echo "sallyport-agent: set ca, pin or server in /etc/sallyport/agent.conf, then: systemctl start sallyport-agent"
fi
