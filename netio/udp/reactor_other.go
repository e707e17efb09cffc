//go:build !linux

package udp

// openReactor uses the portable loops where there is no recvmmsg.
func openReactor(s *Server, h Handler) error { return openPortable(s, h) }
