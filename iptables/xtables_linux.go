package iptables

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// xtables is an iptables backend: the save and restore programs of a variant,
// for those families for which they are there.
type xtables struct {
	backend  Backend
	programs map[Family]xtPrograms
}

type xtPrograms struct{ save, restore string }

// findXtables looks for the programs of a variant ("nft", "legacy"), also under
// their plain name if that is this variant (its version says so in parentheses).
// The families named must be there.
func findXtables(b Backend, variant, inVersion string, families []Family) (*xtables, error) {
	x := &xtables{backend: b, programs: map[Family]xtPrograms{}}
	for _, f := range []Family{IPv4, IPv6} {
		for _, name := range []string{xtBinary(f) + "-" + variant, xtBinary(f)} {
			save, saveErr := lookPath(name + "-save")
			restore, restoreErr := lookPath(name + "-restore")
			if saveErr != nil || restoreErr != nil {
				continue
			}
			if name == xtBinary(f) {
				version, err := exec.Command(restore, "--version").Output()
				if err != nil || !strings.Contains(string(version), "("+inVersion+")") {
					continue
				}
			}
			x.programs[f] = xtPrograms{save, restore}
			break
		}
		if _, ok := x.programs[f]; !ok && slices.Contains(families, f) {
			return nil, fmt.Errorf("backend %s: %s-%s-restore is not installed; the backend nft needs no program", b, xtBinary(f), variant)
		}
	}
	if len(x.programs) == 0 {
		return nil, fmt.Errorf("backend %s: its programs are not installed", b)
	}
	return x, nil
}

// lookPath also looks where these programs are when PATH is a user's.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if err == nil {
			break
		}
		path, err = exec.LookPath(filepath.Join(dir, name))
	}
	return path, err
}

// sync tests the input for every family before it commits the first.
func (x *xtables) sync(ctx context.Context, p *Plan) (bool, error) {
	inputs := map[Family]string{}
	for f := range x.programs {
		input, err := x.difference(ctx, p, f)
		if err != nil {
			return false, err
		}
		if input == "" {
			continue
		}
		if err := x.restore(ctx, f, input, "--test"); err != nil {
			return false, err
		}
		inputs[f] = input
	}
	for _, f := range []Family{IPv4, IPv6} {
		if inputs[f] == "" {
			continue
		}
		if err := x.restore(ctx, f, inputs[f]); err != nil {
			return false, err
		}
	}
	return len(inputs) > 0, nil
}

// difference is the restore input that brings f to the plan, "" if it is there.
func (x *xtables) difference(ctx context.Context, p *Plan, f Family) (string, error) {
	saved, err := run(ctx, "", x.programs[f].save)
	if err != nil {
		return "", err
	}
	found := parseSave(saved)
	wanted := map[Table]xtTable{}
	if p != nil {
		for _, table := range p.xtables(f) {
			wanted[table.name] = table
		}
	}
	var input strings.Builder
	for _, name := range xtTables() {
		want, have := wanted[name], found[name]
		want.name = name
		if !want.equal(have) {
			input.WriteString(want.restore(have))
		}
	}
	return input.String(), nil
}

func (x *xtables) restore(ctx context.Context, f Family, input string, flags ...string) error {
	args := []string{"--noflush"}
	if x.backend == IptablesLegacy {
		args = append(args, "--wait", "10") // for the lock that others may hold
	}
	_, err := run(ctx, input, x.programs[f].restore, append(args, flags...)...)
	return err
}

// run answers the program's output; its error holds what it complained about.
func run(ctx context.Context, input, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C")
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if said := strings.TrimSpace(stderr.String()); said != "" {
			err = errors.Join(err, errors.New(said))
		}
		return "", fmt.Errorf("run %s: %w", filepath.Base(program), err)
	}
	return stdout.String(), nil
}
