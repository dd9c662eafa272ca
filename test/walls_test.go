package test

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

const modulePath = "github.com/sluice-proxy/sluice"

// wall forbids imports. A package that from matches never imports what never
// matches and unless does not; unlessIn packages are left out.
type wall struct {
	from     string
	never    []string
	unless   []string
	unlessIn []string
	deep     bool // through other packages too; unless still applies
	reason   string
}

// local writes a package path of ours with "./".
func local(path string) string {
	if path == modulePath {
		return "."
	}
	if rest, ours := strings.CutPrefix(path, modulePath+"/"); ours {
		return "./" + rest
	}
	return path
}

func matches(pattern, path string) bool {
	parent, open := strings.CutSuffix(pattern, "/...")
	if !open {
		return pattern == path
	}
	return path == parent || strings.HasPrefix(path, parent+"/")
}

func matchesAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, path) })
}

func keys(imports map[string][]string) []string {
	var paths []string
	for path := range imports {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// brokenWalls describes every import that a wall forbids, with the way that
// leads to it.
func brokenWalls(imports map[string][]string, walls []wall) []string {
	var broken []string
	for _, w := range walls {
		for _, from := range keys(imports) {
			if !matches(w.from, from) || matchesAny(w.unlessIn, from) {
				continue
			}
			for _, way := range ways(imports, from, w.deep) {
				last := way[len(way)-1]
				if matchesAny(w.never, last) && !matchesAny(w.unless, last) {
					broken = append(broken, fmt.Sprintf("%s: %s", strings.Join(way, " -> "), w.reason))
				}
			}
		}
	}
	return broken
}

// ways lists a way from a package to each of its imports, or to everything
// that it leads to.
func ways(imports map[string][]string, from string, deep bool) [][]string {
	var found [][]string
	seen := map[string]bool{from: true}
	queue := [][]string{{from}}
	for len(queue) > 0 {
		way := queue[0]
		queue = queue[1:]
		for _, next := range imports[way[len(way)-1]] {
			if seen[next] {
				continue
			}
			seen[next] = true
			longer := append(slices.Clone(way), next)
			found = append(found, longer)
			if deep {
				queue = append(queue, longer)
			}
		}
	}
	return found
}

// source is one package, parsed and checked.
type source struct {
	path  string
	fset  *token.FileSet
	files []*ast.File
	info  *types.Info
	types *types.Package
}

func (s source) at(pos token.Pos) string { return s.fset.Position(pos).String() }

func initFuncs(s source) []string {
	var found []string
	for _, file := range s.files {
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				found = append(found, s.at(f.Pos()))
			}
		}
	}
	return found
}

// mutatedGlobals finds variables of the package that its code writes to, whole
// or in part, and those whose type is there to be changed. A sync.Pool is
// memory, not state.
func mutatedGlobals(s source) []string {
	var found []string
	report := func(pos token.Pos, v types.Object, how string) {
		found = append(found, fmt.Sprintf("%s: package variable %s %s", s.at(pos), v.Name(), how))
	}
	for _, name := range s.types.Scope().Names() {
		if v, ok := s.types.Scope().Lookup(name).(*types.Var); ok && mutableByDesign(v.Type()) {
			report(v.Pos(), v, "is a "+v.Type().String())
		}
	}
	for _, file := range s.files {
		ast.Inspect(file, func(node ast.Node) bool {
			for _, target := range written(node) {
				if v := s.rootVar(target); v != nil {
					report(target.Pos(), v, "is written to")
				}
			}
			return true
		})
	}
	return found
}

func mutableByDesign(t types.Type) bool {
	if pointer, ok := t.(*types.Pointer); ok {
		t = pointer.Elem()
	}
	named, ok := t.(*types.Named)
	if !ok || named.Obj().Pkg() == nil {
		_, channel := t.Underlying().(*types.Chan)
		return channel
	}
	path, name := named.Obj().Pkg().Path(), named.Obj().Name()
	return path == "sync/atomic" || path == "sync" && name != "Pool"
}

// written lists what a statement or call writes to.
func written(node ast.Node) []ast.Expr {
	switch node := node.(type) {
	case *ast.AssignStmt:
		if node.Tok != token.DEFINE {
			return node.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{node.X}
	case *ast.CallExpr:
		if f, ok := node.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear") && len(node.Args) > 0 {
			return node.Args[:1]
		}
	}
	return nil
}

// rootVar returns the package variable that an expression is, or is a part of.
func (s source) rootVar(expr ast.Expr) types.Object {
	for {
		switch e := expr.(type) {
		case *ast.ParenExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.SelectorExpr:
			expr = e.X
		case *ast.StarExpr:
			expr = e.X
		case *ast.Ident:
			v, ok := s.info.Uses[e].(*types.Var)
			if ok && v.Parent() == s.types.Scope() {
				return v
			}
			return nil
		default:
			return nil
		}
	}
}

// clockCalls finds what reads the clock or waits for it.
func clockCalls(s source) []string {
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	var found []string
	for _, file := range s.files {
		ast.Inspect(file, func(node ast.Node) bool {
			name, ok := node.(*ast.Ident)
			if !ok {
				return true
			}
			f, ok := s.info.Uses[name].(*types.Func)
			if ok && f.Pkg() != nil && f.Pkg().Path() == "time" && f.Signature().Recv() == nil && slices.Contains(clock, f.Name()) {
				found = append(found, fmt.Sprintf("%s: time.%s", s.at(name.Pos()), f.Name()))
			}
			return true
		})
	}
	return found
}

// foreignTypes finds types of other modules in what a package exports.
func foreignTypes(s source) []string {
	var found []string
	for _, name := range s.types.Scope().Names() {
		object := s.types.Scope().Lookup(name)
		if !object.Exported() {
			continue
		}
		walk := foreignWalk{own: s.types, seen: map[types.Type]bool{}}
		walk.object(object)
		for _, foreign := range walk.found {
			found = append(found, fmt.Sprintf("%s: %s.%s has %s in its signature", s.at(object.Pos()), s.types.Name(), name, foreign))
		}
	}
	return found
}

// foreignWalk goes through all that a caller of an exported object can name.
type foreignWalk struct {
	own   *types.Package
	seen  map[types.Type]bool
	found []string
}

func (w *foreignWalk) object(object types.Object) {
	name, isType := object.(*types.TypeName)
	if !isType {
		w.typ(object.Type())
		return
	}
	if named, ok := name.Type().(*types.Named); ok && !name.IsAlias() {
		w.typ(named.Underlying())
		for method := range named.Methods() {
			if method.Exported() {
				w.typ(method.Type())
			}
		}
		return
	}
	w.typ(types.Unalias(name.Type()))
}

func (w *foreignWalk) typ(t types.Type) {
	if t == nil || w.seen[t] {
		return
	}
	w.seen[t] = true
	switch t := t.(type) {
	case *types.Alias:
		w.typ(types.Unalias(t))
	case *types.Named:
		if pkg := t.Obj().Pkg(); pkg != nil && foreign(pkg.Path()) {
			w.found = append(w.found, t.String())
		}
		for argument := range t.TypeArgs().Types() {
			w.typ(argument)
		}
	case *types.Pointer:
		w.typ(t.Elem())
	case *types.Slice:
		w.typ(t.Elem())
	case *types.Array:
		w.typ(t.Elem())
	case *types.Chan:
		w.typ(t.Elem())
	case *types.Map:
		w.typ(t.Key())
		w.typ(t.Elem())
	case *types.Signature:
		w.tuple(t.Params())
		w.tuple(t.Results())
		for parameter := range t.TypeParams().TypeParams() {
			w.typ(parameter.Constraint())
		}
	case *types.Struct:
		for field := range t.Fields() {
			if field.Exported() || field.Embedded() {
				w.typ(field.Type())
			}
		}
	case *types.Interface:
		for method := range t.Methods() {
			w.typ(method.Type())
		}
		for embedded := range t.EmbeddedTypes() {
			w.typ(embedded)
		}
	}
}

func (w *foreignWalk) tuple(tuple *types.Tuple) {
	for v := range tuple.Variables() {
		w.typ(v.Type())
	}
}

// foreign tells the packages of other modules: their first path element has a
// dot, and they are not ours.
func foreign(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".") && !strings.HasPrefix(local(path), "./")
}
