package proxy

import (
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
	"github.com/sluice-proxy/sluice/proxy/internal/sock"
	"github.com/sluice-proxy/sluice/proxy/internal/splice"
	"github.com/sluice-proxy/sluice/rules"
)

// way is one direction of a verbatim connection. It belongs to the goroutine
// that carries it, but for what says otherwise. A read brings what there is; of
// that the whole frames, and of a DATA frame any part, leave in one write. A
// header block is kept until it is whole.
type way struct {
	v        *verbatim
	back     *way   // the other one
	from     Origin // src
	side     ended  // that src ends
	src, dst *net.TCPConn
	in       *sock.Reader
	out      *sock.Writer // dst
	guard    *http2.Guard // of src
	now      time.Time    // of the last read

	checker http2.Checker
	held    int  // bytes of a header block that were looked at and not passed
	short   bool // a header block has begun and is not whole
	fresh   bool // and began in the last bytes that were read
	pressed bool // src has a deadline because of it

	left    int    // bytes to come of what is being passed in parts: the preface or a DATA frame
	content int    // of them, the content of the stream
	stream  uint32 // whose it is
	ends    bool   // and whether it ends there

	block http2.Block
	heads *http2.Decoder
	table uint32        // what heads allows
	allow atomic.Uint32 // the largest table that dst's settings allowed; written by back's goroutine
	last  uint32        // the newest stream that src opened

	seen   [4]seenHead
	next   int // the one to be forgotten
	unseen seenHead

	done    []*relayed // streams that ended in the bytes being passed
	slabbed int        // heads that came from slabs, up to headsSlab
	slab    []rules.Head
	fields  rules.Fields
	media   [2]mediaFormat

	passed, atLast int64       // bytes passed, and at the last deadline
	cut            bool        // a write failed: dst may hold part of a frame
	goAwayErr      error       // guarded by v.say
	shuts          atomic.Bool // dst is being told of src's end
	over           atomic.Bool
	srcReset       atomic.Bool // noticed by the watch
}

// longestFrame bounds frames that are kept until they are whole: all but DATA.
const longestFrame = 64 << 10

// run carries the way to its end, or to that of the connection.
func (w *way) run() {
	err := w.carry()
	if err == nil {
		return
	}
	var broken *http2.Error
	if errors.As(err, &broken) {
		w.v.fail(err, w)
	} else {
		w.v.fail(err, nil)
	}
}

// carry passes bytes until src's end, and that.
func (w *way) carry() (err error) {
	defer w.recovered(&err)
	for {
		pass, broken := w.look()
		if pass > 0 {
			err = w.write(w.in.Buffered()[:pass])
			w.in.Discard(pass)
		}
		w.tell()
		if err = cmp.Or(err, broken); err != nil {
			return err
		}
		err = w.fill()
		if errors.Is(err, io.EOF) {
			return w.shut()
		}
		if err != nil {
			return err
		}
	}
}

// look looks at the frames that were read, and returns how many bytes may be
// passed. An error is that of the frame behind them.
func (w *way) look() (pass int, err error) {
	b := w.in.Buffered()
	at := w.held
	if w.left > 0 {
		n := min(w.left, len(b))
		w.goOn(b[:n])
		at, pass = n, n
	}
	w.short = false
	for at < len(b) {
		f, n := http2.Parse(b[at:])
		if n == 0 {
			break
		}
		if err = connLevel(w.checker.CheckHeader(f.Header)); err != nil {
			break
		}
		whole := n <= len(b)-at
		if f.Type == http2.FrameData {
			if len(f.Payload) == 0 && f.Length > 0 {
				break
			}
			if err = w.data(&f, whole); err != nil {
				break
			}
			at += http2.HeaderLen + len(f.Payload)
			pass = at
			continue
		}
		if !whole {
			w.short = f.InBlock()
			if n > longestFrame {
				err = &http2.Error{Code: http2.FrameSizeError, Reason: "frame too large"}
			}
			break
		}
		if err = w.frame(&f); err != nil {
			break
		}
		at += n
		if !w.checker.InBlock() {
			pass = at
		}
	}
	w.guard.Flush()
	w.held = at - pass
	w.short = w.short || w.checker.InBlock()
	w.fresh = pass > 0 // nothing passes while a block goes on
	return pass, err
}

// data looks at a DATA frame of which at least one byte of payload is there.
func (w *way) data(f *http2.Frame, whole bool) error {
	if err := http2.CheckPadding(f.Header, f.Payload); err != nil {
		return err
	}
	if err := w.guard.Frame(f, w.now); err != nil {
		return err
	}
	part, content := f.Payload, int(f.Length)
	if f.Flags.Has(http2.FlagPadded) {
		content -= 1 + int(part[0])
		part = part[1:]
	}
	part = part[:min(len(part), content)]
	w.stream, w.ends = f.Stream, f.EndsStream()
	w.left, w.content = int(f.Length)-len(f.Payload), content-len(part)
	w.addContent(part, w.ends && whole)
	return nil
}

// goOn looks at the next part of what is passed in parts.
func (w *way) goOn(b []byte) {
	part := b[:min(len(b), w.content)]
	w.left -= len(b)
	w.content -= len(part)
	if w.stream != 0 {
		w.addContent(part, w.ends && w.left == 0)
	}
}

// frame looks at a whole frame other than DATA.
func (w *way) frame(f *http2.Frame) error {
	if err := connLevel(w.checker.CheckPayload(f)); err != nil {
		return err
	}
	if err := w.guard.Frame(f, w.now); err != nil {
		return err
	}
	switch f.Type {
	case http2.FrameHeaders, http2.FrameContinuation, http2.FramePushPromise:
		if w.block.Add(f) {
			return w.head()
		}
	case http2.FrameRSTStream:
		return w.resetStream(f)
	case http2.FrameSettings:
		for i := range f.Settings() {
			if s := f.Setting(i); s.ID == http2.SettingHeaderTableSize && s.Value > w.back.allow.Load() {
				w.back.allow.Store(s.Value)
			}
		}
	case http2.FrameGoAway:
		if w.from == OriginUpstream {
			w.forgetAfter(f)
		}
	}
	return nil
}

// connLevel leaves out errors that concern one stream: what the peers make of
// those is their own affair.
func connLevel(err error) error {
	if err == nil {
		return nil
	}
	var e *http2.Error
	if errors.As(err, &e) && e.Stream != 0 {
		return nil
	}
	return err
}

// write passes b to dst.
func (w *way) write(b []byte) error {
	if w.from == OriginUpstream {
		w.v.say.Lock()
		defer w.v.say.Unlock()
		if w.goAwayErr != nil {
			w.cut = true
			return w.brokenWrite(w.goAwayErr)
		}
		if len(w.done) > 0 && w.v.c.p.draining.Load() {
			w.v.asked.Store(true) // before the answer ends: most callers go only as a stream ends
		}
		if _, n := http2.Parse(b); !w.v.begun && n > 0 && n <= len(b) && w.v.asked.Load() {
			if err := w.writeAll(b[:n]); err != nil { // the settings
				return err
			}
			w.v.begun, w.v.whole = true, true
			b = b[n:]
		}
		w.v.sayGoAway()
	}
	if err := w.writeAll(b); err != nil {
		return err
	}
	if w.from == OriginUpstream {
		w.v.begun, w.v.whole = true, w.left == 0 && !w.cut
		w.v.sayGoAway()
	}
	return nil
}

// writeAll writes the whole of b to dst.
func (w *way) writeAll(b []byte) error {
	for {
		n, err := w.out.Write(b)
		w.passed += int64(n)
		b = b[n:]
		if err == nil {
			return nil
		}
		if !w.goesOn(err) {
			w.cut = true
			return w.brokenWrite(err)
		}
	}
}

func (w *way) brokenWrite(err error) error {
	if w.srcReset.Load() {
		return &Error{Origin: w.from, Reason: intercept.WasReset, Err: err}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &Error{Origin: OriginSluice, Reason: "half_closed", Err: splice.ErrHalfClosed}
	}
	w.v.ended(w.back.from)
	return &Error{Origin: w.back.from, Reason: intercept.WasReset, Err: err}
}

// fill reads more from src. It is the only place where a way waits for its
// source.
func (w *way) fill() error {
	if w.short != w.pressed || w.short && w.fresh {
		w.pressed = w.short
		switch {
		case w.short:
			w.src.SetReadDeadline(time.Now().Add(w.v.c.p.HeadTimeout))
		case w.v.halved.Load():
			w.src.SetReadDeadline(time.Now().Add(splice.DefaultHalfClose))
		default:
			w.src.SetReadDeadline(time.Time{})
		}
		if w.v.failed.Load() {
			w.src.SetReadDeadline(past)
		}
	}
	for {
		_, err := w.in.Fill()
		switch {
		case err == nil:
			w.now = time.Now()
			if w.from == OriginCaller {
				w.v.c.quietAt.Store(w.now.UnixNano())
			}
			return nil
		case errors.Is(err, io.EOF) && (w.srcReset.Load() || w.wasReset()):
			w.v.ended(w.from)
			return &Error{Origin: w.from, Reason: intercept.WasReset}
		case errors.Is(err, io.EOF):
			w.v.ended(w.from)
			return io.EOF
		case w.v.failed.Load():
			return err // fail has its cause
		case errors.Is(err, os.ErrDeadlineExceeded) && w.from == OriginCaller && w.v.hangsUp.Swap(false):
			w.pressed = false
			w.src.SetReadDeadline(time.Time{})
			if w.v.halved.Load() {
				w.src.SetReadDeadline(time.Now().Add(splice.DefaultHalfClose))
			}
			if n, _ := w.in.TryFill(); n > 0 || !w.idles() {
				w.now = time.Now()
				return nil
			}
			return errIdled
		case errors.Is(err, os.ErrDeadlineExceeded) && w.pressed:
			return &http2.Error{Code: http2.EnhanceYourCalm, Reason: "header block too slow"}
		case w.goesOn(err):
			continue
		case errors.Is(err, os.ErrDeadlineExceeded):
			return &Error{Origin: OriginSluice, Reason: "half_closed", Err: splice.ErrHalfClosed}
		case errors.Is(err, io.ErrShortBuffer):
			return &http2.Error{Code: http2.FrameSizeError, Reason: "frame too large"}
		}
		w.v.ended(w.from)
		return &Error{Origin: w.from, Reason: intercept.Classify(err), Err: err}
	}
}

// wasReset reports whether src's end is a reset that the other way's write has
// been told of. Once src has been told of an end itself, that cannot be seen.
func (w *way) wasReset() bool {
	return !w.back.shuts.Load() && sock.Broken(w.src) && !w.back.shuts.Load()
}

// goesOn reports whether err is only a deadline that bytes have come before, and
// sets the next one.
func (w *way) goesOn(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || w.v.failed.Load() || w.srcReset.Load() {
		return false
	}
	if w.v.halved.Load() && w.passed == w.atLast {
		return false
	}
	w.atLast = w.passed
	w.boundSilence()
	return true
}

// boundSilence bounds how long the way may be silent once the other one has
// ended.
func (w *way) boundSilence() {
	var until time.Time
	if w.v.halved.Load() {
		until = time.Now().Add(splice.DefaultHalfClose)
	}
	w.src.SetReadDeadline(until)
	w.dst.SetWriteDeadline(until)
	if w.v.failed.Load() { // meanwhile, and its deadlines must hold
		w.src.SetReadDeadline(past)
		w.dst.SetWriteDeadline(time.Now().Add(farewell))
	}
}

// shut passes src's end on: first the rest of what it said, whole frame or not.
func (w *way) shut() error {
	if rest := w.in.Buffered(); len(rest) > 0 {
		w.cut = true
		if err := w.write(rest); err != nil {
			return err
		}
		w.in.Discard(len(rest))
	}
	w.shuts.Store(true)
	if err := w.dst.CloseWrite(); err != nil {
		return w.brokenWrite(err)
	}
	w.over.Store(true)
	if w.srcReset.Load() {
		return &Error{Origin: w.from, Reason: intercept.WasReset}
	}
	w.v.halved.Store(true)
	if !w.back.over.Load() {
		w.back.boundSilence()
	}
	return nil
}

// srcEnds is told by the watch when src has ended, while nobody may be reading
// it. A reset must reach dst also when that takes no more bytes.
func (w *way) srcEnds(reset bool) {
	if !reset {
		return
	}
	w.srcReset.Store(true)
	w.v.ended(w.from)
	if w.over.Load() {
		w.v.fail(&Error{Origin: w.from, Reason: intercept.WasReset}, nil)
		return
	}
	if !w.v.failed.Load() {
		w.dst.SetWriteDeadline(time.Now().Add(time.Second))
	}
}
