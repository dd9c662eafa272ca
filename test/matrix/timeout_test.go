package matrix

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// allowed is how long the routes of this test wait. A service that ticks says
// something every third of it, and is done after twice as long.
const allowed = 300 * time.Millisecond

// dawdler is a service that is late where its path says so.
type dawdler struct{ service *items }

func (d dawdler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body) // else net/http does not notice that its caller is gone
	flush := http.NewResponseController(w).Flush
	call := strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
	say := func() {
		if call {
			writeItem(w, "", d.service.named("a"))
		} else {
			io.WriteString(w, "{}\n")
		}
		_ = flush()
	}
	for _, name := range []string{"Content-Type", "Grpc-Encoding"} {
		if v := r.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	if accepted := r.Header.Get("Accept"); accepted != "" {
		w.Header().Set("Content-Type", accepted)
	}
	how := r.Header.Get("x-how")
	if how == "stalls" {
		<-r.Context().Done()
		return
	}
	if call {
		w.Header().Set("Trailer", "Grpc-Status")
	}
	say()
	ticker := time.NewTicker(allowed / 3)
	defer ticker.Stop()
	for range 6 {
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		}
		if how == "ticks" {
			say()
		}
	}
	if how == "hangs" {
		<-r.Context().Done()
		return
	}
	w.Header().Set("Grpc-Status", "0")
}

// late is a row: a service that is late under a timeout, and what its caller gets.
type late struct {
	timeout, how string
	accept       string // of the response; "" for text
	status       int    // 0: the response breaks off behind its head, with 200
}

var lates = []late{
	{"total", "stalls", "", 504},
	{"total", "hangs", "", 0},
	{"total", "ticks", "", 0},
	{"total", "ticks", "text/event-stream", 200},
	{"attempt", "stalls", "", 504},
	{"attempt", "ticks", "", 200},
	{"idle", "stalls", "", 504},
	{"idle", "hangs", "", 0},
	{"idle", "hangs", "text/event-stream", 0},
	{"idle", "pauses", "", 0},
	{"idle", "ticks", "", 200},
	{"none", "ticks", "", 200},
}

func timeoutFiles() []rules.File {
	var files []rules.File
	for _, timeout := range []string{"total", "attempt", "idle"} {
		upstream := "upstream:\n  timeout: {" + timeout + ": " + allowed.String() + "}\n"
		files = append(files,
			ruleFile(timeout, "http: /, headers: {x-timeout: "+timeout+"}", upstream),
			ruleFile("plain-"+timeout, `grpc: "*", headers: {x-timeout: plain-`+timeout+"}", upstream),
			ruleFile("steps-"+timeout, `grpc: "*", headers: {x-timeout: steps-`+timeout+"}", upstream+callRewrites))
	}
	return append(files, ruleFile("trips", "http: /, headers: {x-timeout: trips}",
		"upstream:\n  timeout: {attempt: "+allowed.String()+"}\n  breaker: {failure: .error == \"timeout\", trip: .failures >= 1, open: 1h}\n"))
}

func TestTimeoutsInEveryLane(t *testing.T) {
	testbed.Leaks(t)
	upstream := testbed.HTTP(t, testbed.Loopback(t), dawdler{newItems(t)})
	for _, l := range lanes(t) {
		car := startSidecar(t, l, upstream, timeoutFiles())
		for _, protocol := range protocols {
			for _, row := range lates {
				id := strings.Join([]string{l.name, protocol, row.timeout, row.how, "as " + row.accept + "."}, " ")
				t.Run(id, func(t *testing.T) {
					t.Parallel()
					client := testbed.Client(t, protocol == "http2", car.addr)
					began := time.Now()
					got := testbed.Do(t, client, testbed.Request(t, "POST", "http://x/", "{}", caseField, id, "x-timeout", row.timeout, "x-how", row.how, "Accept", row.accept))
					took := time.Since(began)
					record, _ := car.record(t, id)
					broken, status, reason := row.status == 0, row.status, ""
					if broken {
						status = 200
					}
					if row.status != 200 {
						reason = "timeout"
					}
					if got.StatusCode != status || (got.Err != nil) != broken {
						t.Errorf("got %d %q, %v", got.StatusCode, got.Text, got.Err)
					}
					if status == 504 && got.Header.Get("X-Sluice-Error") != row.timeout+"/upstream; timeout" {
						t.Errorf("got %v", got.Header)
					}
					if reason != "" && (took < allowed || took > 10*allowed) {
						t.Errorf("took %v", took)
					}
					if e := record.Error; (e == nil) != (reason == "") || e != nil && (e.Reason != reason || e.Origin != "upstream") {
						t.Errorf("record has %v", e)
					}
					if next := testbed.Get(t, client, "http://x/", caseField, id+" next", "x-how", "ticks"); next.StatusCode != 200 || next.Err != nil {
						t.Errorf("the next request: %d, %v", next.StatusCode, next.Err)
					}
				})
			}
		}
	}
}

func TestTimeoutsTripBreakersInEveryLane(t *testing.T) {
	testbed.Leaks(t)
	upstream := testbed.HTTP(t, testbed.Loopback(t), dawdler{newItems(t)})
	for _, l := range lanes(t) {
		car := startSidecar(t, l, upstream, timeoutFiles())
		for i, want := range []int{504, 503} {
			got := testbed.Get(t, testbed.Client(t, false, car.addr), "http://x/", "x-timeout", "trips", "x-how", "stalls")
			if got.StatusCode != want {
				t.Errorf("%s, %d: got %d, want %d", l.name, i, got.StatusCode, want)
			}
		}
	}
}

// lateCall is a row of calls.
type lateCall struct {
	timeout, method, how string
	code                 string
}

var lateCalls = []lateCall{
	{"total", "Unary", "stalls", "DeadlineExceeded"},
	{"total", "Server", "stalls", "DeadlineExceeded"},
	{"total", "Server", "ticks", "OK"},
	{"attempt", "Unary", "stalls", "DeadlineExceeded"},
	{"attempt", "Server", "ticks", "OK"},
	{"idle", "Unary", "stalls", "DeadlineExceeded"},
	{"idle", "Server", "hangs", "DeadlineExceeded"},
	{"idle", "Server", "ticks", "OK"},
}

func TestTimeoutsOfCallsInEveryLane(t *testing.T) {
	testbed.Leaks(t)
	service := newItems(t)
	upstream := testbed.HTTP(t, testbed.Loopback(t), dawdler{service})
	for _, l := range lanes(t) {
		car := startSidecar(t, l, upstream, timeoutFiles())
		for _, way := range []string{"plain-", "steps-"} {
			for _, row := range lateCalls {
				id := strings.Join([]string{l.name, way, row.timeout, row.method, row.how}, " ")
				t.Run(id, func(t *testing.T) {
					t.Parallel()
					conn := dial(t, car.addr)
					defer conn.Close()
					route := way + row.timeout
					got := service.callOf(t, conn, "/matrix.v1.Items/"+row.method, [][]byte{service.named("a")}, "", false, caseField, id, "x-timeout", route, "x-how", row.how)
					if got.Code != row.code {
						t.Errorf("got %s %q", got.Code, got.Message)
					}
					said := strings.Contains(strings.Join(append(got.Fields, got.Trailers...), "\n"), "x-sluice-error: "+route+"/upstream; timeout")
					if said != (row.code != "OK") {
						t.Errorf("got fields %v and trailers %v", got.Fields, got.Trailers)
					}
					record, _ := car.record(t, id)
					if e := record.Error; (e == nil) != (row.code == "OK") || e != nil && e.Reason != "timeout" {
						t.Errorf("record has %v", e)
					}
				})
			}
		}
	}
}
