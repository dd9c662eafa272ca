package iptables

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// kernelSide is one backend: it brings the kernel to a plan, or with nil to
// nothing of ours, and tells whether it had to change anything.
type kernelSide interface {
	sync(ctx context.Context, p *Plan) (changed bool, err error)
}

func apply(ctx context.Context, p *Plan, b Backend) (Result, error) {
	if err := needNetAdmin(); err != nil {
		return Result{}, err
	}
	b, err := resolve(b)
	if err != nil {
		return Result{}, err
	}
	side, err := open(b, p.Families)
	if err != nil {
		return Result{}, err
	}
	result := Result{Backend: b}
	// The route before the rules: a packet marked for a route that is not
	// there would be lost. Others' leftovers last, so that it is never open.
	if p.Routing != nil {
		err = result.note(syncRouting(p.Routing, p.Families))
	}
	if err == nil {
		err = result.note(side.sync(ctx, p))
	}
	for _, other := range Backends()[1:] {
		if err == nil && other != b {
			err = result.removeFrom(ctx, other)
		}
	}
	if err == nil && p.Routing == nil {
		err = result.note(syncRouting(nil, nil))
	}
	return result, explain(err)
}

func remove(ctx context.Context, b Backend) (Result, error) {
	if err := needNetAdmin(); err != nil {
		return Result{}, err
	}
	result := Result{Backend: b}
	backends := []Backend{b}
	if b == Auto {
		backends = Backends()[1:]
	} else if _, err := open(b, nil); err != nil {
		return result, explain(err)
	}
	for _, b := range backends {
		if err := result.removeFrom(ctx, b); err != nil {
			return result, explain(err)
		}
	}
	return result, explain(result.note(syncRouting(nil, nil)))
}

// removeFrom takes ours out of b, if b holds anything of ours.
func (r *Result) removeFrom(ctx context.Context, b Backend) error {
	holds, err := holdsOurs(b)
	if err != nil || !holds {
		return err
	}
	side, err := open(b, nil)
	if err != nil {
		return fmt.Errorf("rules of an earlier apply are in the way: %w", err)
	}
	return r.note(side.sync(ctx, nil))
}

// holdsOurs asks the kernel, not the programs, which may not be installed or
// not work: most machines have nothing of ours in most backends. For legacy it
// answers whether the programs are worth asking.
func holdsOurs(b Backend) (bool, error) {
	if b == IptablesLegacy {
		if _, err := open(b, nil); err != nil {
			return false, nil //nolint:nilerr // who cannot read legacy tables did not write them
		}
		return legacyTablesExist(), nil
	}
	if err := nftAvailable(); err != nil {
		return false, nil //nolint:nilerr // no nf_tables, nothing in them
	}
	if b == NFT {
		return true, nil // its sync looks no less closely
	}
	conn, err := nftables.New()
	if err != nil {
		return false, fmt.Errorf("open nf_tables over netlink: %w", err)
	}
	chains, err := conn.ListChains()
	if err != nil {
		return false, fmt.Errorf("list nf_tables chains: %w", err)
	}
	return slices.ContainsFunc(chains, func(c *nftables.Chain) bool {
		return c.Table.Family != nftables.TableFamilyINet && strings.HasPrefix(c.Name, xtPrefix)
	}), nil
}

// legacyTablesExist tells whether this namespace has any legacy table.
func legacyTablesExist() bool {
	for _, file := range []string{"ip_tables_names", "ip6_tables_names"} {
		// Of the thread, which may be in another namespace than the process.
		names, err := os.ReadFile("/proc/thread-self/net/" + file)
		if err == nil && len(names) > 0 {
			return true
		}
	}
	return false
}

func (r *Result) note(changed bool, err error) error {
	r.Changed = r.Changed || changed
	return err
}

// resolve chooses the backend for auto.
func resolve(b Backend) (Backend, error) {
	if b != Auto {
		return b, nil
	}
	err := nftAvailable()
	switch {
	case err == nil:
		return NFT, nil
	case errors.Is(err, unix.EPERM):
		return "", explain(err)
	}
	if _, legacyErr := open(IptablesLegacy, []Family{IPv4}); legacyErr != nil {
		return "", fmt.Errorf("no backend works here: nft: %w; %w", err, legacyErr)
	}
	return IptablesLegacy, nil
}

// open answers the backend if its programs for the families are there.
func open(b Backend, families []Family) (kernelSide, error) {
	switch b {
	case NFT:
		return nftSide{}, nftAvailable()
	case IptablesNFT:
		return findXtables(b, "nft", "nf_tables", families)
	case IptablesLegacy:
		return findXtables(b, "legacy", "legacy", families)
	default:
		_, err := ParseBackend(string(b))
		return nil, err
	}
}

const capHint = "needs CAP_NET_ADMIN in this network namespace: run it as root, or give the container securityContext.capabilities.add: [NET_ADMIN]"

// needNetAdmin looks at the calling thread's effective capabilities.
func needNetAdmin() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read own capabilities: %w", err)
	}
	if data[0].Effective&(1<<unix.CAP_NET_ADMIN) == 0 {
		return errors.New(capHint)
	}
	return nil
}

// explain says what a bare errno means here. EPERM, with the capability there:
// it counts in another user namespace than the one that owns this network.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%s: %w", capHint, err)
	case errors.Is(err, unix.ENETDOWN):
		return fmt.Errorf("the loopback device is down; bring it up first (ip link set lo up): %w", err)
	}
	return err
}
