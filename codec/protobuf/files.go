package protobuf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/ast"
	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/protoutil"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sluice-proxy/sluice/codec"
)

// File is a descriptor set, or, if its name ends in .proto, a protobuf source.
type File struct {
	// Name is the path in errors. A source is also imported by it: by the whole
	// of it or by as many of its last elements as an import statement has.
	Name string
	Data []byte
}

// Files is a [Source] of the methods in a fixed set of files. It does no I/O
// and is safe for concurrent use.
type Files struct{ schema *schema }

var _ Source = (*Files)(nil)

// NewFiles reads descriptor sets and compiles sources, which may import each
// other, files of the sets, and the files that come with protobuf. Of sources
// that do not compile the error has every problem, with file, line and column.
func NewFiles(files ...File) (*Files, error) {
	all := make(descriptors)
	sources := make(map[string][]byte)
	for _, f := range files {
		if path.Ext(f.Name) == ".proto" {
			sources[path.Clean(f.Name)] = f.Data
			continue
		}
		if err := all.addSet(f.Data); err != nil {
			return nil, fmt.Errorf("read descriptor set %s: %w", f.Name, err)
		}
	}
	if err := all.compile(named(sources)); err != nil {
		return nil, err
	}
	registry, err := all.registry()
	if err != nil {
		return nil, err
	}
	return &Files{newSchema(registry)}, nil
}

// Find returns the method, whatever the server.
func (f *Files) Find(_ context.Context, _ Server, service, method string) (*Method, error) {
	return f.schema.method(service, method)
}

// Message returns the codec of a message by its full name.
func (f *Files) Message(fullName string) (codec.Codec, error) {
	d, err := f.schema.files.FindDescriptorByName(protoreflect.FullName(fullName))
	if m, ok := d.(protoreflect.MessageDescriptor); ok && err == nil {
		return messageCodec{f.schema.message(m)}, nil
	}
	return nil, fmt.Errorf("no descriptor for the message %s", fullName)
}

// Methods returns the full names of all methods, as service/method, sorted.
func (f *Files) Methods() []string {
	var names []string
	f.schema.files.RangeFiles(func(d protoreflect.FileDescriptor) bool {
		for i := range d.Services().Len() {
			s := d.Services().Get(i)
			for j := range s.Methods().Len() {
				names = append(names, fmt.Sprintf("%s/%s", s.FullName(), s.Methods().Get(j).Name()))
			}
		}
		return true
	})
	slices.Sort(names)
	return names
}

func (s *schema) method(service, method string) (*Method, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := service + "/" + method
	if m, ok := s.methods[key]; ok {
		return m, nil
	}
	unknown := fmt.Errorf("%s/%s: %w", service, method, ErrUnknownMethod)
	d, err := s.files.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, unknown
	}
	sd, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil, unknown
	}
	md := sd.Methods().ByName(protoreflect.Name(method))
	if md == nil {
		return nil, unknown
	}
	s.methods[key] = &Method{
		Service:         service,
		Name:            method,
		Input:           messageCodec{s.build(md.Input())},
		Output:          messageCodec{s.build(md.Output())},
		ClientStreaming: md.IsStreamingClient(),
		ServerStreaming: md.IsStreamingServer(),
	}
	return s.methods[key], nil
}

// descriptors is a set of files by path.
type descriptors map[string]*descriptorpb.FileDescriptorProto

func (d descriptors) addSet(data []byte) error {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil {
		return err
	}
	if len(set.File) == 0 {
		return errors.New("no files in it")
	}
	for _, f := range set.File {
		if was, ok := d[f.GetName()]; ok && !proto.Equal(was, f) {
			return fmt.Errorf("%s is also in another set, and different", f.GetName())
		}
		d[f.GetName()] = f
	}
	return nil
}

// named returns the sources by the names under which others import them.
func named(sources map[string][]byte) map[string][]byte {
	imports := make(map[string]bool)
	for name, data := range sources {
		file, err := parser.Parse(name, bytes.NewReader(data), reporter.NewHandler(nil))
		if err != nil {
			continue // compile reports it
		}
		for _, decl := range file.Decls {
			if i, ok := decl.(*ast.ImportNode); ok {
				imports[i.Name.AsString()] = true
			}
		}
	}
	byImport := make(map[string][]byte, len(sources))
	for name, data := range sources {
		as := name
		for i := range imports {
			if _, exact := sources[i]; !exact && strings.HasSuffix(name, "/"+i) && (as == name || len(i) > len(as)) {
				as = i
			}
		}
		byImport[as] = data
	}
	return byImport
}

func (d descriptors) compile(sources map[string][]byte) error {
	if len(sources) == 0 {
		return nil
	}
	names := make([]string, 0, len(sources))
	for name := range sources {
		names = append(names, name)
	}
	slices.Sort(names)
	find := func(path string) (protocompile.SearchResult, error) {
		if data, ok := sources[path]; ok {
			return protocompile.SearchResult{Source: bytes.NewReader(data)}, nil
		}
		if f, ok := d[path]; ok {
			return protocompile.SearchResult{Proto: f}, nil
		}
		return protocompile.SearchResult{}, protoregistry.NotFound
	}
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(protocompile.ResolverFunc(find)),
		MaxParallelism: 1,
	}
	var problems []error
	compiler.Reporter = reporter.NewReporter(func(err reporter.ErrorWithPos) error {
		problems = append(problems, err)
		return nil // go on: all are reported
	}, nil)
	files, err := compiler.Compile(context.Background(), names...)
	if len(problems) > 0 {
		err = errors.Join(problems...)
	}
	if err != nil {
		return fmt.Errorf("compile protobuf sources: %w", err)
	}
	for _, f := range files {
		d.addLinked(f)
	}
	return nil
}

// addLinked adds a compiled file and what it imports.
func (d descriptors) addLinked(f protoreflect.FileDescriptor) {
	if _, ok := d[f.Path()]; ok {
		return
	}
	d[f.Path()] = protoutil.ProtoFromFileDescriptor(f)
	for i := range f.Imports().Len() {
		d.addLinked(f.Imports().Get(i).FileDescriptor)
	}
}

// registry links the files. An import that is nowhere leaves a gap: what needs
// it reads as unknown fields.
func (d descriptors) registry() (*protoregistry.Files, error) {
	d.addStandard()
	set := &descriptorpb.FileDescriptorSet{}
	for _, f := range d {
		set.File = append(set.File, f)
	}
	slices.SortFunc(set.File, func(a, b *descriptorpb.FileDescriptorProto) int { return strings.Compare(a.GetName(), b.GetName()) })
	files, err := protodesc.FileOptions{AllowUnresolvable: true}.NewFiles(set)
	if err != nil {
		return nil, fmt.Errorf("link descriptors: %w", err)
	}
	return files, nil
}

// addStandard adds the imported files that come with protobuf: many sets and
// servers leave them out.
func (d descriptors) addStandard() {
	var missing []string
	for _, f := range d {
		for _, i := range f.Dependency {
			if _, ok := d[i]; !ok && isStandard(i) {
				missing = append(missing, i)
			}
		}
	}
	if len(missing) == 0 {
		return
	}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(protocompile.CompositeResolver{}), MaxParallelism: 1}
	for _, name := range missing {
		files, err := compiler.Compile(context.Background(), name)
		if err != nil {
			continue // no such file
		}
		for _, f := range files {
			d.addLinked(f)
		}
	}
}

func isStandard(path string) bool { return strings.HasPrefix(path, "google/protobuf/") }
