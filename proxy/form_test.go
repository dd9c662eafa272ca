package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/form"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

const uploadRule = `
route: upload
match: {http: POST /upload}
limits: {body: 1KiB}
request:
  - when: .owner == "nobody"
    reject: {status: 403, message: whose is it}
  - jq: .email |= (. // "" | ascii_downcase) | .tier = "gold" | del(.password)
`

// readsForms lets a sidecar know multipart forms.
func readsForms(c *proxy.Config) {
	c.Codecs = codec.NewRegistry(codec.Format{Codec: form.Multipart{}, Types: []string{"multipart/form-data"}})
}

// uploads is a service that keeps what whole bodies it was sent.
type uploads struct {
	mu   sync.Mutex
	sent []string
	cut  int
}

func (u *uploads) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		u.cut++
		return
	}
	u.sent = append(u.sent, string(body))
}

// parts makes a form of parts, each with a name, which is a file's if it is in
// capitals.
func parts(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		file := ""
		if pairs[i] == strings.ToUpper(pairs[i]) {
			file = "; filename=f"
		}
		fmt.Fprintf(&b, "--b\r\nContent-Disposition: form-data; name=%s%s\r\n\r\n%s\r\n", pairs[i], file, pairs[i+1])
	}
	return b.String()
}

func TestFilesOfAFormPassWhileItsFieldsMeetSteps(t *testing.T) {
	const end = "--b--\r\n"
	large := strings.Repeat("\x00\xff\r\n--", 1<<15)
	tier := strings.Replace(parts("tier", "gold"), "name=tier", `name="tier"`, 1)
	for _, test := range []struct {
		name, rule, sent, want string
		status                 int
		reason                 rules.Reason
	}{
		{
			"a file behind fields", uploadRule, parts("email", "A@B", "note", "x", "FILE", large) + end,
			parts("email", "a@b", "note", "x") + tier + parts("FILE", large) + end, 200, "",
		},
		{
			"fields between files, and others behind", uploadRule, parts("FILE", "small", "password", "p", "FILE", large, "note", large, "FILE", "x") + end + "epilogue",
			parts("FILE", "small") + strings.Replace(parts("email", ""), "name=email", `name="email"`, 1) + tier + parts("FILE", large, "note", large, "FILE", "x") + end + "epilogue", 200, "",
		},
		{"a field behind a file", uploadRule, parts("email", "A@B", "FILE", large, "password", "p") + end, "", 413, rules.ReasonTooLarge},
		{"that passes", uploadRule + "on_error: pass\n", parts("email", "A@B", "FILE", large, "password", "p", "email", "c") + end, parts("email", "a@b") + tier + parts("FILE", large, "password", "p", "email", "c") + end, 200, rules.ReasonTooLarge},
		{"a field that is too long", uploadRule, parts("email", large) + end, "", 413, rules.ReasonTooLarge},
		{"no form behind a file", uploadRule, parts("email", "A@B", "FILE", large) + "--b\r\n\r\n", "", 400, rules.ReasonDecode},
		{"a form that does not end", uploadRule, parts("email", "A@B", "FILE", large), "", 400, rules.ReasonDecode},
		{"no form before one", uploadRule, "--b\r\n\r\n" + parts("FILE", large) + end, "", 400, rules.ReasonDecode},
		{"a reject", uploadRule, parts("owner", "nobody", "FILE", large) + end, "", 403, ""},
		{"steps that look at all of it", strings.Replace(uploadRule, "- jq: ", "- jq: .n = length | ", 1), parts("email", "A@B", "FILE", large) + end, "", 413, rules.ReasonTooLarge},
		{"all of it within the limit", uploadRule, parts("FILE", "x", "email", "A@B") + end, parts("FILE", "x", "email", "a@b") + tier + end, 200, ""},
	} {
		for _, h2 := range []bool{false, true} {
			for _, sized := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s h2 %v sized %v", test.name, h2, sized), func(t *testing.T) {
					testbed.Leaks(t)
					u := &uploads{}
					s := startSidecar(t, testbed.HTTP(t, testbed.Loopback(t), u), []string{test.rule}, readsForms)
					r := testbed.Request(t, "POST", "http://x/upload", "")
					r.Body, r.ContentLength = io.NopCloser(strings.NewReader(test.sent)), -1
					if sized {
						r.ContentLength = int64(len(test.sent))
					}
					r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
					got := testbed.Do(t, testbed.Client(t, h2, s.addr), r)
					if got.StatusCode != test.status {
						t.Errorf("got %v %s, want %d", got.Status, got.Text, test.status)
					}
					record := s.record("/upload")
					if (record.Error == nil) != (test.reason == "") || record.Error != nil && record.Error.Reason != string(test.reason) {
						t.Errorf("record: %+v, %v", record, record.Error)
					}
					u.mu.Lock()
					defer u.mu.Unlock()
					if test.status != 200 {
						if len(u.sent) > 0 {
							t.Errorf("the upstream has %q...", u.sent[0][:200])
						}
						return
					}
					if len(u.sent) != 1 || u.sent[0] != test.want {
						t.Errorf("the upstream has %.400q, want %.400q", u.sent, test.want)
					}
					if body := record.Request.Body; int(body.Size) != len(test.sent) || !strings.HasPrefix(test.sent, string(body.Bytes[:min(len(body.Bytes), 200)])) {
						t.Errorf("seen: %d bytes of %d, %.200q", body.Size, len(test.sent), body.Bytes)
					}
				})
			}
		}
	}
}

// zeros is a reader of n bytes.
type zeros struct{ n int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := min(z.n, int64(len(p)))
	clear(p[:n])
	z.n -= n
	return int(n), nil
}

// A file of 100 MB passes in constant memory: steps that name fields do not need
// it, and steps that read no message at all even less.
func TestALargeFileIsNotKept(t *testing.T) {
	const size = 100 << 20
	for name, rule := range map[string]string{
		"steps of fields": uploadRule,
		"steps of heads":  "match: {http: POST /upload}\nrequest: [{head: '.headers[\"x-a\"] = \"1\"'}]\n",
	} {
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s h2 %v", name, h2), func(t *testing.T) {
				testbed.Leaks(t)
				var before, during runtime.MemStats
				s := startSidecar(t, testbed.HTTP(t, testbed.Loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					n, err := io.Copy(io.Discard, io.LimitReader(r.Body, size-1<<20))
					runtime.GC()
					runtime.ReadMemStats(&during)
					rest, _ := io.Copy(io.Discard, r.Body)
					fmt.Fprint(w, n+rest > size, err)
				})), []string{rule}, readsForms, func(c *proxy.Config) { c.Capture = 1 << 10 })
				r := testbed.Request(t, "POST", "http://x/upload", "")
				r.Body = io.NopCloser(io.MultiReader(strings.NewReader(strings.TrimSuffix(parts("email", "A@B", "FILE", ""), "\r\n")), &zeros{size}, strings.NewReader("\r\n--b--\r\n")))
				r.ContentLength = -1
				r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
				runtime.GC()
				runtime.ReadMemStats(&before)
				if got := testbed.Do(t, testbed.Client(t, h2, s.addr), r); got.Text != "true<nil>" && got.Text != "true <nil>" {
					t.Errorf("got %s %s", got.Status, got.Text)
				}
				if more := int64(during.HeapAlloc) - int64(before.HeapAlloc); more > 8<<20 {
					t.Errorf("%d bytes more are held after %d of the file", more, size)
				}
			})
		}
	}
}
