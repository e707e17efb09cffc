// Package coatest is NASes to argue with, on loopback sockets.
//
//	Script   answers CoA and Disconnect requests as it is told, step by step: ACKs, NAKs,
//	         silence, late and duplicate answers, wrong secrets
package coatest
