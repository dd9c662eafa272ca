package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/shop"
	"github.com/sluice-proxy/sluice/proxy/tap"
)

// tap follows the tap while five calls are made, and prints a line for each.
func (p *demoPlay) tap(ctx context.Context) error {
	p.Title("4. Five lines of tap, from the running sidecar")
	ctx, cancel := context.WithTimeout(ctx, answerBudget)
	defer cancel()
	lines, ended := make(chan string), make(chan error, 1)
	go p.followTap(ctx, time.Now(), lines, ended)
	neighbour := shop.Client{HTTP: "http://" + p.publishedHTTP, Out: io.Discard} // a service that calls the shop
	inside := func(command string) func() error {
		return func() error {
			_, err := p.inside.ask(ctx, command)
			return err
		}
	}
	for _, call := range []func() error{
		inside("order 7"), inside("get 7"), inside("get 0"), inside(`place {"customer":"Grace"}`),
		func() error { return neighbour.Do(ctx, "order", "8") },
	} {
		if err := call(); err != nil {
			return err
		}
		select {
		case line := <-lines:
			p.Say("%s", line)
		case err := <-ended:
			return errors.Join(errors.New("the tap ended early"), err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		return fmt.Errorf("tap: %w", err)
	}
	return nil
}

// followTap does what `sluice tap` does, for exchanges since an instant.
func (p *demoPlay) followTap(ctx context.Context, since time.Time, lines chan<- string, ended chan<- error) {
	ended <- func() error {
		c, err := (&adminFlags{admin: p.socket}).open(ctx)
		if err != nil {
			return err
		}
		query, err := (&tapOptions{since: since.Format(time.RFC3339Nano), follow: true}).query()
		if err != nil {
			return err
		}
		query.Add("where", `.type == "exchange" and .route != "rates"`) // of the breaker's scene, which may just be ending
		style := tap.Style{Colour: p.Colour, Zone: time.Local}
		return runTap(ctx, c, query, func(line []byte) error {
			select {
			case lines <- tap.Line(line, style):
			case <-ctx.Done():
			}
			return nil
		})
	}()
}
