//go:build !linux

package main

import "errors"

// refuseInspection has no counterpart here.
func refuseInspection() error { return errors.New("not supported on this system") }
