// Package radius reads and writes RADIUS packets (RFC 2865, 2866, 2868, 2869, 3162,
// 3579, 5080, 5176, 5997). It knows octets and secrets, no sockets and no policy.
//
//	 0          1            2         4                20
//	+----------+------------+---------+----------------+------------
//	| code     | identifier | length  | authenticator  | attributes
//	+----------+------------+---------+----------------+------------
//	attribute          | type | length | value 0..253 octets |
//	vendor attribute   | 26 | length | 0 vendor(3) | type | length | value 0..247 |
//
// A packet is judged in steps, the cheap ones first:
//
//	Gate         the fixed header, before a secret is looked up
//	View.Decode  every length once; afterwards no accessor can fail
//	Key.Verify…  Message-Authenticator, Request and Response Authenticator
//
// and made in one go: Begin, the Builder's methods, Key.SealReply or Key.SealRequest.
// Message-Authenticator is the first attribute of whatever Begin makes room for it in,
// which is everything but accounting. A View borrows the packet and keeps nothing; a
// Builder appends to the caller's buffer. Neither allocates.
//
// Where many packets are at hand, a Batch checks, reveals and seals them together, at a
// sixth to a tenth of the time: their MD5s run side by side.
package radius
