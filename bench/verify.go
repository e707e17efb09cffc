package bench

import (
	"crypto/md5" // RFC 2865 section 3 knows no other
	"hash"

	"sallyport/netio/radius"
	"sallyport/ops/secret"
)

// Of a phase the first wholeFirst replies and each wholeEvery-th after them are verified
// with their Message-Authenticator; of all others the Response Authenticator, which is a
// digest over every octet and the secret, is enough.
const (
	wholeFirst = 1000
	wholeEvery = 16
)

// verifier checks replies.
type verifier struct {
	key    *radius.Key
	secret []byte
	digest hash.Hash
	sum    [md5.Size]byte
}

func newVerifier(s secret.Shared) (*verifier, error) {
	key, err := radius.NewKey(s)
	if err != nil {
		return nil, err
	}
	return &verifier{key: key, secret: s.Reveal(), digest: md5.New()}, nil
}

// sound says whether a decoded reply answers the request with this authenticator.
func (v *verifier) sound(reply *radius.View, data []byte, request *radius.Authenticator, n uint64) bool {
	if n <= wholeFirst || n%wholeEvery == 0 {
		return v.key.VerifyResponse(reply, *request) == radius.Sound
	}
	octets := int(data[2])<<8 | int(data[3])
	v.digest.Reset()
	v.digest.Write(data[:4])
	v.digest.Write(request[:])
	v.digest.Write(data[radius.HeaderLen:octets])
	v.digest.Write(v.secret)
	return string(v.digest.Sum(v.sum[:0])) == string(data[4:radius.HeaderLen])
}
