package radius

import "encoding/binary"

// Limits of the protocol.
const (
	HeaderLen     = 20   // code, identifier, length, authenticator
	PacketMax     = 4096 // octets of a packet on UDP (RFC 2865 section 3)
	ValueMax      = 253  // octets of an attribute's value: 255 less type and length
	VendorMax     = 247  // octets of a vendor attribute's value: 253 less vendor, type, length
	PasswordMax   = 128  // octets of a User-Password (RFC 2865 section 5.2)
	AttributesMax = 200  // attributes of one packet; a flood of tiny ones costs more than it says
)

// Role is who is listening, and so which codes make sense.
type Role uint8

// The roles.
const (
	AuthServer Role = iota // Access-Request, Status-Server
	AcctServer             // Accounting-Request, Status-Server
	CoAClient              // answers to CoA-Request and Disconnect-Request
	CoAServer              // CoA-Request and Disconnect-Request: the NAS's side
	AuthClient             // Access-Accept, -Reject, -Challenge: the NAS's side
	AcctClient             // Accounting-Response: the NAS's side
	roles                  // the number of them
)

const knownCodes = 1<<AccessRequest | 1<<AccessAccept | 1<<AccessReject | 1<<AccountingRequest |
	1<<AccountingResponse | 1<<AccessChallenge | 1<<StatusServer | 1<<DisconnectRequest |
	1<<DisconnectACK | 1<<DisconnectNAK | 1<<CoARequest | 1<<CoAACK | 1<<CoANAK | 1<<ProtocolError

var roleCodes = [roles]uint64{
	AuthServer: 1<<AccessRequest | 1<<StatusServer,
	AcctServer: 1<<AccountingRequest | 1<<StatusServer,
	CoAClient:  1<<DisconnectACK | 1<<DisconnectNAK | 1<<CoAACK | 1<<CoANAK,
	CoAServer:  1<<DisconnectRequest | 1<<CoARequest,
	AuthClient: 1<<AccessAccept | 1<<AccessReject | 1<<AccessChallenge,
	AcctClient: 1 << AccountingResponse,
}

// Gate judges the fixed header, before anything is paid for. It returns the packet's
// length: octets beyond it are padding and are to be ignored (RFC 2865 section 3).
func Gate(pkt []byte, role Role) (length int, why Why) {
	length, why = headerLength(pkt)
	if why != Sound {
		return 0, why
	}
	switch bit := codeBit(pkt[0]); {
	case bit&knownCodes == 0:
		return 0, WhyUnknownCode
	case role >= roles || bit&roleCodes[role] == 0:
		return 0, WhyWrongCode
	}
	return length, Sound
}

func codeBit(code byte) uint64 {
	if code > 63 {
		return 0
	}
	return 1 << code
}

func headerLength(pkt []byte) (int, Why) {
	if len(pkt) < HeaderLen {
		return 0, WhyShort
	}
	n := int(binary.BigEndian.Uint16(pkt[2:]))
	switch {
	case n < HeaderLen || n > PacketMax:
		return 0, WhyBadLength
	case n > len(pkt):
		return 0, WhyTruncated
	}
	return n, Sound
}
