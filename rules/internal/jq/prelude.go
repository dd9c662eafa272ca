package jq

import (
	"strconv"
	"strings"
	"sync"

	"github.com/itchyny/gojq"
)

// builtinTable is made once and never changed.
var builtinTable = sync.OnceValue(newBuiltinTable)

// preludeText holds the builtins that need closures. A name that begins with an
// underscore is a native of this package.
//
// An owner makes many edits of one value linear: what it has copied once it
// changes in place, which is safe as long as nobody else has seen the copy
// (_get, which shows a part to a filter, forgets what it showed).
const preludeText = `
def assign(p; $x): _owner as $o | reduce (path(p) | _path) as $q (.; _set($o; $q; $x));
def modify(p; f):
  _owner as $o
  | reduce (path(p) | _path) as $q (.;
      label $done | (_set($o; $q; _get($o; $q) | f) | ., break $done), _mark($o; $q))
  | _sweep($o);
def del(f): delpaths([path(f) | _path]);
def map_values(f): .[] |= f;
def pick(f): . as $v | _owner as $o | reduce (path(f) | _path) as $p (null; _set($o; $p; $v | getpath($p)));

def recurse: recurse(.[]?);
def recurse(f): def r: ., (f | r); r;
def recurse(f; cond): def r: ., (f | select(cond) | r); r;
def while(cond; update): def w: if cond then ., (update | w) else empty end; w;
def until(cond; next): def u: if cond then . else next | u end; u;
def repeat(f): def r: f, r; r;
def walk(f):
  def w: if type == "array" then map(w) elif type == "object" then map_values(w) end | f;
  w;
def paths: path(..) | _path | select(. != []);
def paths(f): path(.. | select(f)) | _path | select(. != []);
def tostream:
  (path(def r: (.[]? | r), .; r) | _path) as $p
  | getpath($p)
  | reduce path(.[]?) as $q ([$p, .]; [$p + $q]);

def add(f): [f] | add;
def sort_by(f): _sort_by([.[] | [f]]);
def group_by(f): _group_by([.[] | [f]]);
def unique_by(f): _unique_by([.[] | [f]]);
def min_by(f): _min_by([.[] | [f]]);
def max_by(f): _max_by([.[] | [f]]);
def combinations:
  if length == 0 then [] else .[0][] as $x | .[1:] | combinations | [$x] + . end;
def combinations(n): [limit(n; repeat(.))] | combinations;
def fromstream(f): _builder as $b | f as $event | _feed($b; $event)[];

def INDEX(rows; f): [rows as $row | $row | f | tostring | [., $row]] | _object;
def INDEX(f): INDEX(.[]; f);
def IN(s): any(s == .; .);
def IN(v; s): any(v == s; .);

def test($re): _test($re);
def test($re; $flags): _test($re; $flags);
def match($re): _match($re)[];
def match($re; $flags): _match($re; $flags)[];
def capture($re): _capture($re)[];
def capture($re; $flags): _capture($re; $flags)[];
def scan($re): _scan($re; null)[];
def scan($re; $flags): _scan($re; $flags)[];
def splits($re): _splits($re; null)[];
def splits($re; $flags): _splits($re; $flags)[];
def split($re; $flags): _splits($re; $flags);
def sub($re; str): _find($re; null; false) as $m | _substitute($m; [$m | _captures[] | [str]])[];
def sub($re; str; $flags): _find($re; $flags; false) as $m | _substitute($m; [$m | _captures[] | [str]])[];
def gsub($re; str): _find($re; null; true) as $m | _substitute($m; [$m | _captures[] | [str]])[];
def gsub($re; str; $flags): _find($re; $flags; true) as $m | _substitute($m; [$m | _captures[] | [str]])[];
`

// preludeDefs are the definitions of preludeText by name/arity, as parsed.
var preludeDefs = sync.OnceValue(func() map[string]*gojq.FuncDef {
	query, err := gojq.Parse(preludeText)
	if err != nil {
		panic("jq: prelude: " + err.Error())
	}
	defs := make(map[string]*gojq.FuncDef, len(query.FuncDefs))
	for _, d := range query.FuncDefs {
		defs[d.Name+"/"+strconv.Itoa(len(d.Args))] = d
	}
	return defs
})

// nativeName is the name that a native has in a rewritten program.
func nativeName(name string) string { return hash + strings.TrimPrefix(name, "_") }
