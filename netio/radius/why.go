package radius

// Why is the reason for which a packet is dropped. RFC 5176 and RFC 2865 ask for
// silence towards the sender; towards the operator each reason is a counter.
type Why uint8

// The reasons. Sound is the zero value: nothing is wrong.
const (
	Sound                       Why = iota
	WhyShort                        // fewer than 20 octets
	WhyBadLength                    // length field below 20 or above 4096
	WhyTruncated                    // length field beyond what was received
	WhyUnknownCode                  // a code that no RFC we follow defines
	WhyWrongCode                    // a known code, but not one for this port
	WhyAttributeType                // attribute type 0
	WhyAttributeLength              // attribute length 0 or 1
	WhyAttributeOverrun             // attribute runs past the end of the packet
	WhyStrayOctet                   // one octet left after the last attribute
	WhyTooManyAttributes            // more than AttributesMax
	WhyMessageAuthenticatorForm     // more than one Message-Authenticator, or not of 16 octets
	WhyNoMessageAuthenticator       // absent where it is required
	WhyBadMessageAuthenticator      // does not fit packet and secret
	WhyBadAuthenticator             // Request or Response Authenticator does not fit
	Whys                            // the number of reasons
)

var whyNames = [Whys]string{
	Sound:                       "sound",
	WhyShort:                    "short",
	WhyBadLength:                "bad_length",
	WhyTruncated:                "truncated",
	WhyUnknownCode:              "unknown_code",
	WhyWrongCode:                "wrong_code",
	WhyAttributeType:            "attribute_type",
	WhyAttributeLength:          "attribute_length",
	WhyAttributeOverrun:         "attribute_overrun",
	WhyStrayOctet:               "stray_octet",
	WhyTooManyAttributes:        "too_many_attributes",
	WhyMessageAuthenticatorForm: "message_authenticator_form",
	WhyNoMessageAuthenticator:   "no_message_authenticator",
	WhyBadMessageAuthenticator:  "bad_message_authenticator",
	WhyBadAuthenticator:         "bad_authenticator",
}

// String is the reason as a metric's label: lower-case snake_case, never renamed.
func (w Why) String() string {
	if w < Whys {
		return whyNames[w]
	}
	return "unknown"
}
