package protobuf

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Store keeps what servers have said of themselves for the next run, a record
// for each key. It may lose a record, but must not make one up. Its methods are
// never called two at a time, and no call of a service waits for Save.
type Store interface {
	// Load returns the record that was saved last under key, nil if there is
	// none. An error counts as none: the Store is who tells people of it.
	Load(key string) ([]byte, error)
	// Save replaces the record of key. A record is a little more than
	// ReflectionConfig.Size at most.
	Save(key string, record []byte) error
}

// digest is that of a service's files.
type digest [sha256.Size]byte

func digestOf(files [][]byte) (d digest) {
	h := sha256.New()
	for _, f := range files {
		h.Write(binary.AppendUvarint(nil, uint64(len(f))))
		h.Write(f)
	}
	h.Sum(d[:0])
	return d
}

// mayRecall reports whether the store may know the service. It needs r.mu.
func (r *Reflection) mayRecall(s *reflected, service string) bool {
	if r.config.Store == nil {
		return false
	}
	_, ok := s.stored[service]
	return ok || s.stored == nil
}

// openStore waits until the store is free. A store that hangs keeps nobody for
// longer than the timeout, which Close waits as well. If it reports true, closeStore has to follow.
func (r *Reflection) openStore() bool {
	patience := time.NewTimer(r.config.Timeout)
	defer patience.Stop()
	select {
	case r.storing <- struct{}{}:
		return true
	case <-patience.C:
		return false
	}
}

func (r *Reflection) closeStore() { <-r.storing }

// recall returns what the server said of the service in an earlier run, nil if
// nobody knows.
func (r *Reflection) recall(s *reflected, key, service string) *schema {
	r.mu.Lock()
	may := r.mayRecall(s, service)
	r.mu.Unlock()
	if !may || !r.openStore() {
		return nil
	}
	defer r.closeStore()
	files, elements := make(descriptors), maxElements
	for _, each := range r.load(s, key) {
		if each.service != service {
			continue
		}
		for _, data := range each.files {
			f, _, err := readDescriptor(data, &elements)
			if err != nil {
				return nil
			}
			files[f.GetName()] = f
		}
	}
	schema, err := files.link(service)
	if err != nil {
		return nil
	}
	return schema
}

// remember stores the files of a service, or with nil that there are none. It
// writes only what is new.
func (r *Reflection) remember(s *reflected, key, service string, files [][]byte) {
	if r.config.Store == nil || !r.openStore() {
		return
	}
	defer r.closeStore()
	r.mu.Lock()
	asked := s.stored != nil
	r.mu.Unlock()
	if !asked {
		r.load(s, key)
	}
	is := digestOf(files)
	r.mu.Lock()
	was, had := s.stored[service]
	r.mu.Unlock()
	if files == nil && !had || files != nil && had && was == is {
		return
	}
	all := saved{}
	if files != nil {
		all = append(all, savedService{service, files}) // the newest first: what is too much is dropped at the end
	}
	for _, each := range r.load(s, key) {
		if each.service != service {
			all = append(all, each)
		}
	}
	all = all.within(int(r.config.Size), r.config.Services)
	if r.config.Store.Save(key, all.marshal()) == nil {
		r.noteStored(s, all)
	}
}

// load reads the record of a server. The store is open.
func (r *Reflection) load(s *reflected, key string) saved {
	data, err := r.config.Store.Load(key)
	if err != nil {
		data = nil
	}
	all, _ := parseRecord(data) // one that cannot be read is none
	r.noteStored(s, all)
	return all
}

func (r *Reflection) noteStored(s *reflected, all saved) {
	digests := make(map[string]digest, len(all))
	for _, each := range all {
		digests[each.service] = digestOf(each.files)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.stored = digests
}

// saved is the record of a server. Stored it is a protobuf message, in which a
// file that several services need stands once:
//
//	int32 version = 1;
//	repeated bytes file = 2;
//	repeated Service service = 3;
//	message Service { string name = 1; repeated uint32 file = 2; } // by index
type saved []savedService

type savedService struct {
	service string
	files   [][]byte
}

const recordVersion = 1

// within is the record without the services at its end that are too many, or
// whose files would make all of them larger than size.
func (all saved) within(size, services int) saved {
	seen := make(map[string]bool)
	var kept saved
	for _, each := range all[:min(len(all), services)] {
		add := 0
		for _, f := range each.files {
			if !seen[string(f)] {
				add += len(f)
			}
		}
		if add > size {
			continue
		}
		size -= add
		for _, f := range each.files {
			seen[string(f)] = true
		}
		kept = append(kept, each)
	}
	return kept
}

// marshal writes every file once, and names it once in a service: parseRecord takes
// no service of more files than the record has.
func (all saved) marshal() []byte {
	out := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), recordVersion)
	at := make(map[string]uint64)
	for _, each := range all {
		for _, f := range each.files {
			if _, ok := at[string(f)]; !ok {
				at[string(f)] = uint64(len(at))
				out = protowire.AppendBytes(protowire.AppendTag(out, 2, protowire.BytesType), f)
			}
		}
	}
	for _, each := range all {
		var needs []byte
		named := make(map[uint64]bool, len(each.files))
		for _, f := range each.files {
			if i := at[string(f)]; !named[i] {
				named[i] = true
				needs = protowire.AppendVarint(needs, i)
			}
		}
		service := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), each.service)
		service = protowire.AppendBytes(protowire.AppendTag(service, 2, protowire.BytesType), needs)
		out = protowire.AppendBytes(protowire.AppendTag(out, 3, protowire.BytesType), service)
	}
	return out
}

var errNoRecord = errors.New("not a record of descriptors")

// parseRecord reads what marshal wrote. The record shares data.
func parseRecord(data []byte) (saved, error) {
	var files [][]byte
	var all saved
	version := uint64(0)
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return nil, fmt.Errorf("%w: %w", errNoRecord, protowire.ParseError(n))
		}
		data = data[n:]
		var value []byte
		switch {
		case number == 1 && kind == protowire.VarintType:
			version, n = protowire.ConsumeVarint(data)
		case kind == protowire.BytesType:
			value, n = protowire.ConsumeBytes(data)
		default:
			return nil, errNoRecord
		}
		if n < 0 {
			return nil, fmt.Errorf("%w: %w", errNoRecord, protowire.ParseError(n))
		}
		data = data[n:]
		switch number {
		case 2:
			files = append(files, value)
		case 3:
			service, err := parseService(value, files)
			if err != nil {
				return nil, err
			}
			all = append(all, service)
		}
	}
	if version != recordVersion {
		return nil, fmt.Errorf("%w: version %d", errNoRecord, version)
	}
	return all, nil
}

func parseService(data []byte, files [][]byte) (savedService, error) {
	var s savedService
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 || kind != protowire.BytesType {
			return s, errNoRecord
		}
		value, m := protowire.ConsumeBytes(data[n:])
		if m < 0 {
			return s, errNoRecord
		}
		data = data[n+m:]
		switch number {
		case 1:
			s.service = string(value)
		case 2:
			for len(value) > 0 {
				i, n := protowire.ConsumeVarint(value)
				if n < 0 || i >= uint64(len(files)) || len(s.files) >= len(files) {
					return s, errNoRecord
				}
				value = value[n:]
				s.files = append(s.files, files[i])
			}
		}
	}
	return s, nil
}
