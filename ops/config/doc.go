// Package config turns the YAML that people write into a typed, validated and from
// then on immutable value. It reports every fault at once, each with file, line and
// column, the line itself, a caret below the place, and the nearest valid name.
//
//	bytes -> syntax tree with positions -> typed values (struct tags) -> checks across
//	sections -> files that it names: secrets, users, endpoints -> *Config
//
// The structs below are the schema: a field's tags say how its key is spelled and what
// it may hold, and nothing else does.
//
//	key:"name"          the key; ",required" when it must be there
//	default:"5s"        what a missing key means, written as in the file
//	range:"1s..24h"     bounds, both included
//	one:"accept|reject" the words it may be
//
// The key include lists further files. What they say stands before what the file that
// names them says, in the order named: rules of an include are tried first. Lists and
// maps grow over files; anything else may be given once.
//
// Values that a later stage compiles (rules, references to names that other stages
// know) are Text: a string that remembers where it was written. Maps keep the order of
// the file.
package config
