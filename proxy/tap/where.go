package tap

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

// filter is a compiled where: a jq program over the form of an event.
type filter struct{ code *gojq.Code }

// whereTime bounds one run of a where over one event. It is a backstop for the
// reader's own goroutine; traffic never waits for a where.
const whereTime = 250 * time.Millisecond

// compileWhere compiles program. Its error is a [*QueryError].
func compileWhere(program string) (*filter, error) {
	query, err := gojq.Parse(program)
	if err != nil {
		e := &QueryError{Param: "where", Value: program, Offset: len(program), Msg: err.Error()}
		var parse *gojq.ParseError
		if errors.As(err, &parse) {
			// The parser tells the end of the token it stumbled over.
			e.Offset = max(0, min(parse.Offset-len(parse.Token), len(program)))
		}
		return nil, e
	}
	code, err := gojq.Compile(query)
	if err != nil {
		return nil, &QueryError{Param: "where", Value: program, Offset: blamed(program, err.Error()), Msg: err.Error()}
	}
	return &filter{code}, nil
}

// blamed finds the name that a compile error is about; such errors have no
// position.
func blamed(program, msg string) int {
	_, name, ok := strings.Cut(msg, "not defined: ")
	if !ok {
		return 0
	}
	name, _, _ = strings.Cut(name, "/")
	return max(0, strings.Index(program, name))
}

// matches reports whether the program's first result over v is true: neither
// false, nor null, nor none.
func (f *filter) matches(ctx context.Context, v any) (ok bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			ok, err = false, fmt.Errorf("where panicked: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, whereTime)
	defer cancel()
	result, any := f.code.RunWithContext(ctx, v).Next()
	if !any {
		return false, nil
	}
	switch result := result.(type) {
	case nil:
		return false, nil
	case bool:
		return result, nil
	case error:
		return false, result
	}
	return true, nil
}

// QueryError is a parameter of a query that is wrong.
type QueryError struct {
	Param  string
	Value  string
	Offset int // in bytes into Value; 0 for the whole
	Msg    string
}

func (e *QueryError) Error() string {
	if e.Param == "where" {
		return fmt.Sprintf("where: column %d: %s", e.column(), e.Msg)
	}
	return e.Param + ": " + e.Msg
}

// column counts characters from one.
func (e *QueryError) column() int { return utf8.RuneCountInString(e.Value[:e.Offset]) + 1 }
