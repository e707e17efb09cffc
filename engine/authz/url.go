package authz

import "sallyport/sessions"

// The redirect URL goes into one Cisco-AVPair: 247 octets less "url-redirect=".
//
//	https://host:port/portal/gateway?sessionId=...&portal=...&action=cpp&ticket=...
const (
	urlMax    = 247 - len("url-redirect=")
	ticketMax = 32 // octets of a ticket
)

// RedirectURL appends the URL that a redirected person, or agent, arrives with. host
// carries the port where it is not 443; an IPv6 address stands in brackets. All values
// are made of octets that need no escaping in a query: configuration names, canonical
// session ids and base64url tickets.
func RedirectURL(dst []byte, host, portal, sessionID, ticket string) []byte {
	dst = append(dst, "https://"...)
	dst = append(dst, host...)
	dst = append(dst, "/portal/gateway?sessionId="...)
	dst = append(dst, sessionID...)
	dst = append(dst, "&portal="...)
	dst = append(dst, portal...)
	dst = append(dst, "&action=cpp&ticket="...)
	return append(dst, ticket...)
}

// LongestRedirectURL is the length of the longest URL that a session can be given.
func LongestRedirectURL(host, portal string) int {
	return len(RedirectURL(nil, host, portal, "", "")) + sessions.IDMax + ticketMax
}
