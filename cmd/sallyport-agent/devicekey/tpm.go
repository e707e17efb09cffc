package devicekey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"sync"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"sallyport/cmd/sallyport-agent/keep"
)

// tpmFile holds the key as the TPM gave it out: wrapped by a storage key that the TPM derives
// from its owner seed, and therefore void when the TPM is cleared. It is written as other
// tools for TPM keys write theirs:
//
//	SEQUENCE {
//	  OBJECT IDENTIFIER 2.23.133.10.1.3   a key to be loaded
//	  [0] BOOLEAN TRUE                    no password
//	  INTEGER 0x40000001                  below the owner's storage key, P-256
//	  OCTET STRING, OCTET STRING }        TPM2B_PUBLIC, TPM2B_PRIVATE
const tpmFile = "device.tpm"

const tpmBlock = "TSS2 PRIVATE KEY"

var loadable = asn1.ObjectIdentifier{2, 23, 133, 10, 1, 3}

type wrapped struct {
	Kind    asn1.ObjectIdentifier
	NoAuth  bool `asn1:"optional,explicit,tag:0"`
	Parent  int64
	Public  []byte
	Private []byte
}

var (
	errDamaged = errors.New("the key of the TPM cannot be read")

	// errLost says that the TPM works and will not take the key.
	errLost = errors.New("the TPM does not take its key back: it was cleared, or is another one")
)

// template is a key that signs digests and does nothing else, without a password: what holds
// it is the TPM, and the mode of its file.
var template = tpm2.TPMTPublic{
	Type:    tpm2.TPMAlgECC,
	NameAlg: tpm2.TPMAlgSHA256,
	ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true,
		NoDA: true, SignEncrypt: true},
	Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
		Scheme: tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA,
			Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})},
		CurveID: tpm2.TPMECCNistP256,
	}),
}

// tpmKey signs in the TPM. It stays loaded; a TPM that forgot it, as after hibernation, gets
// it again.
type tpmKey struct {
	open   func() (transport.TPMCloser, error)
	saved  wrapped
	public *ecdsa.PublicKey

	mu     sync.Mutex // guards what follows, and the TPM
	tpm    transport.TPMCloser
	handle tpm2.NamedHandle
}

// fromTPM loads the key that is saved, or makes one where there is none, or none any more.
func fromTPM(dir keep.Dir, saved bool, device string, log *slog.Logger) (crypto.Signer, error) {
	open := func() (transport.TPMCloser, error) { return openTPM(device) }
	if saved {
		key, err := loadTPM(dir, open)
		if !errors.Is(err, errLost) {
			return key, err
		}
		log.Warn("a new device key is made in the TPM", "reason", err)
	}
	w, err := makeInTPM(open)
	if err != nil {
		return nil, err
	}
	key, err := useTPM(w, open)
	if err != nil {
		return nil, err
	}
	der, err := asn1.Marshal(w)
	if err != nil {
		return nil, err
	}
	return key, dir.Write(tpmFile, pem.EncodeToMemory(&pem.Block{Type: tpmBlock, Bytes: der}), keep.Private)
}

func loadTPM(dir keep.Dir, open func() (transport.TPMCloser, error)) (crypto.Signer, error) {
	path := dir.Path(tpmFile)
	block, err := readBlock(path, tpmBlock)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	w, err := unwrap(block)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w; move it away to have a new key made", errDamaged, path, err)
	}
	key, err := useTPM(w, open)
	if err != nil {
		return nil, err
	}
	return key, nil
}

// unwrap reads the DER of a saved key of this package's kind.
func unwrap(der []byte) (wrapped, error) {
	var w wrapped
	rest, err := asn1.Unmarshal(der, &w)
	switch {
	case err != nil:
		return w, err
	case len(rest) > 0:
		return w, fmt.Errorf("%d octets behind it", len(rest))
	case !w.Kind.Equal(loadable) || !w.NoAuth || w.Parent != int64(tpm2.TPMRHOwner):
		return w, errors.New("it is a TPM key of another kind")
	}
	return w, nil
}

// useTPM has the key loaded, and tries it.
func useTPM(w wrapped, open func() (transport.TPMCloser, error)) (*tpmKey, error) {
	public, err := publicOf(w.Public)
	if err != nil {
		return nil, fmt.Errorf("%w: %w; move %s away to have a new one made", errDamaged, err, tpmFile)
	}
	k := &tpmKey{open: open, saved: w, public: public}
	digest := sha256.Sum256([]byte("sallyport-agent tries its key"))
	signature, err := k.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	if !ecdsa.VerifyASN1(public, digest[:], signature) {
		return nil, errors.New("what the TPM signs does not fit its key")
	}
	return k, nil
}

// publicOf reads TPM2B_PUBLIC.
func publicOf(b []byte) (*ecdsa.PublicKey, error) {
	outer, err := tpm2.Unmarshal[tpm2.TPM2BPublic](b)
	if err != nil {
		return nil, err
	}
	public, err := outer.Contents()
	if err != nil {
		return nil, err
	}
	parms, err := public.Parameters.ECCDetail()
	if err != nil {
		return nil, err
	}
	point, err := public.Unique.ECC()
	if err != nil {
		return nil, err
	}
	if parms.CurveID != tpm2.TPMECCNistP256 || len(point.X.Buffer) > 32 || len(point.Y.Buffer) > 32 {
		return nil, errors.New("it is not on P-256")
	}
	uncompressed := make([]byte, 65)
	uncompressed[0] = 4
	new(big.Int).SetBytes(point.X.Buffer).FillBytes(uncompressed[1:33])
	new(big.Int).SetBytes(point.Y.Buffer).FillBytes(uncompressed[33:])
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), uncompressed)
}

// storage has the TPM derive the key that wraps ours. The caller flushes it.
func storage(tpm transport.TPM) (tpm2.NamedHandle, error) {
	made, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(tpm)
	if err != nil {
		return tpm2.NamedHandle{}, fmt.Errorf("the TPM gives no storage key: %w", err)
	}
	return tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name}, nil
}

func flush(tpm transport.TPM, h tpm2.NamedHandle) {
	_, _ = tpm2.FlushContext{FlushHandle: h.Handle}.Execute(tpm) // what is left goes with the connection
}

func makeInTPM(open func() (transport.TPMCloser, error)) (wrapped, error) {
	tpm, err := open()
	if err != nil {
		return wrapped{}, err
	}
	defer tpm.Close()
	parent, err := storage(tpm)
	if err != nil {
		return wrapped{}, err
	}
	defer flush(tpm, parent)
	made, err := tpm2.Create{ParentHandle: parent, InPublic: tpm2.New2B(template)}.Execute(tpm)
	if err != nil {
		return wrapped{}, fmt.Errorf("the TPM makes no key on P-256: %w", err)
	}
	return wrapped{Kind: loadable, NoAuth: true, Parent: int64(tpm2.TPMRHOwner),
		Public: tpm2.Marshal(made.OutPublic), Private: tpm2.Marshal(made.OutPrivate)}, nil
}

// Public is the *ecdsa.PublicKey.
func (k *tpmKey) Public() crypto.PublicKey { return k.public }

// Sign has the TPM sign a SHA-256 digest; the signature is DER. The TPM brings its own
// randomness.
func (k *tpmKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if len(digest) != sha256.Size || opts == nil || opts.HashFunc() != crypto.SHA256 {
		return nil, errors.New("the key in the TPM signs SHA-256 digests alone")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for again := k.tpm != nil; ; again = false {
		signature, err := k.sign(digest)
		if err == nil || !again {
			return signature, err
		}
		k.close()
	}
}

// close lets the TPM go. The kernel takes back what a connection leaves; a TPM behind a socket
// would keep it. REQUIRES: mu.
func (k *tpmKey) close() {
	if k.tpm == nil {
		return
	}
	if k.handle.Handle != 0 {
		flush(k.tpm, k.handle)
	}
	_ = k.tpm.Close()
	k.tpm, k.handle = nil, tpm2.NamedHandle{}
}

// sign loads the key when it is not. REQUIRES: mu.
func (k *tpmKey) sign(digest []byte) ([]byte, error) {
	if k.tpm == nil {
		if err := k.load(); err != nil {
			k.close()
			return nil, err
		}
	}
	signed, err := tpm2.Sign{KeyHandle: k.handle, Digest: tpm2.TPM2BDigest{Buffer: digest},
		InScheme: tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgECDSA,
			Details: tpm2.NewTPMUSigScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSchemeHash{HashAlg: tpm2.TPMAlgSHA256})},
		Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull}}.Execute(k.tpm)
	if err != nil {
		return nil, fmt.Errorf("the TPM does not sign: %w", err)
	}
	pair, err := signed.Signature.Signature.ECDSA()
	if err != nil {
		return nil, fmt.Errorf("the TPM's signature: %w", err)
	}
	number := func(p tpm2.TPM2BECCParameter) *big.Int { return new(big.Int).SetBytes(p.Buffer) }
	return asn1.Marshal(struct{ R, S *big.Int }{number(pair.SignatureR), number(pair.SignatureS)})
}

// load opens the TPM and gives it its key. REQUIRES: mu.
func (k *tpmKey) load() error {
	var err error
	if k.tpm, err = k.open(); err != nil {
		return err
	}
	public, err := tpm2.Unmarshal[tpm2.TPM2BPublic](k.saved.Public)
	if err != nil {
		return err
	}
	private, err := tpm2.Unmarshal[tpm2.TPM2BPrivate](k.saved.Private)
	if err != nil {
		return fmt.Errorf("%w: %w; move %s away to have a new one made", errDamaged, err, tpmFile)
	}
	parent, err := storage(k.tpm)
	if err != nil {
		return err
	}
	defer flush(k.tpm, parent)
	loaded, err := tpm2.Load{ParentHandle: parent, InPrivate: *private, InPublic: *public}.Execute(k.tpm)
	if refused := (tpm2.TPMFmt1Error{}); errors.As(err, &refused) { // as against a lack of room, or no answer
		return fmt.Errorf("%w (%w)", errLost, err)
	}
	if err != nil {
		return fmt.Errorf("the TPM does not load its key: %w", err)
	}
	k.handle = tpm2.NamedHandle{Handle: loaded.ObjectHandle, Name: loaded.Name}
	return nil
}
