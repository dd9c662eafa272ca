package protobuf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/sluice-proxy/sluice/codec"
)

// memory is a Store. Its errors are what its methods return, if they are set.
type memory struct {
	records          map[string][]byte
	loadErr, saveErr error
	saving           chan struct{} // not nil: Save waits for its end
	saves, loads     int
}

func (m *memory) Load(key string) ([]byte, error) {
	m.loads++
	return bytes.Clone(m.records[key]), m.loadErr
}

func (m *memory) Save(key string, record []byte) error {
	m.saves++
	if m.saving != nil {
		<-m.saving
	}
	if m.saveErr == nil {
		m.records[key] = bytes.Clone(record)
	}
	return m.saveErr
}

// shopServer serves the reflection of kinds.Kinds and of shop.Orders, which has
// the methods.
func shopServer(t *testing.T, methods ...string) *testServer {
	t.Helper()
	source := "syntax = \"proto3\"; package shop; message Order { int64 id = 1; }\nservice Orders {"
	for _, m := range methods {
		source += fmt.Sprintf("rpc %s(Order) returns (Order);", m)
	}
	files, err := NewFiles(File{"shop.proto", []byte(source + "}")})
	if err != nil {
		t.Fatal(err)
	}
	return sameKey(serve(t, v1(files)))
}

func sameKey(server *testServer) *testServer {
	server.Key = "inbound 10.0.0.1:80"
	return server
}

// life is one life of a sidecar.
func life(store Store, test func(r *Reflection)) {
	r := NewReflection(ReflectionConfig{Store: store})
	test(r)
	r.Close() // and has stored what it found
}

// find asks for a method and returns how long it took.
func find(t *testing.T, r *Reflection, server *testServer, method string) (time.Duration, error) {
	t.Helper()
	start := time.Now()
	m, err := r.Find(t.Context(), server.Server, "shop.Orders", method)
	if err == nil {
		v, _, err := m.Input.Decode([]byte("\x08\x07"), codec.Limits{})
		if err != nil || v.(map[string]any)["id"] == nil {
			t.Errorf("%s: decoded %v, %v", method, v, err)
		}
	}
	return time.Since(start), err
}

// outOfOrder are servers that do not describe themselves.
func outOfOrder(t *testing.T) map[string]*testServer {
	type request = reflectionv1.ServerReflectionRequest
	type response = reflectionv1.ServerReflectionResponse
	refused := &testServer{}
	refused.Dial = func(context.Context) (net.Conn, error) { return nil, errors.New("refused") }
	return map[string]*testServer{
		"refused": refused,
		"absent":  serve(t, func(*grpc.Server) {}),
		"hung":    serve(t, scripted(func(*request) (*response, error) { return nil, nil })),
		"lying":   serve(t, scripted(func(*request) (*response, error) { return filesAnswer(file("other.proto")), nil })),
	}
}

func TestReflectionRemembersOverARestart(t *testing.T) {
	for _, gone := range []string{"refused", "absent", "hung", "lying"} {
		t.Run(gone, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &memory{records: make(map[string][]byte)}
				life(store, func(r *Reflection) {
					if _, err := find(t, r, shopServer(t, "Get"), "Get"); err != nil {
						t.Fatal(err)
					}
				})
				life(store, func(r *Reflection) {
					server := sameKey(outOfOrder(t)[gone])
					if took, err := find(t, r, server, "Get"); err != nil || took > 2*time.Second {
						t.Fatalf("after %v: %v", took, err)
					}
					for range 100 { // it goes on being asked, and nobody waits for that
						if took, err := find(t, r, server, "Get"); err != nil || took > 0 {
							t.Fatalf("again, after %v: %v", took, err)
						}
						time.Sleep(time.Second)
					}
					if _, err := r.Find(t.Context(), server.Server, "shop.Customers", "Get"); err == nil {
						t.Error("found what was never stored")
					}
					back := shopServer(t, "Get", "Put")
					time.Sleep(10 * time.Second)
					if _, err := find(t, r, back, "Get"); err != nil {
						t.Error(err)
					}
					synctest.Wait()
					if took, err := find(t, r, back, "Put"); err != nil || took > 0 {
						t.Errorf("a method that came meanwhile: %v after %v", err, took)
					}
				})
			})
		})
	}
}

func TestReflectionBelievesTheServerMoreThanItsStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{records: make(map[string][]byte)}
		life(store, func(r *Reflection) {
			if _, err := find(t, r, shopServer(t, "Old"), "Old"); err != nil {
				t.Fatal(err)
			}
		})
		life(store, func(r *Reflection) {
			server := shopServer(t, "New")
			if _, err := find(t, r, server, "Old"); !errors.Is(err, ErrUnknownMethod) {
				t.Errorf("the method that is gone: %v", err)
			}
			if _, err := find(t, r, server, "New"); err != nil {
				t.Error(err)
			}
		})
		// A server that says it has no such service is believed, and that is stored.
		life(store, func(r *Reflection) {
			server := sameKey(serve(t, v1(testFiles(t))))
			if _, err := find(t, r, server, "New"); !errors.Is(err, ErrUnknownMethod) {
				t.Errorf("the service that is gone: %v", err)
			}
		})
		life(store, func(r *Reflection) {
			if _, err := find(t, r, sameKey(outOfOrder(t)["absent"]), "New"); err == nil {
				t.Error("found a service that the server had disowned")
			}
		})
	})
}

func TestReflectionStoresOnlyWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{records: make(map[string][]byte)}
		for range 3 {
			life(store, func(r *Reflection) {
				for range 3 {
					if _, err := find(t, r, shopServer(t, "Get"), "Get"); err != nil {
						t.Fatal(err)
					}
					time.Sleep(5 * time.Minute)
				}
			})
		}
		if store.saves != 1 {
			t.Errorf("saved %d times, want once", store.saves)
		}
	})
}

func TestBadRecordsAreNone(t *testing.T) {
	store := &memory{records: make(map[string][]byte)}
	synctest.Test(t, func(t *testing.T) {
		life(store, func(r *Reflection) { _, _ = find(t, r, shopServer(t, "Get"), "Get") })
	})
	var good []byte
	for _, record := range store.records {
		good = record
	}
	bad := map[string][]byte{
		"noise":              []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
		"another version":    append([]byte{8, 2}, good[2:]...),
		"no version":         good[2:],
		"a file that is not": {8, 1, 0x1a, 3, 0x12, 1, 9},
		"no protobuf in it":  saved{{"shop.Orders", [][]byte{{0xff}}}}.marshal(),
		"another service":    saved{{"shop.Orders", [][]byte{[]byte("\x0a\x01x")}}}.marshal(),
		"without files":      saved{{"shop.Orders", nil}}.marshal(),
	}
	for n := range good {
		bad[fmt.Sprintf("the first %d bytes", n)] = good[:n]
	}
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		synctest.Test(t, func(t *testing.T) {
			store := &memory{records: map[string][]byte{"inbound 10.0.0.1:80": bad[name]}}
			life(store, func(r *Reflection) {
				if _, err := find(t, r, sameKey(outOfOrder(t)["absent"]), "Get"); err == nil {
					t.Errorf("%s: found a method", name)
				}
				time.Sleep(10 * time.Second)
				if _, err := find(t, r, shopServer(t, "Get"), "Get"); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
			if !bytes.Equal(store.records["inbound 10.0.0.1:80"], good) {
				t.Errorf("%s: it was not replaced by a good one", name)
			}
		})
	}
}

func TestStoreThatFailsOrHangsDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("disk full")
		for _, store := range []*memory{{loadErr: broken, saveErr: broken}, {records: make(map[string][]byte), saving: make(chan struct{})}} {
			life(store, func(r *Reflection) {
				server := shopServer(t, "Get")
				for range 3 {
					if took, err := find(t, r, server, "Get"); err != nil || took > 0 {
						t.Errorf("%v after %v", err, took)
					}
					time.Sleep(5 * time.Minute)
				}
				if store.saving != nil {
					close(store.saving)
				}
			})
		}
	})
}

func TestInventedServicesDoNotReadTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{records: make(map[string][]byte)}
		life(store, func(r *Reflection) { _, _ = find(t, r, shopServer(t, "Get"), "Get") })
		life(store, func(r *Reflection) {
			server := sameKey(outOfOrder(t)["absent"])
			before := store.loads
			for i := range 100 {
				_, _ = r.Find(t.Context(), server.Server, fmt.Sprintf("shop.Invented%d", i), "Get")
			}
			if n := store.loads - before; n != 1 {
				t.Errorf("read %d times, want once", n)
			}
			if _, err := find(t, r, server, "Get"); err != nil {
				t.Error(err)
			}
		})
	})
}

// A version that lies, or the other one of two behind one address, does not take
// away what a good answer has told.
func TestReflectionKeepsAGoodAnswerFromALyingOne(t *testing.T) {
	bubble(t, func(t *testing.T, r *Reflection) {
		if _, err := find(t, r, shopServer(t, "Get"), "Get"); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"lying", "hung", "absent", "refused"} {
			server := sameKey(outOfOrder(t)[name])
			for range 3 {
				time.Sleep(5 * time.Minute)
				if took, err := find(t, r, server, "Get"); err != nil || took > 0 {
					t.Errorf("%s: %v after %v", name, err, took)
				}
				synctest.Wait()
			}
		}
	})
}

func TestRecordsAreBounded(t *testing.T) {
	shared, own := bytes.Repeat([]byte("s"), 600), func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 100) }
	var all saved
	for i := range 10 {
		all = append(all, savedService{fmt.Sprint(i), [][]byte{shared, own(i)}})
	}
	for _, test := range []struct{ size, services, want int }{
		{1600, 20, 10}, {1600, 3, 3}, {1000, 20, 4}, {699, 20, 0}, {0, 20, 0},
	} {
		kept := all.within(test.size, test.services)
		data := kept.marshal()
		if len(kept) != test.want || len(data) > test.size+20*len(kept)+10 {
			t.Errorf("%d services of %d bytes within %+v", len(kept), len(data), test)
		}
		again, err := parseRecord(data)
		if err != nil || !bytes.Equal(again.marshal(), data) {
			t.Errorf("%+v: read again it is another: %v", test, err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(saved{{"a.A", [][]byte{[]byte("x"), []byte("y")}}, {"b.B", [][]byte{[]byte("x")}}}.marshal())
	f.Add([]byte{8, 1, 0x1a, 3, 0x12, 1, 9})
	f.Add([]byte("\b\x01\x12\x010\x12\x010\x1a\t2\x03000\x12\x02\x01\x00")) // two files that are the same
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := parseRecord(data)
		if err != nil {
			return
		}
		again, err := parseRecord(all.marshal())
		if err != nil || !bytes.Equal(again.marshal(), all.marshal()) {
			t.Errorf("%v, %v", again, err)
		}
	})
}

// What a server answers with NOT_FOUND it may have later.
func TestReflectionAsksAgainForAServiceThatWasNotThere(t *testing.T) {
	bubble(t, func(t *testing.T, r *Reflection) {
		none := sameKey(serve(t, scripted(func(*reflectionv1.ServerReflectionRequest) (*reflectionv1.ServerReflectionResponse, error) {
			return &reflectionv1.ServerReflectionResponse{MessageResponse: &reflectionv1.ServerReflectionResponse_ErrorResponse{
				ErrorResponse: &reflectionv1.ErrorResponse{ErrorCode: int32(codes.NotFound)},
			}}, nil
		})))
		if _, err := find(t, r, none, "Get"); !errors.Is(err, ErrUnknownMethod) {
			t.Errorf("got %v", err)
		}
		time.Sleep(10 * time.Second)
		if _, err := find(t, r, shopServer(t, "Get"), "Get"); err != nil {
			t.Error(err)
		}
	})
}
