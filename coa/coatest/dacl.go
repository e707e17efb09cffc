package coatest

import (
	"context"
	"fmt"

	"sallyport/netio/radius"
)

// fragmentsMax bounds a download: 4 KiB each, far beyond what an ASA would hold.
const fragmentsMax = 256

// download gets a downloadable ACL by its full name, once: a changed ACL has another
// name. The request has the name as its user, an empty password, the two pairs and a
// Message-Authenticator; each Access-Challenge brings whole entries and a State for the
// same request again, the Access-Accept the last of them.
func (a *ASA) download(ctx context.Context, session, name string) ([]string, error) {
	a.mu.Lock()
	known, ok := a.dacls[name]
	a.mu.Unlock()
	if ok {
		a.inside(session, "dACL %s is in the cache", name)
		return known, nil
	}
	numbered := map[int]string{}
	var state []byte
	for range fragmentsMax {
		got, err := a.exchange(ctx, request{server: a.config.AuthServer, session: session, role: radius.AuthClient, needsMA: true,
			build: func(identifier byte, _ uint32) ([]byte, error) {
				b := radius.Begin(nil, radius.AccessRequest, identifier)
				b.Addr(radius.NASIPAddress, a.config.NASIP)
				b.Text(radius.UserName, name)
				b.Password(a.key, nil)
				b.AVPair("aaa:service", "vpn")
				b.AVPair("aaa:event", "acl-download")
				b.Bytes(radius.State, state)
				return a.key.SealRequest(&b)
			}})
		if err != nil {
			return nil, fmt.Errorf("dACL %s: %w", name, err)
		}
		all := entries(&got.view, numbered)
		switch got.view.Code() {
		case radius.AccessReject:
			return nil, fmt.Errorf("dACL %s: %w", name, rejected(&got.view))
		case radius.AccessAccept:
			if err := whole(numbered); err != nil {
				return nil, fmt.Errorf("dACL %s: %w", name, err)
			}
			a.mu.Lock()
			a.dacls[name] = all
			a.mu.Unlock()
			a.inside(session, "dACL %s has %d entries", name, len(all))
			return all, nil
		}
		next, _ := got.view.Get(radius.State)
		if len(next) == 0 {
			return nil, fmt.Errorf("dACL %s: Access-Challenge without State", name)
		}
		state = next
	}
	return nil, fmt.Errorf("dACL %s: more than %d fragments", name, fragmentsMax)
}

// whole wants at least one entry and no gap in the numbers: a lost deny would permit.
func whole(numbered map[int]string) error {
	if len(numbered) == 0 {
		return fmt.Errorf("the Access-Accept holds no ip:inacl#n entry")
	}
	for n := 1; n <= len(numbered); n++ {
		if _, ok := numbered[n]; !ok {
			return fmt.Errorf("entry %d of %d is missing", n, len(numbered))
		}
	}
	return nil
}
