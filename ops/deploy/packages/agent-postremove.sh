#!/bin/sh
# A purge takes the device key and all else along; a removal leaves them. What is blocked
# stays so until it is plugged in again.
set -e
[ "$1" = purge ] && rm -rf /var/lib/sallyport-agent
[ -d /run/systemd/system ] && systemctl daemon-reload
exit 0
