package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"sallyport/engine/authn"
)

type hashCmd struct{}

// Run reads one line and prints the PHC string. The password is neither an argument,
// which others could see, nor echoed back.
func (hashCmd) Run() error {
	if info, err := os.Stdin.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		fmt.Fprintln(os.Stderr, "Type the password and press Enter; it is shown as you type. Pipe it in to avoid that.")
	}
	line, err := bufio.NewReader(io.LimitReader(os.Stdin, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	password := strings.TrimRight(line, "\r\n")
	if password == "" {
		return errors.New("the password is empty")
	}
	hash, err := authn.Hash([]byte(password))
	if err != nil {
		return err
	}
	fmt.Println(hash)
	return nil
}
