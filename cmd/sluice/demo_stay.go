package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/demo"
)

// stay prints where everything is and what to try, and waits for the end.
func (p *demoPlay) stay(ctx context.Context) error {
	p.Title("It keeps running until Ctrl-C")
	p.Pair("shop", "http://"+p.shopHTTP+", grpc "+p.shopGRPC)
	p.Pair("shop through Sluice", "http://"+p.publishedHTTP+", grpc "+p.publishedGRPC)
	p.Pair("rules, watched", p.rules())
	p.Pair("admin socket", p.socket)
	p.Title("Three things to try in another terminal")
	for i, t := range p.tries() {
		p.Try(i+1, t.what, t.command)
	}
	select {
	case <-ctx.Done():
		p.Space()
		p.Say("Stopped. Nothing is left behind.")
		return nil
	case err := <-p.served:
		if err != nil {
			return fmt.Errorf("demo: the sidecar ended: %w", err)
		}
		p.Say("The sidecar was asked to quit.")
		return nil
	}
}

type try struct{ what, command string }

// tries are commands that work as they stand, in any directory.
func (p *demoPlay) tries() []try {
	sluice, admin := quoted(ownName()), "--admin "+quoted(p.socket)
	return []try{
		{
			"follow the traffic, past and live, until Ctrl-C",
			fmt.Sprintf("%s tap %s", sluice, admin),
		},
		{
			"change a rule while it runs, and ask the shop through Sluice",
			fmt.Sprintf("sed -i 's/[*][*][*]/changed by me/' %s && sleep 1 && %s", quoted(p.rules()+"/"+demo.Orders+".yaml"), p.get("/v1/orders/7", "order 7")),
		},
		{
			"open the breaker by hand, and get the fallback; \"breakers reset\" closes it",
			fmt.Sprintf("%s breakers open %s@%s %s && %s", sluice, demo.Rates, p.shopHTTP, admin, p.get("/v1/rates", "rates 1")),
		},
	}
}

// get is a command that asks the shop through Sluice: curl, or where there is
// none the shop's own customer.
func (p *demoPlay) get(path, command string) string {
	if _, err := exec.LookPath("curl"); err == nil {
		return "curl -s http://" + p.publishedHTTP + path
	}
	return quoted(ownName()) + " shop client --http http://" + p.publishedHTTP + " " + command
}

// ownName is how to run this very binary: "sluice" if the PATH finds it.
func ownName() string {
	self, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	if found, err := exec.LookPath("sluice"); err == nil && sameFile(found, self) {
		return "sluice"
	}
	return self
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// quoted is s as a shell reads it back.
func quoted(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%,", r)
	}
	if s != "" && strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
