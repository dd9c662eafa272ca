package iptables

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// foundChain is a chain of our table as the kernel has it. The rules stay as
// they came: the library drops from its answers what it cannot decode (tproxy,
// socket, setting a connection's mark), so a changed rule could look unchanged.
type foundChain struct {
	chain *nftables.Chain
	rules []foundRule
}

type foundRule struct {
	userData []byte
	exprs    [][]byte // netlink attributes, one expression each
}

// nftRead reads our table, chains in order of their creation. It answers nil
// if there is none, and an empty slice if it is empty.
func nftRead(conn *nftables.Conn) ([]foundChain, error) {
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, fmt.Errorf("list nf_tables: %w", err)
	}
	if !slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == nftTable }) {
		return nil, nil
	}
	chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, fmt.Errorf("list chains of table inet %s: %w", nftTable, err)
	}
	rules, err := nftReadRules()
	if err != nil {
		return nil, fmt.Errorf("list rules of table inet %s: %w", nftTable, err)
	}
	found := []foundChain{}
	for _, chain := range chains {
		if chain.Table.Name == nftTable {
			found = append(found, foundChain{chain, rules[chain.Name]})
		}
	}
	return found, nil
}

// nftReadRules answers the rules of our table by chain.
func nftReadRules() (rules map[string][]foundRule, err error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	request, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.NFTA_RULE_TABLE, Data: []byte(nftTable + "\x00")}})
	if err != nil {
		return nil, err
	}
	const genHeader = 4 // struct nfgenmsg: family, version, resource
	messages, err := conn.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETRULE,
			Flags: netlink.Request | netlink.Dump,
		},
		Data: append([]byte{unix.NFPROTO_INET, 0, 0, 0}, request...),
	})
	if err != nil {
		return nil, err
	}
	rules = map[string][]foundRule{}
	for _, message := range messages {
		if len(message.Data) < genHeader {
			continue
		}
		attributes, err := netlink.UnmarshalAttributes(message.Data[genHeader:])
		if err != nil {
			return nil, err
		}
		table, chain, rule, err := nftDecodeRule(attributes)
		if err != nil {
			return nil, err
		}
		if table == nftTable {
			rules[chain] = append(rules[chain], rule)
		}
	}
	return rules, nil
}

func nftDecodeRule(attributes []netlink.Attribute) (table, chain string, rule foundRule, err error) {
	for _, a := range attributes {
		switch a.Type &^ unix.NLA_F_NESTED {
		case unix.NFTA_RULE_TABLE:
			table = string(bytes.TrimRight(a.Data, "\x00"))
		case unix.NFTA_RULE_CHAIN:
			chain = string(bytes.TrimRight(a.Data, "\x00"))
		case unix.NFTA_RULE_USERDATA:
			rule.userData = a.Data
		case unix.NFTA_RULE_EXPRESSIONS:
			elements, err := netlink.UnmarshalAttributes(a.Data)
			if err != nil {
				return "", "", foundRule{}, err
			}
			for _, element := range elements {
				rule.exprs = append(rule.exprs, element.Data)
			}
		}
	}
	return table, chain, rule, nil
}

// matches tells whether the kernel has the chain as wanted, comments included.
func (wanted nftChain) matches(found foundChain) bool {
	a, b := wanted.chain, found.chain
	return a.Name == b.Name && a.Type == b.Type &&
		samePointee(a.Hooknum, b.Hooknum) && samePointee(a.Priority, b.Priority) && samePointee(a.Policy, b.Policy) &&
		slices.EqualFunc(wanted.rules, found.rules, sameRule)
}

func samePointee[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func sameRule(wanted *nftables.Rule, found foundRule) bool {
	return bytes.Equal(wanted.UserData, found.userData) && slices.EqualFunc(wanted.Exprs, found.exprs, sameExpr)
}

func sameExpr(wanted expr.Any, found []byte) bool {
	text, err := expr.Marshal(byte(nftables.TableFamilyINet), wanted)
	return err == nil && sameAttributes(text, found)
}

// sameAttributes compares two trees of attributes. The kernel adds those that
// were not sent with their default, zero, and does not flag what is nested.
func sameAttributes(wanted, found []byte) bool {
	wantedList, err := netlink.UnmarshalAttributes(wanted)
	if err != nil {
		return false
	}
	foundList, err := netlink.UnmarshalAttributes(found)
	if err != nil {
		return false
	}
	rest := map[uint16][]byte{}
	for _, a := range foundList {
		rest[a.Type&^unix.NLA_F_NESTED] = a.Data
	}
	for _, a := range wantedList {
		kind := a.Type &^ unix.NLA_F_NESTED
		data, ok := rest[kind]
		delete(rest, kind)
		nested := a.Type&unix.NLA_F_NESTED != 0
		switch {
		case !ok && !allZero(a.Data):
			return false
		case ok && nested && !sameAttributes(a.Data, data):
			return false
		case ok && !nested && !bytes.Equal(a.Data, data):
			return false
		}
	}
	for _, data := range rest {
		if !allZero(data) {
			return false
		}
	}
	return true
}

func allZero(data []byte) bool { return len(bytes.Trim(data, "\x00")) == 0 }
