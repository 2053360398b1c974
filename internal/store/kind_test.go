package store

import (
	"testing"

	"tertulia/chat"
)

func TestKindNames(t *testing.T) {
	for k := range chat.Kind(255) {
		name := KindName(k)
		if got, want := name != "", k.Durable(); got != want {
			t.Errorf("KindName(%d) = %q, but Durable() = %v", k, name, want)
		}
		if name == "" {
			continue
		}
		if got, ok := ParseKind(name); got != k || !ok {
			t.Errorf("ParseKind(%q) = %d, %v, want %d, true", name, got, ok, k)
		}
	}
	if k, ok := ParseKind("unheard-of"); ok {
		t.Errorf("ParseKind(unheard-of) = %d, true, want false", k)
	}
}

// Stored digests outlive the program that wrote them, so the value is fixed:
// printf 'message\0{"content":"hi"}' | sha256sum | cut -c1-16
func TestDigest(t *testing.T) {
	got, scratch := Digest(chat.KindMessage, []byte(`{"content":"hi"}`), nil)
	if want := uint64(0x96360dd3d71ddc62); uint64(got) != want {
		t.Errorf("Digest = %#x, want %#x", uint64(got), want)
	}
	if again, _ := Digest(chat.KindMessage, []byte(`{"content":"hi"}`), scratch); again != got {
		t.Errorf("Digest with used scratch = %#x, want %#x", uint64(again), uint64(got))
	}
	if other, _ := Digest(chat.KindMessage, []byte(`{"content":"ho"}`), scratch); other == got {
		t.Error("Digest of another body is the same")
	}
}
