package engine

// flaws are rules of the core that a test breaks on purpose, to see that the simulation
// notices. Nothing else sets them: the appliance is assembled without any.
type flaws struct {
	answersFirst  bool // answers, then commits
	ignoresDisk   bool // publishes what the journal refused
	skipsIndex    bool // a new session is not found by its Acct-Session-Id within its group
	reusesEpoch   bool // a posture change keeps the epoch
	forgetsChange bool // changes that were open before a restart are not sent again
	countsTwice   bool // an accounting record is added to what is there
}
