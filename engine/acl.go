package engine

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sallyport/coa"
	"sallyport/coa/recipe"
	"sallyport/engine/authz"
	"sallyport/engine/record"
	"sallyport/netio/radius"
	"sallyport/sessions"
)

// aclPrefix begins the User-Name of a request for a downloadable ACL. No person can
// log in by such a name.
const aclPrefix = "#ACSACL#"

// A long ACL goes out in parts: as many whole entries as fit, an Access-Challenge with
// State, and the NAS asks again with it. State is
//
//	| entries sent so far | seal          |
//	0                     4              20
//
// sealed over the ACL's full name with the ticket key, so that nothing is kept between
// the parts, and any appliance that has the key can give the next one.
const aclStateLen = 20

// aclRoom is left for State and Proxy-State behind the entries.
const aclRoom = 2 + aclStateLen

// aclDownload answers a request for a downloadable ACL. It must carry a valid
// Message-Authenticator and say what it is, or there is silence.
func (e *Engine) aclDownload(now time.Time, q *request) fate {
	v := &q.view
	name := text(v, radius.UserName)
	event, _ := v.AVPair("aaa:event")
	if !v.HasMessageAuthenticator() || string(event) != "acl-download" {
		q.drop(now, dropACLDownload)
		return ended
	}
	row := e.row(&sessions.Session{NAS: q.nas.Name, UserName: name, Server: q.late.To().Addr()}, record.KindDACL, record.Passed, "")
	if err := e.aclReply(q, name, row); err != nil {
		q.drop(now, dropReply)
		return ended
	}
	row.Elapsed = now.Sub(q.received)
	e.livelog.Add(row)
	e.coa.Confirmed(coa.Confirmed{Sign: recipe.SignACL, NAS: q.late.From().Addr(), DACLName: strings.Clone(name)})
	return answering
}

func (e *Engine) aclReply(q *request, name string, row *record.Decision) error {
	acl, ok := q.snap.Authz.DACL(name)
	from, stateOK := e.aclPosition(q, name)
	if !ok || !stateOK || from >= len(acl.Lines) {
		row.Status, row.Details = record.Failed, "Downloadable ACL refused"
		row.Reason = q.aclRefusal(name, stateOK)
		q.counters.rejects.Add(1)
		return q.rejectReply(nil)
	}
	to := aclPart(q, acl, from)
	if to == len(acl.Lines) {
		row.Details = fmt.Sprintf("Downloadable ACL sent, %d entries", len(acl.Lines))
		q.counters.accepts.Add(1)
		return q.aclPacket(radius.AccessAccept, acl, from, to, nil)
	}
	row.Details = fmt.Sprintf("Downloadable ACL, entries %d to %d of %d sent", from+1, to, len(acl.Lines))
	q.counters.challenges.Add(1)
	return q.aclPacket(radius.AccessChallenge, acl, from, to, e.aclState(name, to))
}

// aclRefusal is why there is nothing to download. An old version is asked for when the
// ACL was edited between the answer that named it and the download.
func (q *request) aclRefusal(name string, stateOK bool) string {
	if !stateOK {
		return "State is not one that was given out for this ACL"
	}
	if now, ok := q.snap.Authz.NewerDACL(name); ok {
		return "this version is gone, the ACL was edited: it is " + now.FullName + " now"
	}
	return "there is no ACL of this name"
}

// aclPart says up to which entry the packet has room.
func aclPart(q *request, acl *authz.DACL, from int) int {
	room := radius.PacketMax - radius.HeaderLen - 18 - aclRoom - q.view.Octets(radius.ProxyState)
	to := from
	for to < len(acl.Lines) {
		room -= 8 + len("ip:inacl#=") + len(strconv.Itoa(to+1)) + len(acl.Lines[to])
		if room < 0 {
			break
		}
		to++
	}
	return to
}

func (q *request) aclPacket(code radius.Code, acl *authz.DACL, from, to int, state []byte) error {
	q.builder = radius.Begin(q.dst, code, q.view.Identifier())
	for i := from; i < to; i++ {
		q.builder.AVPair("ip:inacl#"+strconv.Itoa(i+1), acl.Lines[i])
	}
	q.builder.Bytes(radius.State, state)
	q.builder.Copy(&q.view, radius.ProxyState)
	return q.builder.Err()
}

func (e *Engine) aclState(name string, entries int) []byte {
	state := binary.BigEndian.AppendUint32(make([]byte, 0, aclStateLen), uint32(entries))
	mac := hmac.New(sha256.New, e.tickets[:])
	mac.Write([]byte("acl"))
	mac.Write(state)
	mac.Write([]byte(name))
	return append(state, mac.Sum(nil)[:aclStateLen-4]...)
}

// aclPosition is how many entries the NAS has already; false for a State of others.
func (e *Engine) aclPosition(q *request, name string) (int, bool) {
	state, ok := q.view.Get(radius.State)
	if !ok {
		return 0, true
	}
	if len(state) != aclStateLen {
		return 0, false
	}
	n := binary.BigEndian.Uint32(state)
	return int(n), subtle.ConstantTimeCompare(e.aclState(name, int(n)), state) == 1
}
