package main

const (
	defaultConfig = `C:\ProgramData\Sallyport Agent\agent.conf`
	defaultState  = `C:\ProgramData\Sallyport Agent\state`
)
