package proxy

import "errors"

// call implements [wire].
func (x *ruledStream) call() error { return errors.New("to be done") }
