package matrix

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// shadowsOf are files with their routes in shadow, and other names.
func shadowsOf(files []rules.File) []rules.File {
	var shadows []rules.File
	for _, f := range files {
		if bytes.Contains(f.Text, []byte("\nmode: off\n")) {
			continue
		}
		name := strings.Replace(f.Name, "rules/", "rules/shadow-of-", 1)
		shadows = append(shadows, rules.File{Name: name, Text: append([]byte("mode: shadow\n"), f.Text...)})
	}
	return shadows
}

// casts are sidecars in one lane, by what of the rules they have: none or all of
// them that act, each without and with all of them in shadow.
type cast struct{ bare, bareShadowed, ruled, ruledShadowed *sidecar }

func startCast(t *testing.T, l lane, upstream string, files []rules.File) cast {
	t.Helper()
	shadows := shadowsOf(files)
	return cast{
		startSidecar(t, l, upstream, nil), startSidecar(t, l, upstream, shadows),
		startSidecar(t, l, upstream, files), startSidecar(t, l, upstream, append(shadows, files...)),
	}
}

// sameWithShadow compares what came of a case without and with routes in shadow,
// byte by byte.
func sameWithShadow(t *testing.T, what string, without, with result) {
	t.Helper()
	if diff := gocmp.Diff(without, with, gocmp.AllowUnexported(answered{}, seen{})); diff != "" {
		t.Errorf("%s: -without +with routes in shadow:\n%s", what, diff)
	}
}

// awaitShadow waits for what a route in shadow would have done to a case.
func (s *sidecar) awaitShadow(t *testing.T, id string) *proxy.Shadowed {
	t.Helper()
	record, _ := s.record(t, id)
	timer := time.AfterFunc(testbed.Patience, s.told.Broadcast)
	defer timer.Stop()
	deadline := time.Now().Add(testbed.Patience)
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.shadowed[record.ID] == nil {
		if time.Now().After(deadline) {
			t.Fatalf("%s: nothing of the route in shadow", id)
		}
		s.told.Wait()
	}
	return s.shadowed[record.ID]
}

// sameOutcome compares what a route in shadow would have done with what the same
// route, which acts, has done.
func sameOutcome(t *testing.T, s *sidecar, id string) {
	t.Helper()
	record, messages := s.record(t, id)
	if record.Route == "" {
		return
	}
	e := s.awaitShadow(t, id)
	if e.Route != "shadow-of-"+record.Route {
		t.Errorf("%s: %s is in the shadow of %s", id, e.Route, record.Route)
	}
	edited := record.Request.Edited || record.Response.Edited || record.Response.TrailersOut != nil || headText(record.Request.In) != headText(record.Request.Out) ||
		record.Answered == "" && headText(record.Response.In) != headText(record.Response.Out)
	for _, m := range messages {
		edited = edited || m.Edited
	}
	want := proxy.ShadowUnchanged
	switch {
	case record.Error != nil && record.Error.Reason == "too_large" && record.Protocol == proxy.GRPC:
		return // it has kept what the other has to see from being read
	case record.Error != nil && record.Error.Origin == proxy.OriginRule:
		want = proxy.ShadowError
		if e.Reason != record.Error.Reason || e.Step != record.Error.Step {
			t.Errorf("%s: failed with %s in %s, and %s in %s acts", id, e.Reason, e.Step, record.Error.Reason, record.Error.Step)
		}
	case record.Answered == "reject":
		want = proxy.ShadowReject
	case record.Error != nil, record.Answered != "":
		return // what the route would have seen is not what the other has seen
	case edited:
		want = proxy.ShadowChange
	}
	if e.Outcome != want {
		t.Errorf("%s: %s %s, want %s", id, e.Outcome, e.Reason, want)
	}
}

// TestHTTPPassesAsItIsWithRoutesInShadow runs the rows of httpActions without and
// with their routes in shadow, alone and beside the same routes that act.
func TestHTTPPassesAsItIsWithRoutesInShadow(t *testing.T) {
	testbed.Leaks(t)
	files := httpFiles()
	up := startUpstream(t)
	for _, l := range lanes(t) {
		cars := startCast(t, l, up.addr, files)
		for i := range httpActions {
			a := &httpActions[i]
			if a.rule == "" || a.place != amongRules || strings.HasPrefix(a.rule, "mode: off\n") {
				continue
			}
			t.Run(l.name+"/"+a.name, func(t *testing.T) {
				for n, c := range a.cases() {
					if (n+i)%5 != 0 {
						continue // each costs four exchanges; the rows meet all formats, codings and framings together
					}
					id := fmt.Sprintf("%s-%s-%s", l.name, a.name, strings.ReplaceAll(c.variant(), " ", "-"))
					run := func(s *sidecar) result { return c.run(t, l, up, s, id) }
					if a.priming == 0 {
						without, with := forgetful(up, run, cars.bare, id), forgetful(up, run, cars.bareShadowed, id)
						sameWithShadow(t, c.variant()+", without rules", without, with)
					}
					without, with := forgetful(up, run, cars.ruled, id), forgetful(up, run, cars.ruledShadowed, id)
					sameWithShadow(t, c.variant(), without, with)
					if !c.framing.close || !strings.Contains(a.rule, "\ntrailers:") { // whether trailers had room is not remembered
						sameOutcome(t, cars.ruledShadowed, id)
					}
				}
			})
		}
	}
}

// forgetful runs a case, and makes the upstream forget it: the next one has the
// same name, which is among the bytes that are compared.
func forgetful(up *upstream, run func(*sidecar) result, s *sidecar, id string) result {
	r := run(s)
	up.mu.Lock()
	defer up.mu.Unlock()
	for key := range up.seen {
		if strings.HasPrefix(key, id) {
			delete(up.seen, key)
		}
	}
	return r
}

// TestCallsPassAsTheyAreWithRoutesInShadow does the same with gRPC calls.
func TestCallsPassAsTheyAreWithRoutesInShadow(t *testing.T) {
	testbed.Leaks(t)
	files := callFiles()
	up, service := startUpstream(t), newItems(t)
	for _, l := range lanes(t) {
		cars := startCast(t, l, up.addr, files)
		for i := range callActions {
			a := &callActions[i]
			if a.rule == "" || a.place != amongRules || a.cancel || strings.HasPrefix(a.notIn, l.name+":") {
				continue
			}
			t.Run(l.name+"/"+a.name, func(t *testing.T) {
				for n, c := range a.cases() {
					if (n+i)%4 != 0 {
						continue
					}
					id := fmt.Sprintf("%s-%s-%s", l.name, a.name, strings.ReplaceAll(c.variant(), " ", "-"))
					run := func(s *sidecar) result { return c.run(t, l, up, service, s, id) }
					if !a.late && a.priming == 0 {
						without, with := forgetful(up, run, cars.bare, id), forgetful(up, run, cars.bareShadowed, id)
						sameWithShadow(t, c.variant()+", without rules", without, with)
						cars.bareShadowed.awaitShadow(t, id)
					}
					without, with := forgetful(up, run, cars.ruled, id), forgetful(up, run, cars.ruledShadowed, id)
					sameWithShadow(t, c.variant(), without, with)
					sameOutcome(t, cars.ruledShadowed, id)
				}
			})
		}
	}
}

// TestStreamsPassAsTheyAreWithRoutesInShadow sends shapes of messages through
// routes in shadow that change each of them.
func TestStreamsPassAsTheyAreWithRoutesInShadow(t *testing.T) {
	testbed.Leaks(t)
	upstream := testbed.HTTP(t, testbed.Loopback(t), &mirror{seen: map[string]string{}})
	for _, l := range lanes(t) {
		for i := range shapes {
			s := &shapes[i]
			file := ruleFile("rewrite", s.match(0), fmt.Sprintf("request:\n  - jq: |\n      %s\nresponse:\n  - jq: |\n      %s\n", s.request, s.response))
			bare, shadowed := startSidecar(t, l, upstream, nil), startSidecar(t, l, upstream, shadowsOf([]rules.File{file}))
			for _, protocol := range protocols {
				id := fmt.Sprintf("%s %s %s", l.name, s.name, protocol)
				var texts [2]string
				for n, car := range []*sidecar{bare, shadowed} {
					client := testbed.Client(t, protocol == "http2", car.addr)
					got := testbed.Do(t, client, testbed.Request(t, "POST", "http://x"+s.path(0), s.sent, "Content-Type", s.contentType, caseField, id, shapeField, s.name))
					client.CloseIdleConnections()
					texts[n] = fmt.Sprint(got.StatusCode, got.Header.Get("Content-Type"), got.Text, got.Err)
				}
				if texts[0] != texts[1] {
					t.Errorf("%s: got %q, and without routes in shadow %q", id, texts[1], texts[0])
				}
				want := proxy.ShadowChange
				if s.sent == s.arrives {
					want = proxy.ShadowUnchanged // no step can read it
				}
				if e := shadowed.awaitShadow(t, id); e.Outcome != want {
					t.Errorf("%s: %+v", id, e)
				}
			}
		}
	}
}
