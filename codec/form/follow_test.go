package form_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/form"
)

// follow follows data in pieces of n bytes.
func follow(t testing.TB, data string, n int) (names []string, places []int64, err error) {
	t.Helper()
	m, err := form.NewMultipart("x(y")
	if err != nil {
		t.Fatal(err)
	}
	f := m.Follow(func(name string, at int64) error {
		names, places = append(names, name), append(places, at)
		return nil
	})
	for len(data) > 0 {
		k := min(n, len(data))
		if _, err := f.Write([]byte(data[:k])); err != nil {
			return names, places, err
		}
		data = data[k:]
	}
	return names, places, f.Close()
}

func TestAFollowerFindsTheNamesOfAllParts(t *testing.T) {
	data := text("preamble", "B \t", "X-A: 1", "content-disposition: form-data;", " name=a", "", "vB", "B", `Content-Disposition: form-data; name="f%22"; filename=x`, "", "\xff\x00", "",
		"B", "Content-Disposition: form-data; name=b", "", "B--", "epilogue")
	for n := 1; n <= len(data); n++ {
		names, places, err := follow(t, data, n)
		if err != nil || len(places) != 3 || fmt.Sprintf("%q", names) != `["a" "f\"" "b"]` {
			t.Fatalf("in pieces of %d: %q, %v", n, names, err)
		}
		for _, at := range places {
			if !strings.HasPrefix(data[at:], "--x(y") {
				t.Fatalf("in pieces of %d: a part at %d", n, at)
			}
		}
	}
}

func TestAFollowerHoldsHeadersOnly(t *testing.T) {
	m, _ := form.NewMultipart("x")
	f := m.Follow(func(string, int64) error { return nil })
	if f.Last() != -1 {
		t.Errorf("a delimiter at %d", f.Last())
	}
	f.Write([]byte("p\r\n--x\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n"))
	if f.Last() != 3 {
		t.Errorf("a delimiter at %d", f.Last())
	}
	piece := []byte(strings.Repeat("\r\n--", 8<<10))
	if allocated := testing.AllocsPerRun(100, func() { f.Write(piece) }); allocated > 1 {
		t.Errorf("%v allocations for a piece", allocated)
	}
	if _, err := f.Write([]byte("\r\n--x--")); err != nil || f.Close() != nil {
		t.Error(err)
	}
	f = m.Follow(func(string, int64) error { return nil })
	_, err := f.Write([]byte("--x\r\nA: " + strings.Repeat("b", 20<<10)))
	var limit *codec.LimitError
	if !errors.As(err, &limit) || limit.Limit != "headers" {
		t.Errorf("long headers: %v", err)
	}
}

func TestTheFollowersHandlerEndsIt(t *testing.T) {
	m, _ := form.NewMultipart("x")
	stop := errors.New("stop")
	f := m.Follow(func(string, int64) error { return stop })
	for range 2 {
		if _, err := f.Write([]byte("--x\r\nContent-Disposition: form-data; name=f\r\n\r\n")); !errors.Is(err, stop) {
			t.Errorf("got %v", err)
		}
	}
}

func TestTheBeginningOfAFormIsEdited(t *testing.T) {
	m, _ := form.NewMultipart("x(y")
	data := text("B", "Content-Disposition: form-data; name=a", "", "v", "")
	v, original, err := m.Beginning([]byte(data), codec.Limits{Size: codec.Bytes(len(data))})
	if err != nil || fmt.Sprint(v) != "map[a:v]" {
		t.Fatalf("got %v, %v", v, err)
	}
	for _, test := range []struct {
		value o
		want  string
	}{
		{o{"a": "v"}, data},
		{o{"a": "w"}, strings.Replace(data, "v\r\n", "w\r\n", 1)},
		{o{}, ""},
		{o{"a": "v", "b": "1"}, data + text("B", `Content-Disposition: form-data; name="b"`, "", "1", "")},
	} {
		if got, err := m.EncodeBeginning(original, test.value); err != nil || string(got) != test.want {
			t.Errorf("%v: got %q, %v, want %q", test.value, got, err, test.want)
		}
	}
}

// FuzzFollow checks that a Follower finds what Decode finds, in whatever pieces,
// and lets nothing pass that Decode refuses. B is the delimiter, | the line end.
func FuzzFollow(f *testing.F) {
	const a = "content-disposition: form-data; name=a"
	for _, s := range []string{
		"B--", "pB|B--", "B|" + a + "||v|B--", "x|B |" + a + "||v|B|" + a + "||B|B--|e", "B|" + a + "||\nB--", "B|" + a + "|B--", "B|" + a + "||v|Bz", "\nB--", "|B--B", "B|" + a + "||v|B-- |", "B||B--",
	} {
		f.Add(s, uint8(1))
		f.Add(s, uint8(7))
	}
	f.Fuzz(func(t *testing.T, short string, n uint8) {
		if len(short) > 8<<10 {
			return
		}
		data := strings.NewReplacer("B", "--x(y", "|", "\r\n").Replace(short)
		v, _, decoded := withBoundary(t).Decode([]byte(data), codec.Limits{})
		names, _, err := follow(t, data, max(1, int(n)))
		if (decoded == nil) != (err == nil) {
			t.Fatalf("%q: Decode says %v, Follow %v", data, decoded, err)
		}
		if err != nil {
			return
		}
		found := 0
		for _, v := range v.(map[string]any) {
			if all, ok := v.([]any); ok {
				found += len(all)
			} else {
				found++
			}
		}
		if found != len(names) {
			t.Fatalf("%q: Decode finds %v, Follow %q", data, v, names)
		}
	})
}
