package test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/go/packages"
)

// walls are what keeps the parts of Sluice apart; ARCHITECTURE.md says why
// there are walls at all. Patterns are those of the go command: "./" is this
// module, "..." at the end is everything below. Tests are free.
var walls = []wall{
	{from: "./codec/...", never: []string{"./..."}, unless: []string{"./codec/..."}, reason: "each codec is fuzzed, benchmarked and replaced alone"},
	{from: "./codec/...", never: wireAndSystem, unlessIn: []string{"./codec/protobuf/..."}, reason: "bytes in, values out: no input or output"},
	{from: "./codec/protobuf/...", never: wireAndSystem, unless: []string{"net", "google.golang.org/grpc/..."}, reason: "it asks servers about themselves, over connections that its caller dials, and does no other input or output"},
	{from: "./rules", never: wireAndSystem, reason: "same rule and same message give the same answer, so the offline test is production"},
	{from: "./rules/internal/...", never: wireAndSystem, reason: "same rule and same message give the same answer, so the offline test is production"},
	{from: "./rules/document", never: wireAndSystem, reason: "text in, problems out: watch and the command line read the files"},
	{from: "./rules/...", never: []string{"./..."}, unless: []string{"./rules/...", "./codec/..."}, reason: "imports point down: rules stands on codec alone"},
	{from: "./rules", never: []string{"./rules/watch", "./rules/ruletest"}, deep: true, reason: "files and test runs sit on rules, not in it"},
	{from: "./proxy", never: []string{"./rules/watch", "./rules/ruletest"}, deep: true, reason: "proxy takes a rule set, wherever it came from"},
	{from: "./proxy/internal/...", never: []string{"./..."}, unless: []string{"./proxy/internal/...", "./rules/...", "./codec/..."}, reason: "what proxy is built of does not know proxy"},
	{from: "./proxy", never: []string{"./..."}, unless: []string{"./proxy/internal/...", "./rules/...", "./codec/..."}, deep: true, reason: "proxy knows no adapter: it states small interfaces and cmd plugs into them"},
	{from: "./proxy", never: heavy, deep: true, reason: "policy, telemetry and drivers stay out of the data path's dependency tree"},
	{from: "./proxy/...", never: []string{"./cmd/...", "./iptables/...", "./test/..."}, reason: "imports point down: cmd, adapters, proxy, rules, codec"},
	{from: "./iptables/...", never: []string{"./..."}, unless: []string{"./iptables/..."}, reason: "the redirect is a tool of its own"},
	{from: "./cmd/...", never: []string{"./test/..."}, reason: "what is shipped does not stand on tests"},
	{from: "./cmd/sluice/internal/shop", never: []string{"./..."}, reason: "the demo's shop knows nothing of Sluice"},
	{from: "./...", never: []string{"net/http/httputil", "github.com/valyala/fasthttp/...", "golang.org/x/net/http2/h2c", "github.com/soheilhy/cmux"}, unlessIn: []string{"./test/..."}, reason: "ReverseProxy rewrites queries, trailers and header names; fasthttp parses leniently; h2c is deprecated; cmux hangs where the server speaks first"},
	{from: "./...", never: []string{"github.com/bytedance/sonic/...", "github.com/goccy/go-json/...", "github.com/valyala/fastjson/..."}, reason: "unsafe, racy or lenient JSON"},
	{from: "./...", never: []string{"github.com/stretchr/testify/...", "github.com/jhump/protoreflect/desc/...", "github.com/jhump/protoreflect/grpcreflect"}, reason: "the standard library compares, and protoreflect's v1 is in maintenance"},
}

// wireAndSystem is what a pure package does without. net/netip and net/url are
// values and parsing, and so not among it.
var wireAndSystem = []string{
	"net", "net/http/...", "net/rpc/...", "net/smtp", "os/...", "syscall/...", "io/ioutil", "plugin",
	"golang.org/x/sys/...", "golang.org/x/net/...", "google.golang.org/grpc/...",
}

var heavy = []string{
	"github.com/prometheus/...", "go.opentelemetry.io/...", "github.com/open-policy-agent/...", "github.com/spf13/...",
	"database/sql/...", "github.com/google/nftables/...", "k8s.io/...",
}

// topFolders are the only folders at the root that hold anything of Go.
var topFolders = []string{"cmd", "codec", "iptables", "proxy", "rules", "test"}

// lineLimit is where a file probably tells two stories. flow.go is what a
// newcomer reads first, and has a limit of its own.
const (
	lineLimit     = 450
	flowLineLimit = 300
)

// longFiles may be longer than lineLimit, each for its reason.
var longFiles = map[string]string{}

// clockless packages take the instant from their caller. They may still bound
// a piece of work with a timeout.
var clockless = []string{"./rules", "./rules/internal/...", "./rules/document", "./codec/..."}

// clockReaders may call the clock all the same, each for its reason.
var clockReaders = map[string]string{
	"./codec/protobuf":    "what a server says of itself grows old",
	"./rules/internal/jq": "limits.time is a backstop behind limits.steps, which decides",
}

// ownTypesOnly are the packages whose exported signatures name no type of
// another module: what is behind them can be replaced.
var ownTypesOnly = []string{"./codec/...", "./rules/...", "./proxy"}

func TestImportsKeepTheWalls(t *testing.T) {
	for _, broken := range brokenWalls(imports(t), walls) {
		t.Error(broken)
	}
}

func TestEveryWallStandsBeforeSomething(t *testing.T) {
	known := keys(imports(t))
	for _, w := range walls {
		if !slices.ContainsFunc(known, func(path string) bool { return matches(w.from, path) }) {
			t.Errorf("no package is %s: the wall is dead", w.from)
		}
	}
}

func TestNoPackageRegistersItselfAtInit(t *testing.T) {
	for _, source := range sources(t) {
		for _, at := range initFuncs(source) {
			t.Errorf("%s: func init: cmd/sluice/wire.go is the one list of what is plugged in", at)
		}
	}
}

func TestNoPackageHasMutableGlobals(t *testing.T) {
	for _, source := range sources(t) {
		if matches("./test/...", source.path) {
			continue
		}
		for _, at := range mutatedGlobals(source) {
			t.Errorf("%s: state has an owner, and two of them in one process must not meet", at)
		}
	}
}

func TestPurePackagesDoNotLookAtTheClock(t *testing.T) {
	for _, source := range sources(t) {
		if _, allowed := clockReaders[source.path]; allowed || !matchesAny(clockless, source.path) {
			continue
		}
		for _, at := range clockCalls(source) {
			t.Errorf("%s: the caller brings the instant, so that the same message gives the same answer", at)
		}
	}
}

func TestExportedSignaturesNameNoForeignType(t *testing.T) {
	for _, source := range sources(t) {
		if !matchesAny(ownTypesOnly, source.path) || strings.Contains(source.path, "/internal/") {
			continue
		}
		for _, found := range foreignTypes(source) {
			t.Error(found)
		}
	}
}

func TestOnlyTheGivenFoldersAreAtTheRoot(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if !entry.IsDir() || strings.HasPrefix(name, ".") || slices.Contains(topFolders, name) {
			continue
		}
		if goFiles(t, filepath.Join("..", name)) != nil {
			t.Errorf("%s: the folders at the root are %s", name, strings.Join(topFolders, ", "))
		}
	}
}

func TestFilesTellOneStory(t *testing.T) {
	for _, path := range goFiles(t, "..") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name, lines := filepath.ToSlash(strings.TrimPrefix(path, "../")), strings.Count(string(text), "\n")
		limit := lineLimit
		if name == "proxy/flow.go" {
			limit = flowLineLimit
		}
		if _, allowed := longFiles[name]; lines > limit && !allowed {
			t.Errorf("%s has %d lines, over %d: what is its second story?", name, lines, limit)
		} else if allowed && lines <= limit {
			t.Errorf("%s has %d lines: take it out of longFiles", name, lines)
		}
	}
}

func goFiles(t *testing.T, root string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".." {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// loadImports reads once, for all tests, what every package of ours, without
// its tests, imports, and all that it leads to. Paths of ours begin with "./".
var loadImports = sync.OnceValues(func() (map[string][]string, error) {
	graph, err := packages.Load(&packages.Config{Dir: "..", Mode: packages.NeedName | packages.NeedImports | packages.NeedDeps}, "./...")
	if err != nil {
		return nil, err
	}
	imports := map[string][]string{}
	packages.Visit(graph, func(p *packages.Package) bool {
		from := local(p.PkgPath)
		for path := range p.Imports {
			imports[from] = append(imports[from], local(path))
		}
		slices.Sort(imports[from])
		return true
	}, nil)
	return imports, nil
})

// loadSources reads once, for all tests, every package of ours without its
// tests.
var loadSources = sync.OnceValues(func() ([]source, error) {
	typed, err := packages.Load(&packages.Config{Dir: "..", Mode: packages.LoadSyntax}, "./...")
	if err != nil {
		return nil, err
	}
	var sources []source
	var problems []error
	for _, p := range typed {
		for _, problem := range p.Errors {
			problems = append(problems, problem)
		}
		sources = append(sources, source{path: local(p.PkgPath), fset: p.Fset, files: p.Syntax, info: p.TypesInfo, types: p.Types})
	}
	return sources, errors.Join(problems...)
})

func imports(t *testing.T) map[string][]string {
	t.Helper()
	loaded, err := loadImports()
	if err != nil {
		t.Fatalf("load the imports: %v", err)
	}
	return loaded
}

func sources(t *testing.T) []source {
	t.Helper()
	loaded, err := loadSources()
	if err != nil {
		t.Fatalf("load the sources: %v", err)
	}
	return loaded
}
