package iptables

import (
	"context"
	"fmt"
	"slices"
)

// Backend is the way into the kernel.
type Backend string

const (
	// Auto is NFT where the kernel speaks nf_tables, else IptablesLegacy. For
	// Remove it is every backend that holds something of ours.
	Auto           Backend = "auto"
	NFT            Backend = "nft"             // over netlink; needs no binary, replaces all in one transaction
	IptablesNFT    Backend = "iptables-nft"    // by iptables-nft-restore; one transaction a family
	IptablesLegacy Backend = "iptables-legacy" // by iptables-legacy-restore; one transaction a table and family
)

// Backends are all that ParseBackend accepts, in order of preference.
func Backends() []Backend { return []Backend{Auto, NFT, IptablesNFT, IptablesLegacy} }

// ParseBackend is the backend called name.
func ParseBackend(name string) (Backend, error) {
	if b := Backend(name); slices.Contains(Backends(), b) {
		return b, nil
	}
	return "", &OptionsError{[]Problem{{"--backend", name, "must be auto, nft, iptables-nft or iptables-legacy"}}}
}

// Result says what Apply or Remove did.
type Result struct {
	Backend Backend // the one that was used; Remove answers what it was given
	Changed bool    // false: everything was already so, nothing was written
}

// Apply brings the network namespace of the calling thread to the plan: its
// rules in one backend, none of ours in the others, and the policy route if
// TPROXY needs it. Existing connections stay as they are. What is already right
// is not touched. A failure half-way leaves what was captured captured.
//
// It needs CAP_NET_ADMIN; the error says so. The caller keeps its goroutine on
// its thread (runtime.LockOSThread) if that thread's namespace is not the
// process's.
func Apply(ctx context.Context, p *Plan, b Backend) (Result, error) {
	result, err := apply(ctx, p, b)
	if err != nil {
		return result, fmt.Errorf("apply redirect rules: %w", err)
	}
	return result, nil
}

// Remove takes away everything that Apply ever brings, from backend b or, with
// Auto, from all. Where there is nothing, it does nothing.
func Remove(ctx context.Context, b Backend) (Result, error) {
	result, err := remove(ctx, b)
	if err != nil {
		return result, fmt.Errorf("remove redirect rules: %w", err)
	}
	return result, nil
}
