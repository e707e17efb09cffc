// Package assert states what must hold. The checks exist in builds with the tag
// assert and under the race detector, and vanish elsewhere.
package assert
