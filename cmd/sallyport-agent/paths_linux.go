package main

const (
	defaultConfig = "/etc/sallyport/agent.conf"
	defaultState  = "/var/lib/sallyport-agent"
)
