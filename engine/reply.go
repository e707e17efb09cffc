package engine

import (
	"sallyport/coa/recipe"
	"sallyport/engine/authz"
	"sallyport/netio/radius"
	"sallyport/sessions"
)

// acceptReply is the Access-Accept that gives a session its profile, in the words of
// its NAS. Message-Authenticator comes first, Proxy-State last.
func (e *Engine) acceptReply(dst []byte, q *request, s *sessions.Session, p *authz.Profile) ([]byte, error) {
	b := radius.Begin(dst, radius.AccessAccept, q.view.Identifier())
	grant := q.grant(e, s, p)
	if err := q.nas.Recipe.AppendAccess(&b, &grant); err != nil {
		return nil, err
	}
	b.Copy(&q.view, radius.ProxyState)
	return q.nas.Key.SealReply(&b, q.view.Authenticator())
}

// rejectReply is an Access-Reject. Only what explains itself to the person goes along
// (RFC 2865 section 4.3), and nothing next to EAP.
func rejectReply(dst []byte, q *request, p *authz.Profile) ([]byte, error) {
	b := radius.Begin(dst, radius.AccessReject, q.view.Identifier())
	if p != nil {
		for _, a := range p.Attributes {
			if a.Vendor == 0 && radius.Type(a.Type) == radius.ReplyMessage {
				b.Bytes(radius.ReplyMessage, a.Value)
			}
		}
	}
	b.Copy(&q.view, radius.ProxyState)
	return q.nas.Key.SealReply(&b, q.view.Authenticator())
}

// accountingReply has no attributes but Proxy-State (RFC 2866 section 4.2).
func accountingReply(dst []byte, q *request) ([]byte, error) {
	b := radius.Begin(dst, radius.AccountingResponse, q.view.Identifier())
	b.Copy(&q.view, radius.ProxyState)
	return q.nas.Key.SealReply(&b, q.view.Authenticator())
}

// statusReply answers a Status-Server, which no one else's work waits for (RFC 5997).
func (e *Engine) statusReply(dst []byte, q *request, code radius.Code) []byte {
	b := radius.BeginWith(dst, code, q.view.Identifier(), true)
	b.Copy(&q.view, radius.ProxyState)
	reply, err := q.nas.Key.SealReply(&b, q.view.Authenticator())
	if err != nil {
		q.counters.drop(q.received, dropReply)
		return dst
	}
	return reply
}

// grant makes a profile concrete for the session that q logs in, in the memory of q:
// with its ticket in the redirect URL and its own Class.
func (q *request) grant(e *Engine, s *sessions.Session, p *authz.Profile) recipe.Grant {
	if p.Redirect != nil {
		q.url = e.redirectURL(q.url[:0], s, p)
	} else {
		q.url = q.url[:0]
	}
	q.class[0] = octets(q.say(classPrefix, string(s.ID)))
	return p.Grant(alias(q.url), q.class[:1])
}

// grant makes a profile concrete for one session, in memory of its own.
func (e *Engine) grant(s *sessions.Session, p *authz.Profile) recipe.Grant {
	url := ""
	if p.Redirect != nil {
		url = string(e.redirectURL(nil, s, p))
	}
	return p.Grant(url, [][]byte{[]byte(classPrefix + string(s.ID))})
}

func (e *Engine) redirectURL(dst []byte, s *sessions.Session, p *authz.Profile) []byte {
	id := s.AuditSessionID
	if id == "" {
		id = string(s.ID)
	}
	var ticket [ticketLen]byte
	e.tickets.write(&ticket, s.ID, s.Posture.Binding.TicketSerial)
	return authz.RedirectURL(dst, e.portalHost(), p.Redirect.Portal, id, alias(ticket[:]))
}
