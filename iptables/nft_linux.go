package iptables

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// nftSide is the nft backend: one inet table, written and read over netlink.
type nftSide struct{}

// nftChain is a chain of the plan in the kernel's words.
type nftChain struct {
	chain *nftables.Chain
	rules []*nftables.Rule
}

func nftAvailable() error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nf_tables over netlink: %w", err)
	}
	if _, err := conn.ListTablesOfFamily(nftables.TableFamilyINet); err != nil {
		return fmt.Errorf("ask nf_tables over netlink: %w", err)
	}
	return nil
}

func (nftSide) sync(_ context.Context, p *Plan) (bool, error) {
	conn, err := nftables.New()
	if err != nil {
		return false, fmt.Errorf("open nf_tables over netlink: %w", err)
	}
	found, err := nftRead(conn)
	if err != nil {
		return false, err
	}
	if p == nil && found == nil {
		return false, nil
	}
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: nftTable}
	var wanted []nftChain
	if p != nil {
		wanted = nftWanted(p, table)
		if slices.EqualFunc(wanted, found, nftChain.matches) {
			return false, nil
		}
	}
	// One batch, one transaction: there is no moment without rules. Adding
	// first makes the delete succeed where there was no table.
	conn.AddTable(table)
	conn.DelTable(table)
	if p != nil {
		conn.AddTable(table)
		for _, c := range wanted {
			conn.AddChain(c.chain)
		}
		for _, c := range wanted {
			for _, rule := range c.rules {
				conn.AddRule(rule)
			}
		}
	}
	if err := conn.Flush(); err != nil {
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOENT) {
			return false, fmt.Errorf("this kernel lacks a part of nf_tables (inet nat needs Linux 5.2); try --backend iptables-legacy: %w", err)
		}
		return false, fmt.Errorf("commit table inet %s: %w", nftTable, err)
	}
	return true, nil
}

func nftWanted(p *Plan, table *nftables.Table) []nftChain {
	wanted := make([]nftChain, 0, len(p.Chains))
	for _, c := range p.Chains {
		chain := &nftables.Chain{Name: c.Name, Table: table}
		if c.Hook != "" {
			kind, priority := nftBase(c)
			accept := nftables.ChainPolicyAccept
			chain.Type = nftables.ChainType(kind)
			chain.Hooknum = map[Hook]*nftables.ChainHook{
				Prerouting: nftables.ChainHookPrerouting, Input: nftables.ChainHookInput, Output: nftables.ChainHookOutput,
			}[c.Hook]
			chain.Priority = nftables.ChainPriorityRef(nftables.ChainPriority(priority))
			chain.Policy = &accept
		}
		rules := make([]*nftables.Rule, 0, len(c.Rules))
		for _, rule := range c.Rules {
			rules = append(rules, &nftables.Rule{
				Table:    table,
				Chain:    chain,
				Exprs:    append(matchExprs(rule.Match), actionExprs(rule.Action)...),
				UserData: userdata.AppendString(nil, userdata.TypeComment, rule.Comment),
			})
		}
		wanted = append(wanted, nftChain{chain, rules})
	}
	return wanted
}
