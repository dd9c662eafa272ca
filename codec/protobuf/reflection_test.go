package protobuf

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/test/bufconn"

	"github.com/sluice-proxy/sluice/codec"
)

// services makes every service of some files known to grpc's own reflection.
type services struct{ *Files }

func (s services) GetServiceInfo() map[string]grpc.ServiceInfo {
	info := make(map[string]grpc.ServiceInfo)
	for _, m := range s.Methods() {
		service, _, _ := strings.Cut(m, "/")
		info[service] = grpc.ServiceInfo{}
	}
	return info
}

// testServer serves grpc in memory and counts the connections to it.
type testServer struct {
	Server
	dials atomic.Int32
}

func serve(t *testing.T, register func(*grpc.Server)) *testServer {
	t.Helper()
	l := bufconn.Listen(64 << 10)
	s := grpc.NewServer()
	register(s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	server := &testServer{Server: Server{Key: t.Name(), Authority: "shop"}}
	server.Dial = func(ctx context.Context) (net.Conn, error) {
		server.dials.Add(1)
		return l.DialContext(ctx)
	}
	return server
}

func v1(files *Files) func(*grpc.Server) {
	return func(s *grpc.Server) {
		reflectionv1.RegisterServerReflectionServer(s, reflection.NewServerV1(reflection.ServerOptions{
			Services: services{files}, DescriptorResolver: files.schema.files,
		}))
	}
}

func v1alphaOnly(files *Files) func(*grpc.Server) {
	return func(s *grpc.Server) {
		reflectionv1alpha.RegisterServerReflectionServer(s, reflection.NewServer(reflection.ServerOptions{
			Services: services{files}, DescriptorResolver: files.schema.files,
		}))
	}
}

// bubble runs a test of a Reflection in fake time.
func bubble(t *testing.T, test func(t *testing.T, r *Reflection)) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReflection(ReflectionConfig{})
		defer r.Close()
		test(t, r)
	})
}

func TestReflectionFindsMethods(t *testing.T) {
	files := testFiles(t)
	for version, register := range map[string]func(*grpc.Server){"v1": v1(files), "v1alpha": v1alphaOnly(files)} {
		t.Run(version, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *Reflection) {
				server := serve(t, register)
				m, err := r.Find(t.Context(), server.Server, "kinds.Kinds", "Chat")
				if err != nil {
					t.Fatal(err)
				}
				if !m.ClientStreaming || !m.ServerStreaming || m.Service != "kinds.Kinds" || m.Name != "Chat" {
					t.Errorf("found %+v", m)
				}
				v, _, err := m.Output.Decode([]byte(sized(1, "ann")), codec.Limits{})
				if err != nil || v.(map[string]any)["name"] != "ann" {
					t.Errorf("decoded %v, %v", v, err)
				}
				if _, err := r.Find(t.Context(), server.Server, "kinds.Kinds", "Get"); err != nil {
					t.Error(err)
				}
				if n := server.dials.Load(); n != 1 {
					t.Errorf("%d connections, want 1", n)
				}
			})
		})
	}
}

func TestReflectionKeepsWhatIsUnknown(t *testing.T) {
	bubble(t, func(t *testing.T, r *Reflection) {
		server := serve(t, v1(testFiles(t)))
		find := func(service, method string, dials int32) {
			t.Helper()
			if _, err := r.Find(t.Context(), server.Server, service, method); !errors.Is(err, ErrUnknownMethod) {
				t.Errorf("%s/%s: error %v, want ErrUnknownMethod", service, method, err)
			}
			if n := server.dials.Load(); n != dials {
				t.Errorf("%s/%s: %d connections so far, want %d", service, method, n, dials)
			}
		}
		find("kinds.Nobody", "Get", 1)
		find("kinds.Nobody", "Get", 1)
		find("not a name", "Get", 1)
		find("kinds.Kinds", "Nothing", 2) // just asked: known not to be there
		find("kinds.Kinds", "Nothing", 2)
		time.Sleep(11 * time.Second)
		find("kinds.Kinds", "Nothing", 3) // may have come meanwhile
		find("kinds.Nobody", "Get", 4)
	})
}

func TestReflectionServesStaleWhileAsking(t *testing.T) {
	bubble(t, func(t *testing.T, r *Reflection) {
		server := serve(t, v1(testFiles(t)))
		find := func() {
			t.Helper()
			start := time.Now()
			if _, err := r.Find(t.Context(), server.Server, "kinds.Kinds", "Get"); err != nil {
				t.Error(err)
			}
			if waited := time.Since(start); waited > 0 {
				t.Errorf("waited %v", waited)
			}
		}
		find()
		time.Sleep(5 * time.Minute)
		find()
		synctest.Wait()
		if n := server.dials.Load(); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
		time.Sleep(5 * time.Minute)
		server.Dial = func(context.Context) (net.Conn, error) { return nil, errors.New("refused") }
		for range 100 {
			find()
			time.Sleep(time.Second)
		}
	})
}

func TestReflectionSharesOneQuestion(t *testing.T) {
	bubble(t, func(t *testing.T, r *Reflection) {
		server := serve(t, v1(testFiles(t)))
		errs := make(chan error, 50)
		for range cap(errs) {
			go func() {
				_, err := r.Find(t.Context(), server.Server, "kinds.Kinds", "Get")
				errs <- err
			}()
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if n := server.dials.Load(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
	})
}

func TestReflectionCallerMayHangUp(t *testing.T) {
	bubble(t, func(t *testing.T, r *Reflection) {
		server := serve(t, v1(testFiles(t)))
		dial := server.Dial
		server.Dial = func(ctx context.Context) (net.Conn, error) {
			time.Sleep(time.Second)
			return dial(ctx)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := r.Find(ctx, server.Server, "kinds.Kinds", "Get"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want context.DeadlineExceeded", err)
		}
		if _, err := r.Find(t.Context(), server.Server, "kinds.Kinds", "Get"); err != nil {
			t.Error(err)
		}
		if n := server.dials.Load(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
	})
}

func TestReflectionCloseEndsQuestions(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	r := NewReflection(ReflectionConfig{Timeout: time.Minute})
	dialled := make(chan struct{})
	server := Server{Key: "k", Dial: func(ctx context.Context) (net.Conn, error) {
		close(dialled)
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	done := make(chan error)
	go func() {
		_, err := r.Find(context.Background(), server, "a.A", "Get")
		done <- err
	}()
	<-dialled
	r.Close()
	if err := <-done; err == nil {
		t.Error("found a method")
	}
	if _, err := r.Find(context.Background(), server, "a.A", "Get"); err == nil {
		t.Error("found a method after Close")
	}
}

func TestReflectionCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReflection(ReflectionConfig{Servers: 3, Services: 3})
		defer r.Close()
		server := serve(t, v1(testFiles(t)))
		for _, key := range []string{"1", "2", "3", "4", "5"} {
			server.Key = key
			for _, service := range []string{"a.A", "b.B", "c.C", "d.D", "kinds.Kinds"} {
				_, _ = r.Find(t.Context(), server.Server, service, "Get")
			}
		}
		if n := len(r.servers); n != 3 {
			t.Errorf("%d servers kept, want 3", n)
		}
		if n := len(r.servers["5"].services); n != 3 {
			t.Errorf("%d services kept, want 3", n)
		}
	})
}

func TestInventedServicesDoNotCrowdOutTheOneInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReflection(ReflectionConfig{Services: 3})
		defer r.Close()
		server := serve(t, v1(testFiles(t)))
		if _, err := r.Find(t.Context(), server.Server, "kinds.Kinds", "Get"); err != nil {
			t.Fatal(err)
		}
		for _, service := range []string{"a.A", "b.B", "c.C", "d.D", "e.E"} {
			time.Sleep(time.Second)
			_, _ = r.Find(t.Context(), server.Server, service, "Get")
			dials := server.dials.Load()
			if _, err := r.Find(t.Context(), server.Server, "kinds.Kinds", "Get"); err != nil {
				t.Error(err)
			}
			if n := server.dials.Load() - dials; n != 0 {
				t.Errorf("after %s the service in use was asked for again", service)
			}
		}
	})
}

type failing struct{ err error }

func (f failing) Find(context.Context, Server, string, string) (*Method, error) { return nil, f.err }

func TestSourcesAskInOrder(t *testing.T) {
	files := testFiles(t)
	broken := errors.New("broken")
	for _, test := range []struct {
		name    string
		sources []Source
		want    error
	}{
		{"unknown passes on", []Source{failing{ErrUnknownMethod}, files}, nil},
		{"the first that knows", []Source{files, failing{broken}}, nil},
		{"another error stops", []Source{failing{broken}, files}, broken},
		{"none knows", []Source{failing{ErrUnknownMethod}}, ErrUnknownMethod},
		{"none", nil, ErrUnknownMethod},
	} {
		m, err := Sources(test.sources...).Find(t.Context(), Server{}, "kinds.Kinds", "Get")
		if !errors.Is(err, test.want) || (err == nil) != (m != nil) {
			t.Errorf("%s: %v, %v, want error %v", test.name, m, err, test.want)
		}
	}
}
