//go:build !linux

package main

import (
	"context"
	"errors"
)

func run(context.Context, *options) (bool, error) {
	return false, errors.New("it measures sendmmsg and CPUs of its own, which is Linux")
}
