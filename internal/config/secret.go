package config

import "log/slog"

// Secret is a value that is shown to nobody: however it is printed or logged
// there is a mark in its place. Convert it to a string to use it.
type Secret string

const hidden = "(hidden)"

// String returns a mark, or nothing for a secret that is not set.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the secret from logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
