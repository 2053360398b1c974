package client

import (
	"os"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// The figures of coming back are those of the vectors that every client is
// held against.
func TestBackoffVectors(t *testing.T) {
	b, err := os.ReadFile("../wire/testdata/vectors/backoff.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Base          int64 `json:"base_ms"`
		Cap           int64 `json:"cap_ms"`
		StableAfter   int64 `json:"stable_after_ms"`
		MaxRetryAfter int64 `json:"max_retry_after_ms"`
		Waits         []struct {
			Failures int   `json:"failures"`
			Most     int64 `json:"most_ms"`
		} `json:"waits"`
	}
	if err := json.Unmarshal(b, &v, json.RejectUnknownMembers(true)); err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]int64{
		"base": {backoffBase.Milliseconds(), v.Base}, "cap": {backoffCap.Milliseconds(), v.Cap},
		"stable after": {stableAfter.Milliseconds(), v.StableAfter}, "longest retry_after": {maxRetryAfter.Milliseconds(), v.MaxRetryAfter},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %d ms, the vectors say %d", what, pair[0], pair[1])
		}
	}
	if len(v.Waits) == 0 {
		t.Error("the vectors have no waits")
	}
	for _, w := range v.Waits {
		if got := backoffBound(w.Failures); got != time.Duration(w.Most)*time.Millisecond {
			t.Errorf("backoffBound(%d) = %v, the vectors say %d ms", w.Failures, got, w.Most)
		}
	}
}
