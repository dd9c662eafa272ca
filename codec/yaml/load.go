package yaml

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"github.com/sluice-proxy/sluice/codec"
)

// What a document may take. A node of the parser and its value take about 250
// bytes, and every byte of a text may be one.
const (
	nodeSize    = 256
	memoryRatio = 48
	memoryFloor = 64 << 20
	copiesRatio = 4
	copiesFloor = 64 << 10
)

// parse returns the root of the only document, or nil if there is none.
func parse(data []byte, limits codec.Limits) (*yaml.Node, error) {
	text := bytes.TrimPrefix(data, []byte(bom))
	if err := checkText(data, text); err != nil {
		return nil, err
	}
	tooDeep := false
	depth := loaderlimits.DepthFunc(func(depth int, _ *yaml.DepthContext) error {
		if depth > limits.Depth {
			tooDeep = true
			return errors.New("too deep")
		}
		return nil
	})
	var document yaml.Node
	err := yaml.Load(version11(text), &document, yaml.WithPlugin(loaderlimits.New(depth, loaderlimits.AliasNone())))
	switch {
	case tooDeep:
		return nil, &codec.LimitError{Format: name, Limit: "depth", Max: int64(limits.Depth)}
	case err != nil && noDocument.MatchString(err.Error()):
		return nil, nil
	case err != nil:
		return nil, syntaxError(data, err)
	case len(document.Content) != 1:
		return nil, nil
	}
	return document.Content[0], nil
}

// version11 returns text with a %YAML directive of any version 1 made one of
// version 1.1, which is the only one that the parser takes and of equal length.
func version11(text []byte) []byte {
	for at := 0; at < len(text) && (text[at] == '%' || text[at] == '#' || isSpace(text[at])); at++ {
		if m := directive.FindIndex(text[at:]); m != nil {
			text = bytes.Clone(text)
			text[at+m[1]-1] = '1'
			return text
		}
		n := bytes.IndexByte(text[at:], '\n')
		if n < 0 {
			break
		}
		at += n
	}
	return text
}

var directive = regexp.MustCompile(`^%YAML[ \t]+1\.[0-9]\b`)

var (
	noDocument       = regexp.MustCompile(`no documents in stream`)
	severalDocuments = regexp.MustCompile(`expected single document`)
)

// checkText refuses what is no UTF-8, and what would take too much memory: no
// node but the first comes without one of few characters, and none of these
// brings more than two.
func checkText(data, text []byte) error {
	if !utf8.Valid(text) {
		at := 0
		for at < len(data) {
			r, size := utf8.DecodeRune(data[at:])
			if r == utf8.RuneError && size == 1 {
				break
			}
			at += size
		}
		return &codec.SyntaxError{Format: name, Offset: at, Msg: "a text that is not UTF-8"}
	}
	nodes := 0
	for i, c := range text {
		switch c {
		case ',', '[', '{':
			nodes++
		case ':':
			nodes += 2
		case '-', '?':
			if i+1 == len(text) || isSpace(text[i+1]) {
				nodes += 2
			}
		}
	}
	if most := (memoryRatio*len(text) + memoryFloor) / nodeSize; nodes > most {
		return &codec.LimitError{Format: name, Limit: "items", Max: int64(most)}
	}
	return nil
}

func syntaxError(data []byte, err error) error {
	msg, offset := err.Error(), 0
	var load *yaml.LoadError
	if errors.As(err, &load) {
		offset = newPlaces(data).offset(load.Mark.Line, load.Mark.Column)
		msg = load.Message
		if load.ContextMsg != "" {
			msg += " " + load.ContextMsg
		}
	}
	if severalDocuments.MatchString(err.Error()) {
		msg = "found a second document, expected one"
	}
	if len(msg) > 120 {
		msg = msg[:120]
	}
	return &codec.SyntaxError{Format: name, Offset: offset, Msg: msg}
}

// loader turns nodes into values.
type loader struct {
	data     []byte
	depth    int // containers that may still open
	maxDepth int
	copies   int // bytes that aliases may still repeat
	anchors  map[*yaml.Node]*loaded
}

// loaded is what an anchor stands for; nil while it is read.
type loaded struct {
	value  codec.Value
	height int // containers in one another
	size   int // in bytes, about, aliases within it included
}

func load(data []byte, root *yaml.Node, limits codec.Limits) (codec.Value, error) {
	if root == nil {
		return nil, nil
	}
	l := loader{data: data, depth: limits.Depth, maxDepth: limits.Depth, copies: copiesRatio*len(data) + copiesFloor}
	r, err := l.node(root)
	return r.value, err
}

func (l *loader) node(n *yaml.Node) (r loaded, err error) {
	if n.Anchor != "" && n.Kind != yaml.AliasNode {
		if l.anchors == nil {
			l.anchors = make(map[*yaml.Node]*loaded)
		}
		l.anchors[n] = nil
		defer func() { l.anchors[n] = &r }()
	}
	switch n.Kind {
	case yaml.AliasNode:
		return l.alias(n)
	case yaml.SequenceNode:
		return l.sequence(n)
	case yaml.MappingNode:
		return l.mapping(n)
	}
	v, ok := scalarOf(n)
	if !ok {
		return loaded{}, l.refuse(n, fmt.Sprintf("found a scalar that is no %.32s", n.Tag))
	}
	if len(n.Value) > maxNumber && !isString(v) {
		return loaded{}, &codec.LimitError{Format: name, Limit: "number", Max: maxNumber}
	}
	return loaded{value: v, size: 16 + len(n.Value)}, nil
}

func isString(v codec.Value) bool {
	_, ok := v.(string)
	return ok
}

func (l *loader) refuse(n *yaml.Node, msg string) error {
	return &codec.SyntaxError{Format: name, Offset: newPlaces(l.data).offset(n.Line, n.Column), Msg: msg}
}

func (l *loader) alias(n *yaml.Node) (loaded, error) {
	r := l.anchors[n.Alias]
	if r == nil {
		return loaded{}, l.refuse(n, "found an alias within its own anchor")
	}
	if l.copies -= r.size; l.copies < 0 {
		return loaded{}, &codec.LimitError{Format: name, Limit: "copies", Max: int64(copiesRatio*len(l.data) + copiesFloor)}
	}
	if r.height > l.depth {
		return loaded{}, l.tooDeep()
	}
	return *r, nil
}

func (l *loader) tooDeep() error {
	return &codec.LimitError{Format: name, Limit: "depth", Max: int64(l.maxDepth)}
}

func (l *loader) sequence(n *yaml.Node) (loaded, error) {
	if l.depth == 0 {
		return loaded{}, l.tooDeep()
	}
	l.depth--
	defer func() { l.depth++ }()
	a := make([]any, len(n.Content), max(len(n.Content), 1)) // a capacity gives it an identity
	r := loaded{value: a, size: 40}
	for i, child := range n.Content {
		c, err := l.node(child)
		if err != nil {
			return loaded{}, err
		}
		a[i] = c.value
		r.add(c)
	}
	r.height++
	return r, nil
}

// add counts a child.
func (r *loaded) add(child loaded) {
	r.size += child.size
	r.height = max(r.height, child.height)
}

func (l *loader) mapping(n *yaml.Node) (loaded, error) {
	if l.depth == 0 {
		return loaded{}, l.tooDeep()
	}
	l.depth--
	defer func() { l.depth++ }()
	o := make(map[string]any, len(n.Content)/2)
	r := loaded{value: o, size: 48}
	var merged []codec.Value
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, child := n.Content[i], n.Content[i+1]
		if isMerge(key) {
			m, err := l.merged(child)
			if err != nil {
				return loaded{}, err
			}
			merged = append(merged, m.value)
			r.add(m)
			continue
		}
		text, err := l.key(key)
		if err != nil {
			return loaded{}, err
		}
		c, err := l.node(child)
		if err != nil {
			return loaded{}, err
		}
		if _, ok := o[text]; ok {
			return loaded{}, l.refuse(key, "found a key twice")
		}
		o[text] = c.value
		r.size += 32 + len(text)
		r.add(c)
	}
	for _, m := range merged {
		mergeInto(o, m)
	}
	r.height++
	return r, nil
}

// isMerge reports whether a key is the merge key of YAML 1.1.
func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Value == "<<" && key.Style&^yaml.TaggedStyle == 0 && (key.Style == 0 || key.Tag == "!!merge")
}

// merged reads what a merge key has: a mapping, or a sequence of them.
func (l *loader) merged(n *yaml.Node) (loaded, error) {
	r, err := l.node(n)
	if err != nil {
		return loaded{}, err
	}
	list, ok := r.value.([]any)
	if !ok {
		list = []any{r.value}
	}
	for _, v := range list {
		if _, ok := v.(map[string]any); !ok {
			return loaded{}, l.refuse(n, "found a merge of what is no mapping")
		}
	}
	return r, nil
}

// mergeInto adds the members of m, a mapping or a sequence of them, that o lacks.
func mergeInto(o map[string]any, m codec.Value) {
	list, ok := m.([]any)
	if !ok {
		list = []any{m}
	}
	for _, source := range list {
		for k, v := range source.(map[string]any) {
			if _, ok := o[k]; !ok {
				o[k] = v
			}
		}
	}
}

func (l *loader) key(n *yaml.Node) (string, error) {
	if n.Anchor != "" || n.Kind == yaml.AliasNode {
		if _, err := l.node(n); err != nil {
			return "", err
		}
	}
	text, ok := keyText(n)
	if !ok {
		return "", l.refuse(n, "found a key that is a collection")
	}
	return text, nil
}

// keyText is what a key reads as, false for collections.
func keyText(n *yaml.Node) (string, bool) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode {
		return "", false
	}
	if v, _ := scalarOf(n); v == nil {
		return "null", true
	}
	return n.Value, true
}
