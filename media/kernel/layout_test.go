//go:build linux && (amd64 || arm64)

package kernel

import (
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf/btf"
)

func TestSlotIsLaidOutAsThePrograms(t *testing.T) {
	spec, err := loadRelay()
	if err != nil {
		t.Fatal(err)
	}
	theirs, ok := spec.Maps["slots"].Value.(*btf.Struct)
	if !ok {
		t.Fatalf("a slot is a %T", spec.Maps["slots"].Value)
	}
	if size := uint32(unsafe.Sizeof(slot{})); size != theirs.Size || size != 256 {
		t.Errorf("%d bytes, theirs %d", size, theirs.Size)
	}
	if samples := spec.Maps["samples"]; samples.ValueSize != uint32(unsafe.Sizeof(sample{})) || samples.ValueSize%8 != 0 {
		t.Errorf("a sample has %d bytes, theirs %d", unsafe.Sizeof(sample{}), samples.ValueSize)
	}
	var members []btf.Member
	for _, m := range theirs.Members {
		if !strings.HasPrefix(m.Name, "pad") {
			members = append(members, m)
		}
	}
	for field := range reflect.TypeFor[slot]().Fields() {
		if field.Name == "_" {
			continue
		}
		if len(members) == 0 {
			t.Fatalf("%s: they have no such member", field.Name)
		}
		m := members[0]
		members = members[1:]
		size, err := btf.Sizeof(m.Type)
		if err != nil {
			t.Fatal(err)
		}
		if uintptr(m.Offset.Bytes()) != field.Offset || uintptr(size) != field.Type.Size() {
			t.Errorf("%s at %d with %d bytes, their %q at %d with %d",
				field.Name, field.Offset, field.Type.Size(), m.Name, m.Offset.Bytes(), size)
		}
	}
	if len(members) != 0 {
		t.Errorf("they also have %v", members)
	}
}
