package proxy

// wire is what a lane gives to the exchanges that it carries: their bytes. The
// story of an exchange (flow.go) and its steps are the same in every lane; so a
// step that is added to them acts in all. An exchange's methods are called by
// one goroutine at a time, in the order below.
type wire interface {
	// call carries a gRPC call message by message, with the steps of
	// callmessage.go. It is called in place of send and respond.
	call() error

	// send sends x.request.out with its body (body.outgoing) to the upstream,
	// once, and returns when a final response's head is in x.response.in, with
	// what is yet to be read of it in x.response.body. Its error is one of the
	// upstream's connection, for upstreamFailed.
	send() error

	// respond sends x.response.out, the body and the trailers to the caller. The
	// response is the upstream's or, if x.record.Answered says so, a fallback.
	respond() error

	// answer sends what Sluice itself says. It is called in place of respond, as
	// long as x.began is false.
	answer(a *answer)

	// expire wakes whoever waits for the upstream or the caller with err: the
	// route's time is up. Another goroutine calls it, but never after finish began.
	expire(err *Error)

	// finished is the last call. abort says that the caller must see a reset.
	finished(err error, abort bool)
}

// relayConn is a connection in the relay lane, as others see it.
type relayConn interface {
	// goAway asks the caller to begin no more exchanges on the connection. Any
	// goroutine may call it, more than once.
	goAway()
}
