package engine

import (
	"time"

	"sallyport/coa/recipe"
	"sallyport/engine/authz"
	"sallyport/netio/radius"
	"sallyport/sessions"
)

// Replies are made in q.builder, behind q.dst, and sealed later: the loop and the core
// seal many at once.

// acceptReply is the Access-Accept that gives a session its profile, in the words of
// its NAS. Message-Authenticator comes first, Proxy-State last.
func (e *Engine) acceptReply(q *request, s *sessions.Session, p *authz.Profile) error {
	q.builder = radius.Begin(q.dst, radius.AccessAccept, q.view.Identifier())
	grant := q.grant(e, s, p)
	if err := q.nas.Recipe.AppendAccess(&q.builder, &grant); err != nil {
		return err
	}
	q.builder.Copy(&q.view, radius.ProxyState)
	return q.builder.Err()
}

// rejectReply is an Access-Reject. Only what explains itself to the person goes along
// (RFC 2865 section 4.3), and nothing next to EAP.
func (q *request) rejectReply(p *authz.Profile) error {
	q.builder = radius.Begin(q.dst, radius.AccessReject, q.view.Identifier())
	if p != nil {
		for _, a := range p.Attributes {
			if a.Vendor == 0 && radius.Type(a.Type) == radius.ReplyMessage {
				q.builder.Bytes(radius.ReplyMessage, a.Value)
			}
		}
	}
	q.builder.Copy(&q.view, radius.ProxyState)
	return q.builder.Err()
}

// accountingReply has no attributes but Proxy-State (RFC 2866 section 4.2).
func (q *request) accountingReply() error {
	q.builder = radius.Begin(q.dst, radius.AccountingResponse, q.view.Identifier())
	q.builder.Copy(&q.view, radius.ProxyState)
	return q.builder.Err()
}

// status answers a Status-Server, which no one else's work waits for (RFC 5997).
func (q *request) status(code radius.Code) fate {
	q.builder = radius.BeginWith(q.dst, code, q.view.Identifier(), true)
	q.builder.Copy(&q.view, radius.ProxyState)
	return answering
}

// finish seals the reply alone and sends it late.
func (q *request) finish(now time.Time) {
	pkt, err := q.nas.Key.SealReply(&q.builder, q.view.Authenticator())
	if err != nil {
		q.drop(now, dropReply)
		return
	}
	q.sealed = pkt
	q.answer(now)
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
	e.tickets.write(&ticket, s)
	return authz.RedirectURL(dst, e.portalHost(), p.Redirect.Portal, id, alias(ticket[:]))
}
