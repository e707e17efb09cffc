package radius

import "strconv"

// Code says what a packet is (RFC 2865 section 3, RFC 5176 section 2.3).
type Code byte

// The codes.
const (
	AccessRequest      Code = 1
	AccessAccept       Code = 2
	AccessReject       Code = 3
	AccountingRequest  Code = 4
	AccountingResponse Code = 5
	AccessChallenge    Code = 11
	StatusServer       Code = 12
	DisconnectRequest  Code = 40
	DisconnectACK      Code = 41
	DisconnectNAK      Code = 42
	CoARequest         Code = 43
	CoAACK             Code = 44
	CoANAK             Code = 45
	ProtocolError      Code = 52
)

var codeNames = map[Code]string{
	AccessRequest: "Access-Request", AccessAccept: "Access-Accept", AccessReject: "Access-Reject",
	AccountingRequest: "Accounting-Request", AccountingResponse: "Accounting-Response",
	AccessChallenge: "Access-Challenge", StatusServer: "Status-Server",
	DisconnectRequest: "Disconnect-Request", DisconnectACK: "Disconnect-ACK", DisconnectNAK: "Disconnect-NAK",
	CoARequest: "CoA-Request", CoAACK: "CoA-ACK", CoANAK: "CoA-NAK", ProtocolError: "Protocol-Error",
}

// String is the RFC's name of the code, or its number.
func (c Code) String() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return "code " + strconv.Itoa(int(c))
}

// digested says whether the Request Authenticator of such a request is an MD5 over
// the packet (RFC 2866 section 3, RFC 5176 section 2.3) and not a random value. Its
// Message-Authenticator is then made over sixteen zero octets in that place.
func (c Code) digested() bool {
	return c == AccountingRequest || c == DisconnectRequest || c == CoARequest
}

// Type is an attribute's type octet.
type Type byte

// String is the RFC's name of the attribute, or its number.
func (t Type) String() string {
	if name := typeNames[t]; name != "" {
		return name
	}
	return "attribute " + strconv.Itoa(int(t))
}
