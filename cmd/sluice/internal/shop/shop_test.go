package shop

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jhump/protoreflect/v2/grpcreflect"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	v1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	v1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
)

func startShop(t *testing.T) *Client {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	ctx, cancel := context.WithCancel(t.Context())
	httpListener, grpcListener := listen(t), listen(t)
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, httpListener, grpcListener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: got %v, want nil", err)
		}
	})
	return &Client{HTTP: "http://" + httpListener.Addr().String(), GRPC: grpcListener.Addr().String()}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func TestEveryCommandPrintsOneLinePerAnswer(t *testing.T) {
	const wholeOrder = `{"id":9007199254740993,"customer":"Ada Lovelace","email":"ada@example.com","card":{"number":"4111111111111111","expires":"12/29"},` +
		`"items":[{"sku":"gear-12","quantity":2,"price":49.95},{"sku":"crank","quantity":1,"price":30}],"total":129.9,"internal":{"margin":0.31,"supplier":"Difference Engines Ltd"}}`
	for _, test := range []struct {
		command string
		want    []string // each line of the output contains its string
	}{
		{"order 9007199254740993", []string{"GET /v1/orders/9007199254740993 -> 200 " + wholeOrder}},
		{"order seven", []string{`-> 400 {"error":"the id is not a 64-bit integer"}`}},
		{`place {"customer":"Grace","total":5}`, []string{`POST /v1/orders -> 201 {"id":9007199254740994,"customer":"Grace"`}},
		{"place nonsense", []string{"POST /v1/orders -> 400"}},
		{"rates 2", []string{`GET /v1/rates -> 200 {"base":"EUR","rates":{"GBP":0.87,"USD":1.08}}`, "-> 200"}},
		{"get 9007199254740993", []string{`shop.v1.Orders/Get -> {"id":"9007199254740993","customer":"Ada Lovelace","customer_email":"ada@example.com","card_number":"4111111111111111","status":"STATUS_PAID"`}},
		{"get 0", []string{"shop.v1.Orders/Get -> NotFound: no such order"}},
		{"watch 7 4", []string{"STATUS_PLACED", "STATUS_PAID", "STATUS_SHIPPED", "STATUS_SHIPPED"}},
		{"upload 7 8 9007199254740993", []string{`shop.v1.Orders/Upload -> {"orders":3,"total_cents":"300","ids":["7","8","9007199254740993"]}`}},
		{"chat hello bye", []string{`{"from":"shop","text":"customer said: hello"}`, `{"from":"shop","text":"customer said: bye"}`}},
	} {
		t.Run(test.command, func(t *testing.T) {
			lines := run(t, startShop(t), test.command)
			if len(lines) != len(test.want) {
				t.Fatalf("got %d lines, want %d: %q", len(lines), len(test.want), lines)
			}
			for i, want := range test.want {
				if !strings.Contains(lines[i], want) {
					t.Errorf("line %d: got %s, want it to contain %s", i, lines[i], want)
				}
			}
		})
	}
}

func TestRatesFailAndRecoverWhenTold(t *testing.T) {
	client := startShop(t)
	run(t, client, "fail 2")
	wantStatuses(t, run(t, client, "rates 3"), "503", "503", "200")
	run(t, client, "fail on")
	wantStatuses(t, run(t, client, "rates 2"), "503", "503")
	run(t, client, "fail off")
	wantStatuses(t, run(t, client, "rates 1"), "200")
}

func TestUnknownCommandsAreErrors(t *testing.T) {
	client := &Client{Out: &bytes.Buffer{}}
	for _, command := range []string{"", "order", "rates", "rates many", "sing la"} {
		if err := client.Do(t.Context(), strings.Fields(command)...); err == nil {
			t.Errorf("%q: got no error", command)
		}
	}
}

func TestAConversationAnswersEachLineAndGoesOnAfterAnError(t *testing.T) {
	client := startShop(t)
	var out bytes.Buffer
	client.Out = &out
	if err := client.Converse(t.Context(), strings.NewReader("rates 1\nsing la\nwatch 7 2\nget 0\n")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		before, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		got = append(got, before)
	}
	want := []string{"GET", "", "error:", "", "shop.v1.Orders/Watch", "shop.v1.Orders/Watch", "", "shop.v1.Orders/Get", ""}
	if !slices.Equal(got, want) {
		t.Errorf("got lines beginning with %q, want %q:\n%s", got, want, &out)
	}
}

func TestReflectionDescribesTheServiceInBothVersions(t *testing.T) {
	shop := startShop(t)
	conn, err := grpc.NewClient("passthrough:///"+shop.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for name, client := range map[string]*grpcreflect.Client{
		"v1":      grpcreflect.NewClientV1(ctx, v1.NewServerReflectionClient(conn)),
		"v1alpha": grpcreflect.NewClientV1Alpha(ctx, v1alpha.NewServerReflectionClient(conn)),
	} {
		file, err := client.FileContainingSymbol(serviceName)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		message := file.Messages().ByName("Order")
		if message == nil || message.Fields().ByName("customer_email") == nil {
			t.Errorf("%s: the file has no Order with a customer_email", name)
		}
		client.Reset()
	}
}

func run(t *testing.T, client *Client, command string) []string {
	t.Helper()
	var out bytes.Buffer
	client.Out = &out
	if err := client.Do(t.Context(), strings.Fields(command)...); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func wantStatuses(t *testing.T, lines []string, want ...string) {
	t.Helper()
	var got []string
	for _, line := range lines {
		_, answer, _ := strings.Cut(line, "-> ")
		got = append(got, answer[:3])
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got statuses %v, want %v", got, want)
	}
}
