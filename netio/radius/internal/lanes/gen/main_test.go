package main

import (
	"bytes"
	"os"
	"testing"
)

// TestGeneratedFileIsFresh: a change here without go generate fails.
func TestGeneratedFileIsFresh(t *testing.T) {
	got, err := os.ReadFile("../md5_amd64.s")
	if err != nil || !bytes.Equal(got, generate()) {
		t.Errorf("md5_amd64.s is not what this program writes (%v): run go generate in netio/radius/internal/lanes", err)
	}
}
