package portal

// plainAlert finds a TLS alert that is not encrypted among the records that a peer sends.
// OpenSSL, and what is built on it, refuses a certificate of TLS 1.3 in that way: it does not
// yet write with the keys of the handshake (RFC 8446 section 5.1 lets a peer do so), and the
// standard library, which expects them, only says that the record does not fit.
//
//	| type 21 | 03 03 | 00 02 | level | description |
type plainAlert struct {
	over   bool // the handshake: nothing is looked at any more
	header [recordHeader]byte
	have   int // octets of the header
	left   int // octets of the record's body
	level  bool
	code   byte // of the last alert, 0: none
}

const (
	recordHeader = 5
	recordAlert  = 21
	alertOctets  = 2
	alertMin     = 42 // bad_certificate (RFC 8446 section 6.2)
	alertMax     = 46 // certificate_unknown; between them what else can be wrong with one
	alertUnknown = 48 // unknown_ca
)

// see follows the octets, wherever they are cut.
func (a *plainAlert) see(b []byte) {
	for !a.over && len(b) > 0 {
		switch {
		case a.have < recordHeader:
			a.header[a.have] = b[0]
			if a.have++; a.have == recordHeader {
				a.left, a.level = int(a.header[3])<<8|int(a.header[4]), false
			}
			b = b[1:]
		case a.isAlert():
			if a.level {
				a.code = b[0]
			}
			a.level = true
			a.left--
			b = b[1:]
		default:
			n := min(a.left, len(b))
			a.left -= n
			b = b[n:]
		}
		if a.have == recordHeader && a.left == 0 {
			a.have = 0
		}
	}
}

// isAlert: an encrypted one looks like data and is longer.
func (a *plainAlert) isAlert() bool {
	return a.header[0] == recordAlert && int(a.header[3])<<8|int(a.header[4]) == alertOctets
}

// ofCertificate says whether the peer refused our certificate.
func (a *plainAlert) ofCertificate() bool {
	return a.code >= alertMin && a.code <= alertMax || a.code == alertUnknown
}
