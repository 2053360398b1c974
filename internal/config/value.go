package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"tertulia/chat"
	"tertulia/internal/limit"
)

// split takes the text of a flag or a variable apart: a list at its commas,
// anything else not at all.
func (k Key) split(text string) []string {
	if !k.isList() {
		return []string{text}
	}
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

func (k Key) defaultItems() []string { return k.split(k.Default) }

// set gives the key's field in c the value that items spell: one item, or
// any number for a list. The error is a sentence about the value alone.
func (k Key) set(c *Config, items []string) error {
	if k.oneOf != nil && !slices.Contains(k.oneOf, items[0]) {
		return fmt.Errorf("%q is not one of %s", items[0], strings.Join(k.oneOf, ", "))
	}
	field := k.field(c)
	switch p := field.Addr().Interface().(type) {
	case *string:
		*p = items[0]
		return nil
	case *bool:
		return setBool(p, items[0])
	case *int:
		return k.setInt(p, items[0])
	case *time.Duration:
		return k.setDuration(p, items[0])
	case *slog.Level:
		return p.UnmarshalText([]byte(items[0]))
	case *[]string:
		*p = items
		return nil
	case *Secret:
		*p = Secret(items[0])
		return nil
	case *[]Secret:
		*p = make([]Secret, len(items))
		for i, item := range items {
			(*p)[i] = Secret(item)
		}
		return nil
	case *[]chat.RoomID:
		return setRooms(p, items)
	case *[]netip.Prefix:
		return setPrefixes(p, items)
	case *limit.Rate:
		return setRate(p, items[0])
	default:
		return fmt.Errorf("a key cannot be of type %s", k.typ)
	}
}

func setBool(p *bool, text string) error {
	switch text {
	case "true", "1":
		*p = true
	case "false", "0":
		*p = false
	default:
		return fmt.Errorf("%q is neither true nor false", text)
	}
	return nil
}

func (k Key) setInt(p *int, text string) error {
	n, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%q is not a whole number", text)
	}
	low, _ := strconv.Atoi(k.min)
	high, _ := strconv.Atoi(k.max)
	if n < low || n > high {
		return fmt.Errorf("%d is out of range; allowed is %s", n, k.values())
	}
	*p = n
	return nil
}

func (k Key) setDuration(p *time.Duration, text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is not a duration; write it with its unit, like 30s, 1m30s or 500ms", text)
	}
	low, _ := time.ParseDuration(k.min)
	high, _ := time.ParseDuration(k.max)
	if d < low || d > high {
		return fmt.Errorf("%s is out of range; allowed is %s", text, k.values())
	}
	*p = d
	return nil
}

func setRooms(p *[]chat.RoomID, items []string) error {
	rooms := make([]chat.RoomID, 0, len(items))
	for _, item := range items {
		id, err := chat.ParseRoomID(item)
		if err != nil {
			return fmt.Errorf("%q is not a room id: %s", item, refusal(err))
		}
		rooms = append(rooms, id)
	}
	*p = rooms
	return nil
}

func setPrefixes(p *[]netip.Prefix, items []string) error {
	prefixes := make([]netip.Prefix, 0, len(items))
	for _, item := range items {
		prefix, err := netip.ParsePrefix(item)
		if addr, addrErr := netip.ParseAddr(item); addrErr == nil && addr.Zone() == "" {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch {
		case err != nil:
			return fmt.Errorf("%q is neither an address nor a network; write it like 10.0.0.7 or 10.0.0.0/8", item)
		case prefix != prefix.Masked():
			return fmt.Errorf("%q has bits behind its length; write %s", item, prefix.Masked())
		case prefix.Addr().Is4In6():
			return fmt.Errorf("%q is an IPv4 address in the form of IPv6; write it in the form of IPv4", item)
		}
		prefixes = append(prefixes, prefix)
	}
	*p = prefixes
	return nil
}

func setRate(p *limit.Rate, text string) error {
	rate, err := limit.ParseRate(text)
	*p = rate
	return err
}

// refusal is what err tells a person, without its code.
func refusal(err error) string {
	if e, ok := errors.AsType[*chat.Error](err); ok {
		return strings.TrimSuffix(e.Message, ".")
	}
	return err.Error()
}

// items spells the key's value in c, so that set gives it back; of secrets it
// tells only that they are set.
func (k Key) items(c *Config) []string {
	field := k.field(c)
	switch v := field.Interface().(type) {
	case time.Duration:
		return []string{formatDuration(v)}
	case slog.Level:
		return []string{strings.ToLower(v.String())}
	}
	if !k.isList() {
		return []string{fmt.Sprint(field.Interface())}
	}
	items := make([]string, field.Len())
	for i := range items {
		items[i] = fmt.Sprint(field.Index(i).Interface())
	}
	return items
}

// formatDuration writes d like a person would: 60s and 10m, where
// [time.Duration.String] has 1m0s and 10m0s.
func formatDuration(d time.Duration) string {
	if d < 2*time.Minute && d%time.Second == 0 {
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// text is the key's value in c as a variable would give it.
func (k Key) text(c *Config) string { return strings.Join(k.items(c), ",") }

// literal writes items, a value of this key, as TOML.
func (k Key) literal(items []string) string {
	switch {
	case k.isList():
		quoted := make([]string, len(items))
		for i, item := range items {
			quoted[i] = quote(item)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case k.isBool(), k.isNumber():
		return items[0]
	}
	return quote(items[0])
}

// quote writes s as a TOML basic string. JSON's escapes are a subset of
// TOML's.
func quote(s string) string { return string(chat.AppendQuote(nil, s)) }
