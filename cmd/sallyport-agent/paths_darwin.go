package main

const (
	defaultConfig = "/Library/Application Support/Sallyport Agent/agent.conf"
	defaultState  = "/Library/Application Support/Sallyport Agent/state"
)
