package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sallyport/engine/posture"
	"sallyport/netio/report"
	"sallyport/ops/config"
)

type libraryCmd struct {
	Show   libraryShowCmd   `cmd:"" help:"Show the posture library that the configuration uses."`
	Update libraryUpdateCmd `cmd:"" help:"Replace the library by a newer one, after its signature was verified."`
	Sign   librarySignCmd   `cmd:"" help:"Sign a library."`
	Key    libraryKeyCmd    `cmd:"" help:"Make a key to sign with, and print the public one."`

	SignAgent  librarySignAgentCmd  `cmd:"" help:"Sign a build of the agent, for those that replace themselves by it."`
	SignFile   librarySignFileCmd   `cmd:"" help:"Sign a program or a script as its publisher."`
	SignRemedy librarySignRemedyCmd `cmd:"" help:"Sign what a remediation has agents run or fetch, for those that do nothing else."`
}

type libraryShowCmd struct {
	Config string `help:"Configuration file." default:"${config}" placeholder:"FILE"`
}

// Run shows the library, as what it adds to none.
func (c *libraryShowCmd) Run() error {
	loaded, _, faults := config.Load(c.Config)
	if err := faults.Err(); err != nil {
		return configError(err)
	}
	content := &loaded.Posture.Library.Content
	fmt.Printf("version %s\n", content.Version.Value)
	printDiff(&config.LibraryContent{}, content)
	return nil
}

func printDiff(old, next *config.LibraryContent) {
	for _, line := range config.DiffLibraries(old, next) {
		fmt.Println(line)
	}
}

type libraryUpdateCmd struct {
	From   string `arg:"" help:"A file, or an https URL."`
	Config string `help:"Configuration file." default:"${config}" placeholder:"FILE"`
	DryRun bool   `help:"Show what would change, and change nothing."`
	Older  bool   `help:"Take an older version too."`
}

// Run verifies the signature, says what changes, and replaces the file in one step. The
// appliance takes it into use with the next reload.
func (c *libraryUpdateCmd) Run() error {
	loaded, _, faults := config.Load(c.Config)
	if loaded == nil {
		return configError(faults.Err())
	}
	own := &loaded.Posture.Library
	if own.File.Value == "" || own.Key.Value == "" {
		return fmt.Errorf("%s names no library: write posture: {library: {file: FILE, key: KEY}}", c.Config)
	}
	signed, err := fetch(c.From)
	if err != nil {
		return err
	}
	text, err := config.OpenLibrary(signed, own.Key.Value)
	if err != nil {
		return fmt.Errorf("%s: %w", c.From, err)
	}
	next, wrong := config.ParseLibrary(c.From, text)
	if err := wrong.Err(); err != nil {
		return err
	}
	old := &config.LibraryContent{}
	if len(own.Content.Conditions)+len(own.Content.Products) > 0 {
		old = &own.Content
	} else if _, err := os.Stat(own.File.Value); errors.Is(err, fs.ErrNotExist) {
		old = config.BuiltInLibrary()
	}
	if strings.Compare(next.Version.Value, old.Version.Value) < 0 && !c.Older {
		return fmt.Errorf("%s has version %s, which is older than %s; --older takes it", c.From, next.Version.Value, old.Version.Value)
	}
	fmt.Printf("version %s -> %s\n", old.Version.Value, next.Version.Value)
	printDiff(old, next)
	if c.DryRun {
		return nil
	}
	return replace(own.File.Value, signed)
}

// libraryMax bounds what is fetched: some thousand products have less than a megabyte.
const libraryMax = 8 << 20

func fetch(from string) ([]byte, error) {
	if !strings.HasPrefix(from, "https://") {
		return os.ReadFile(from)
	}
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", from, answer.Status)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, libraryMax+1))
	if err == nil && len(text) > libraryMax {
		err = fmt.Errorf("%s: more than %d octets", from, libraryMax)
	}
	return text, err
}

// replace writes a file beside the one it replaces, and renames it when it is on the disk.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing is there any more when all went well
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

type librarySignCmd struct {
	Key  string `required:"" help:"The private key, as key made it." type:"existingfile" placeholder:"FILE"`
	File string `arg:"" help:"The library's text." type:"existingfile"`
}

// Run prints the signed library.
func (c *librarySignCmd) Run() error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	if _, faults := config.ParseLibrary(c.File, text); len(faults) > 0 {
		return faults
	}
	key, err := privateKey(c.Key)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(config.SignLibrary(text, key))
	return err
}

// privateKey reads a key that library key made.
func privateKey(path string) (ed25519.PrivateKey, error) {
	encoded, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(encoded)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s is not a private key that sallyport library key made", path)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

type librarySignRemedyCmd struct {
	Key    string `required:"" help:"The private key, as key made it." type:"existingfile" placeholder:"FILE"`
	Config string `help:"Configuration file." default:"${config}" placeholder:"FILE"`
	Name   string `arg:"" help:"A remediation of the configuration that launches a program, runs a script or fetches a file."`
}

// Run prints the signature, for the key signature of the remediation.
func (c *librarySignRemedyCmd) Run() error {
	loaded, _, faults := config.Load(c.Config)
	if loaded == nil {
		return configError(faults.Err())
	}
	written, ok := loaded.Posture.Remediations.Get(c.Name)
	if !ok || written.Launch == nil && written.Script == nil && written.File == nil {
		return fmt.Errorf("%s has no remediation %q that launches a program, runs a script or fetches a file", c.Config, c.Name)
	}
	key, err := privateKey(c.Key)
	if err != nil {
		return err
	}
	fmt.Println(base64.StdEncoding.EncodeToString(ed25519.Sign(key, posture.ActionOf("", written).SignedText())))
	return nil
}

type librarySignFileCmd struct {
	Key  string `required:"" help:"The publisher's private key, as key made it." type:"existingfile" placeholder:"FILE"`
	File string `arg:"" help:"A program or a script." type:"existingfile"`
}

// Run prints the signature, for the key publisher-signature of a remediation.
func (c *librarySignFileCmd) Run() error {
	key, err := privateKey(c.Key)
	if err != nil {
		return err
	}
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	text := report.PublisherText(hex.EncodeToString(sum.Sum(nil)))
	fmt.Println(base64.StdEncoding.EncodeToString(ed25519.Sign(key, text)))
	return nil
}

type librarySignAgentCmd struct {
	Key    string `required:"" help:"The private key, as key made it." type:"existingfile" placeholder:"FILE"`
	Config string `help:"Configuration file." default:"${config}" placeholder:"FILE"`
	Name   string `arg:"" help:"A resource of the configuration, with version, system, architecture and sha256."`
}

// Run prints the signature, for the key signature of the resource.
func (c *librarySignAgentCmd) Run() error {
	loaded, _, faults := config.Load(c.Config)
	if loaded == nil {
		return configError(faults.Err())
	}
	r, ok := loaded.Provisioning.Resources.Get(c.Name)
	if !ok || r.Version == "" || r.Arch == "" || r.SHA256 == "" {
		return fmt.Errorf("%s has no resource %q with a version, an arch and a sha256", c.Config, c.Name)
	}
	key, err := privateKey(c.Key)
	if err != nil {
		return err
	}
	build := report.Build{OS: r.OS, Arch: r.Arch, Version: r.Version, SHA256: strings.ToLower(r.SHA256)}
	fmt.Println(base64.StdEncoding.EncodeToString(ed25519.Sign(key, build.SignedText())))
	return nil
}

type libraryKeyCmd struct {
	File string `arg:"" help:"Where the private key goes; it must not be there."`
}

// Run makes a key.
func (c *libraryKeyCmd) Run() error {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(c.File, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, base64.StdEncoding.EncodeToString(private.Seed()))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	fmt.Println(base64.StdEncoding.EncodeToString(public))
	return nil
}
