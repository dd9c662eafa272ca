//go:build !linux

package iptables

import "context"

func apply(context.Context, *Plan, Backend) (Result, error) { return Result{}, ErrUnsupported }

func remove(context.Context, Backend) (Result, error) { return Result{}, ErrUnsupported }
