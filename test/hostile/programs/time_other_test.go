//go:build !linux

package programs

import "time"

var started = time.Now()

func threadTime() time.Duration { return time.Since(started) }
