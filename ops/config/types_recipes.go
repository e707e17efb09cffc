package config

import "time"

// Recipe is a kind of NAS that is told of changes in a way of its own: what an engineer
// knows of it, in words. What is left out is as in the recipe that it is like. Package
// coa/recipe reads it.
type Recipe struct {
	Pos       Pos
	Like      Text   `key:"like" default:"rfc5176"`                     // a recipe, built in or before this one
	Port      int    `key:"port" range:"1..65535"`                      // where the NAS listens for changes
	Find      []Text `key:"find"`                                       // ways to find a session, the best first: names with blanks between, "?" after one that is told where known
	NameNASBy string `key:"name-nas-by" one:"address|identifier"`       // how a change names the NAS
	Apply     string `key:"apply" one:"push|reauthenticate|disconnect"` // how a new authorization reaches the NAS

	Push           []Text `key:"push"`           // Name=value, sent with the new authorization
	Reauthenticate []Text `key:"reauthenticate"` // Name=value, that make the NAS ask again
	Bounce         []Text `key:"bounce"`         // Name=value, that take the port down and up

	RedirectURL Text `key:"redirect-url"` // the attribute that carries it, Cisco-AVPair=name for a pair, or none
	RedirectACL Text `key:"redirect-acl"`
	DACL        Text `key:"dacl"`
	FilterID    Text `key:"filter-id"`
	GroupPolicy Text `key:"group-policy"`
	VLAN        Text `key:"vlan"` // tunnel, tunnel-tagged, an attribute, or none

	Refuses []Text `key:"refuses"` // attributes that a change does not carry

	Fallback      string        `key:"fallback" one:"alarm|disconnect|bounce"` // after silence to the end
	ConfirmWithin time.Duration `key:"confirm-within" range:"1s..10m"`         // the NAS shows within that it carried a change out
	InFlight      int           `key:"in-flight" range:"1..1024"`              // requests without an answer
	Rate          int           `key:"rate" range:"1..100000"`                 // changes a second
}
