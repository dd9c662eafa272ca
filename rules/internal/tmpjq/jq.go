// Package tmpjq stands in for package jq until it is there.
package tmpjq

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/itchyny/gojq"
)

type Limits struct {
	Steps  int64
	Time   time.Duration
	Output int64
}

type Problem struct {
	Offset, End         int
	Code, Message, Hint string
}

type Program struct {
	code *gojq.Code
	src  string
}

var ErrBudget = errors.New("over the budget")

type RuntimeError struct{ Err error }

func (e *RuntimeError) Error() string { return e.Err.Error() }

type PanicError struct{ Value any }

func (e *PanicError) Error() string { return fmt.Sprint(e.Value) }

func Compile(src string, variables []string) (*Program, []Problem) {
	q, err := gojq.Parse(src)
	if err != nil {
		return nil, []Problem{{0, len(src), "jq-syntax", err.Error(), ""}}
	}
	c, err := gojq.Compile(q, gojq.WithVariables(variables))
	if err != nil {
		return nil, []Problem{{0, len(src), "jq-undefined", err.Error(), ""}}
	}
	return &Program{c, src}, nil
}

var dots = regexp.MustCompile(`(^|[^\w"\])])\.`)

func (p *Program) ReadsInput() bool { return dots.MatchString(p.src) }

func (p *Program) Uses(v string) bool { return strings.Contains(p.src, v) }

func (p *Program) Run(ctx context.Context, input any, values []any, l Limits, now time.Time, emit func(any) error) error {
	ctx, cancel := context.WithTimeout(ctx, l.Time)
	defer cancel()
	it := p.code.RunWithContext(ctx, input, values...)
	for {
		v, ok := it.Next()
		if !ok {
			return nil
		}
		if err, ok := v.(error); ok {
			if errors.Is(err, context.DeadlineExceeded) {
				return ErrBudget
			}
			return &RuntimeError{err}
		}
		if err := emit(v); err != nil {
			return err
		}
	}
}
