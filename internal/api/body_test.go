package api

import (
	"testing"
)

func TestIsJSON(t *testing.T) {
	for in, want := range map[string]bool{
		"application/json": true, "application/json; charset=utf-8": true, "Application/JSON; Charset=UTF-8": true,
		"": false, "text/plain": false, "application/json; charset=latin1": false, "application/x-www-form-urlencoded": false, "application/vnd.x+json": false, ";": false,
	} {
		if got := isJSON(in); got != want {
			t.Errorf("isJSON(%q) = %v, want %v", in, got, want)
		}
	}
}
