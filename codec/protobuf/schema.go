package protobuf

import (
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// schema turns descriptors into tables, each once.
type schema struct {
	files      *protoregistry.Files
	extensions map[protoreflect.FullName][]protoreflect.FieldDescriptor // by extended message

	mu       sync.Mutex // guards the maps, and the tables while they are built
	messages map[protoreflect.FullName]*message
	methods  map[string]*Method // by service/method
}

func newSchema(files *protoregistry.Files) *schema {
	s := &schema{
		files:      files,
		extensions: make(map[protoreflect.FullName][]protoreflect.FieldDescriptor),
		messages:   make(map[protoreflect.FullName]*message),
		methods:    make(map[string]*Method),
	}
	files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		s.addExtensions(f.Extensions(), f.Messages())
		return true
	})
	return s
}

func (s *schema) addExtensions(extensions protoreflect.ExtensionDescriptors, messages protoreflect.MessageDescriptors) {
	for i := range extensions.Len() {
		x := extensions.Get(i)
		to := x.ContainingMessage().FullName()
		s.extensions[to] = append(s.extensions[to], x)
	}
	for i := range messages.Len() {
		m := messages.Get(i)
		s.addExtensions(m.Extensions(), m.Messages())
	}
}

// message is a message type as the codec wants it. It never changes once it is
// built.
type message struct {
	schema   *schema
	name     string
	fields   []*field // by number
	byName   map[string]*field
	byNumber map[protowire.Number]*field
	low      [32]*field // byNumber, for the usual numbers
	implicit []*field   // those without presence, which always appear
	required []*field
	oneofs   [][]*field
	lists    int // fields that are lists
	subs     int // singular fields that are messages
	special  *wellKnown
}

// field is a field of a message, or the key or value of a map.
type field struct {
	name     string
	jsonName string // only for hints
	number   protowire.Number
	kind     protoreflect.Kind
	wire     protowire.Type // of one element
	list     bool
	packed   bool
	presence bool
	hidden   bool // a list that appears only with elements, as extensions do
	required bool
	utf8     bool
	null     bool // null is one of its values
	slot     int  // among the lists, or among the subs
	at       int  // in the fields of the message
	index    int  // among those without presence
	oneof    int  // -1: none
	// Of the fields of a message with one number here, beyond none, a message
	// mostly has one: of a oneof, of the parts of a message.
	once int
	zero any // what it reads as when it is absent and has no presence

	enum     *enum
	message  *message
	key, val *field // of a map
}

type enum struct {
	name    string
	names   map[protoreflect.EnumNumber]string
	numbers map[string]protoreflect.EnumNumber
}

func (m *message) field(n protowire.Number) *field {
	if int(n) < len(m.low) {
		return m.low[n]
	}
	return m.byNumber[n]
}

// byURL returns the message that an Any holds, nil if it is not known.
func (s *schema) byURL(url string) *message {
	name := protoreflect.FullName(url[strings.LastIndexByte(url, '/')+1:])
	d, err := s.files.FindDescriptorByName(name)
	if err != nil {
		return nil
	}
	md, ok := d.(protoreflect.MessageDescriptor)
	if !ok {
		return nil
	}
	return s.message(md)
}

func (s *schema) message(d protoreflect.MessageDescriptor) *message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.build(d)
}

// build returns the table of d, and with it those of all messages it leads to.
func (s *schema) build(d protoreflect.MessageDescriptor) *message {
	if m, ok := s.messages[d.FullName()]; ok {
		return m
	}
	m := &message{
		schema:   s,
		name:     string(d.FullName()),
		byName:   make(map[string]*field),
		byNumber: make(map[protowire.Number]*field),
		special:  wellKnownOf(d),
	}
	s.messages[d.FullName()] = m
	for i := range d.Oneofs().Len() {
		if !d.Oneofs().Get(i).IsSynthetic() {
			m.oneofs = append(m.oneofs, nil)
		}
	}
	for i := range d.Fields().Len() {
		s.add(m, d.Fields().Get(i))
	}
	for _, x := range s.extensions[d.FullName()] {
		s.add(m, x)
	}
	m.number()
	slices.SortFunc(m.fields, func(a, b *field) int { return int(a.number - b.number) })
	for i, f := range m.fields {
		f.at = i
	}
	return m
}

// number sets what each field has as once.
func (m *message) number() {
	next := len(m.oneofs)
	for _, f := range m.fields {
		switch {
		case f.oneof >= 0:
			f.once = f.oneof
		case f.message != nil && !f.list:
			f.once = next
			next++
		}
	}
}

func (s *schema) add(m *message, d protoreflect.FieldDescriptor) {
	f := s.field(d)
	m.fields = append(m.fields, f)
	m.byName[f.name] = f
	m.byNumber[f.number] = f
	if int(f.number) < len(m.low) {
		m.low[f.number] = f
	}
	switch {
	case f.key != nil:
	case f.list:
		f.slot = m.lists
		m.lists++
	case f.message != nil:
		f.slot = m.subs
		m.subs++
	}
	if !f.presence {
		f.index = len(m.implicit)
		m.implicit = append(m.implicit, f)
	}
	if f.required {
		m.required = append(m.required, f)
	}
	if o := d.ContainingOneof(); o != nil && !o.IsSynthetic() {
		f.oneof = o.Index() // synthetic ones come last
		m.oneofs[f.oneof] = append(m.oneofs[f.oneof], f)
	}
}

func (s *schema) field(d protoreflect.FieldDescriptor) *field {
	f := &field{
		name:     d.TextName(), // of a group as its source has it, of an extension [full.name]
		jsonName: d.JSONName(),
		number:   d.Number(),
		kind:     d.Kind(),
		wire:     wireType(d.Kind()),
		list:     d.IsList(),
		packed:   d.IsPacked(),
		presence: d.HasPresence(),
		hidden:   d.IsExtension() && d.IsList(),
		required: d.Cardinality() == protoreflect.Required,
		oneof:    -1,
		once:     none,
	}
	if f.kind == protoreflect.StringKind {
		f.utf8 = enforcesUTF8(d)
	}
	if e := d.Enum(); e != nil {
		f.enum = newEnum(e)
		f.null = f.enum.name == "google.protobuf.NullValue"
	}
	switch {
	case d.IsMap():
		f.key, f.val = s.field(d.MapKey()), s.field(d.MapValue())
		f.zero = map[string]any{}
	case d.IsList():
		f.zero = []any{}
	case !f.presence:
		f.zero = f.zeroElement()
	}
	if m := d.Message(); m != nil && !d.IsMap() {
		f.message = s.build(m)
		f.null = f.message.name == "google.protobuf.Value"
	}
	return f
}

// enforcesUTF8 follows protobuf-go, whose descriptors know the edition's
// features but export no accessor for this one.
func enforcesUTF8(d protoreflect.FieldDescriptor) bool {
	if d, ok := d.(interface{ EnforceUTF8() bool }); ok {
		return d.EnforceUTF8()
	}
	return d.ParentFile().Syntax() == protoreflect.Proto3
}

func newEnum(d protoreflect.EnumDescriptor) *enum {
	values := d.Values()
	e := &enum{
		name:    string(d.FullName()),
		names:   make(map[protoreflect.EnumNumber]string, values.Len()),
		numbers: make(map[string]protoreflect.EnumNumber, values.Len()),
	}
	for i := range values.Len() {
		v := values.Get(i)
		e.numbers[string(v.Name())] = v.Number()
		if _, alias := e.names[v.Number()]; !alias {
			e.names[v.Number()] = string(v.Name())
		}
	}
	return e
}

func wireType(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	}
	return protowire.VarintType
}

// zeroElement is what an element reads as that the wire leaves out.
func (f *field) zeroElement() any {
	switch f.kind {
	case protoreflect.BoolKind:
		return false
	case protoreflect.StringKind, protoreflect.BytesKind:
		return ""
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return 0.0
	case protoreflect.EnumKind:
		return f.enumValue(0)
	}
	return 0
}
