package programs

import (
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/rules"
)

func compileJQ(t testing.TB, program string) *rules.Steps {
	text := "request:\n  - jq: |\n      " + strings.ReplaceAll(program, "\n", "\n      ") + "\n"
	set, problems := rules.Compile([]rules.File{{Name: "rules/hostile.yaml", Text: []byte(text)}})
	if set == nil {
		t.Skipf("refused: %v", problems)
	}
	return set.Routes()[0].Request()
}

type cost struct {
	wall, cpu   time.Duration
	alloc, peak uint64
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(1, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func measure(f func()) cost {
	runtime.GC()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after runtime.MemStats
	base := heap()
	var peak atomic.Uint64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(300 * time.Microsecond):
				if h := heap(); h > peak.Load() {
					peak.Store(h)
				}
			}
		}
	}()
	runtime.ReadMemStats(&before)
	c0, began := cpuTime(), time.Now()
	f()
	wall, cpu := time.Since(began), cpuTime()-c0
	if h := heap(); h > peak.Load() {
		peak.Store(h)
	}
	runtime.ReadMemStats(&after)
	close(stop)
	<-done
	p := uint64(0)
	if peak.Load() > base {
		p = peak.Load() - base
	}
	return cost{wall, cpu, after.TotalAlloc - before.TotalAlloc, p}
}

func TestScratch(t *testing.T) {
	only := os.Getenv("ONLY")
	for _, c := range scratchCases() {
		if only != "" && !strings.Contains(c.name, only) {
			continue
		}
		body := c.body()
		limits := codec.Limits{}
		var v any
		var err error
		dec := measure(func() { v, _, err = json.Codec{}.Decode([]byte(body), limits) })
		if err != nil {
			fmt.Printf("%-40s DECODE %v\n", c.name, err)
		}
		line := fmt.Sprintf("%-34s %6dK", c.name, len(body)>>10)
		if dec.alloc>>20 > 60 {
			line += fmt.Sprintf(" DECODE(%dms %dM %dM)", dec.cpu.Milliseconds(), dec.alloc>>20, dec.peak>>20)
		}
		for i, prefix := range []string{"", `(try error("x") catch .) as $zz | `} {
			program := prefix + c.program
			if i == 1 && strings.HasPrefix(c.program, "def ") {
				program = c.program[:strings.Index(c.program, ";")+1] + prefix + c.program[strings.Index(c.program, ";")+1:]
			}
			set, problems := rules.Compile([]rules.File{{Name: "rules/hostile.yaml", Text: []byte("request:\n  - jq: |\n      " + program + "\n")}})
			if set == nil {
				line += fmt.Sprintf(" | refused %s", problems[0].Message)
				continue
			}
			steps := set.Routes()[0].Request()
			in := rules.In{Request: &rules.Request{Head: &rules.Head{Method: "POST", Path: "/"}}, Head: &rules.Head{Method: "POST", Path: "/"}, Now: time.Unix(0, 0)}
			var err error
			if i == 0 && steps.RunsOn(json.Codec{}) {
				var sure bool
				m := measure(func() { _, _, sure, err = steps.RunOn(t.Context(), in, json.Codec{}, []byte(body), limits) })
				line += fmt.Sprintf(" | PLAN sure=%v %4dms %4dM %4dM", sure, m.cpu.Milliseconds(), m.alloc>>20, m.peak>>20)
			}
			in.Body.Value = v
			var out rules.Out
			m := measure(func() { out, err = steps.Run(t.Context(), in) })
			flag := ""
			if m.cpu > 125*time.Millisecond {
				flag += "T"
			}
			if m.peak>>20 > 100 {
				flag += "M"
			}
			why := "ok"
			if se, ok := err.(*rules.StepError); ok {
				why = fmt.Sprintf("%.28s", se.Err)
			}
			_ = out
			line += fmt.Sprintf(" | %4dms %4dM %4dM %s %s", m.cpu.Milliseconds(), m.alloc>>20, m.peak>>20, flag, why)
		}
		fmt.Println(line)
	}
}

type scratchCase struct {
	name, program string
	body          func() string
}

func lit(s string) func() string { return func() string { return s } }
func str(n int, s string) func() string {
	return func() string { return `"` + strings.Repeat(s, n/len(s)) + `"` }
}
func arr(n int, f func(i int) string) func() string {
	return func() string {
		var b strings.Builder
		b.WriteByte('[')
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(f(i))
		}
		b.WriteByte(']')
		return b.String()
	}
}
func obj(n int) func() string {
	return func() string {
		var b strings.Builder
		b.WriteByte('{')
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `"k%d":1`, i)
		}
		b.WriteByte('}')
		return b.String()
	}
}
func deep(n int) func() string {
	return func() string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
}
