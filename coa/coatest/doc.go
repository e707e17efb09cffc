// Package coatest is NASes to argue with, on loopback sockets.
//
//	Script   answers CoA and Disconnect requests as it is told, step by step: ACKs, NAKs,
//	         silence, late and duplicate answers, wrong secrets
//	ASA      a whole ASA for demonstrations and end-to-end tests; it needs no testing.T,
//	         so that a program may run it
//
// What an ASA does:
//
//	endpoint        ASA                                   appliance
//	   |-- Login --->|-- Access-Request (PAP) --------------->|
//	   |             |<-- Access-Accept: redirect or dACL ----|
//	   |             |-- Access-Request #ACSACL#… ----------->|  until the ACL is whole
//	   |             |-- Accounting-Request Start ----------->|  with the tunnel address
//	   |-- GET / --->|  302 to the redirect URL               |
//	   |             |<-- CoA-Request coa-push=true ----------|
//	   |             |-- CoA-ACK, then the dACL ------------->|
//
// What is known of the real one is written where it is done. What is not known, it does
// as the RFCs say. It too can be told to be silent, to refuse, and to lie.
package coatest
