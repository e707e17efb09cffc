package collect

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel is asked as nft does, over nfnetlink: a netlink header, four octets (family,
// version, resource), then attributes of length, type and value, padded to four octets.
//
//	NFT_MSG_GETCHAIN, NFT_MSG_GETRULE with NLM_F_DUMP -> messages until NLMSG_DONE
const (
	nfnlSubsystem = unix.NFNL_SUBSYS_NFTABLES << 8
	nlHeader      = unix.SizeofNlMsghdr
	nfHeader      = 4
	attrHeader    = 4
	attrTypeMask  = 0x3fff // the other two bits say "nested" and "network order"
)

// Attributes and values of linux/netfilter/nf_tables.h.
const (
	chainTable, chainName, chainHook, chainPolicy = 1, 3, 4, 5
	hookNumber                                    = 1
	hookInput                                     = 1 // NF_INET_LOCAL_IN
	ruleTable, ruleExpressions                    = 1, 4
	exprName, exprData                            = 1, 2
	immediateData, dataVerdict, verdictCode       = 2, 2, 1
	policyDrop                                    = 0 // NF_DROP
)

var nfFamilies = map[byte]string{1: "inet", 2: "ip", 5: "netdev", 10: "ip6", 7: "bridge"}

var errMalformed = errors.New("the kernel's answer cannot be read")

// readRuleset dumps chains and rules of this thread's network namespace.
func readRuleset(ctx context.Context) (*ruleset, error) {
	set := &ruleset{rules: map[string]int{}, refuse: map[string]bool{}}
	if err := dumpTables(ctx, unix.NFT_MSG_GETCHAIN, set.addChain); err != nil {
		return nil, err
	}
	return set, dumpTables(ctx, unix.NFT_MSG_GETRULE, set.addRule)
}

func (set *ruleset) addChain(family byte, attributes []byte) error {
	c := chain{family: nfFamilies[family]}
	inet := family == 1 || family == 2 || family == 10
	err := eachAttribute(attributes, func(kind uint16, value []byte) error {
		switch kind {
		case chainTable:
			c.table = text(value)
		case chainName:
			c.name = text(value)
		case chainPolicy:
			c.drops = len(value) == 4 && binary.BigEndian.Uint32(value) == policyDrop
		case chainHook:
			return eachAttribute(value, func(kind uint16, value []byte) error {
				c.input = c.input || inet && kind == hookNumber && len(value) == 4 && binary.BigEndian.Uint32(value) == hookInput
				return nil
			})
		}
		return nil
	})
	set.chains = append(set.chains, c)
	return err
}

func (set *ruleset) addRule(family byte, attributes []byte) error {
	table, refuses := "", false
	err := eachAttribute(attributes, func(kind uint16, value []byte) error {
		switch kind {
		case ruleTable:
			table = nfFamilies[family] + " " + text(value)
		case ruleExpressions:
			return eachAttribute(value, func(_ uint16, expression []byte) error {
				r, err := refusing(expression)
				refuses = refuses || r
				return err
			})
		}
		return nil
	})
	set.rules[table]++
	set.refuse[table] = set.refuse[table] || refuses
	return err
}

// refusing says whether an expression of a rule drops or rejects.
func refusing(expression []byte) (refuses bool, err error) {
	name := ""
	err = eachAttribute(expression, func(kind uint16, value []byte) error {
		switch {
		case kind == exprName:
			name = text(value)
			refuses = refuses || name == "reject"
		case kind == exprData && name == "immediate":
			return eachAttribute(value, func(kind uint16, value []byte) error {
				if kind != immediateData {
					return nil
				}
				return eachAttribute(value, func(kind uint16, value []byte) error {
					if kind != dataVerdict {
						return nil
					}
					return eachAttribute(value, func(kind uint16, value []byte) error {
						refuses = refuses || kind == verdictCode && len(value) == 4 && binary.BigEndian.Uint32(value) == policyDrop
						return nil
					})
				})
			})
		}
		return nil
	})
	return refuses, err
}

// text is a string attribute, which ends with a zero.
func text(value []byte) string { return unix.ByteSliceToString(value) }

// eachAttribute walks netlink attributes.
func eachAttribute(b []byte, f func(kind uint16, value []byte) error) error {
	for len(b) >= attrHeader {
		n := int(binary.NativeEndian.Uint16(b))
		kind := binary.NativeEndian.Uint16(b[2:]) & attrTypeMask
		if n < attrHeader || n > len(b) {
			return errMalformed
		}
		if err := f(kind, b[attrHeader:n]); err != nil {
			return err
		}
		b = b[min(len(b), (n+3)&^3):]
	}
	return nil
}

// dumpTables asks for all of one kind and calls f with each.
func dumpTables(ctx context.Context, kind int, f func(family byte, attributes []byte) error) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	wait := surveyLimit
	if deadline, ok := ctx.Deadline(); ok {
		wait = max(time.Until(deadline), time.Millisecond)
	}
	tv := unix.NsecToTimeval(wait.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return err
	}
	ask := make([]byte, nlHeader+nfHeader)
	binary.NativeEndian.PutUint32(ask, uint32(len(ask)))
	binary.NativeEndian.PutUint16(ask[4:], uint16(nfnlSubsystem|kind))
	binary.NativeEndian.PutUint16(ask[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	if err := unix.Sendto(fd, ask, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return err
		}
		if done, err := eachMessage(buf[:n], f); done || err != nil {
			return err
		}
	}
}

// eachMessage walks the messages of one datagram; done after the last of a dump.
func eachMessage(b []byte, f func(family byte, attributes []byte) error) (done bool, err error) {
	for len(b) >= nlHeader {
		n := int(binary.NativeEndian.Uint32(b))
		if n < nlHeader || n > len(b) {
			return true, errMalformed
		}
		body := b[nlHeader:n]
		switch kind := binary.NativeEndian.Uint16(b[4:]); {
		case kind == unix.NLMSG_DONE:
			return true, nil
		case kind == unix.NLMSG_ERROR:
			if len(body) < 4 {
				return true, errMalformed
			}
			if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
				return true, os.NewSyscallError("nf_tables", unix.Errno(-code))
			}
			return true, nil
		case len(body) >= nfHeader:
			if err := f(body[0], body[nfHeader:]); err != nil {
				return true, err
			}
		}
		b = b[min(len(b), (n+3)&^3):]
	}
	return false, nil
}
