package seedtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/config"
	"tertulia/wire"
)

func specification(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// section returns the text of one numbered section, its subsections included.
func section(t *testing.T, number string) string {
	t.Helper()
	level := "##"
	if strings.Contains(number, ".") {
		level, number = "###", number+" "
	} else {
		number += ". "
	}
	_, rest, ok := strings.Cut(specification(t), "\n"+level+" "+number)
	if !ok {
		t.Fatalf("docs/protocol.md has no section %s", number)
	}
	if i := regexp.MustCompile(`(?m)^` + level + ` `).FindStringIndex(rest); i != nil {
		rest = rest[:i[0]]
	}
	return rest
}

// rows returns the cells of the rows of a section's tables.
func rows(t *testing.T, number string) [][]string {
	t.Helper()
	var rows [][]string
	for line := range strings.Lines(section(t, number)) {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
		}
		rows = append(rows, cells)
	}
	return rows
}

// docs/protocol.md §7 and package chat name the same codes, in the same way.
func TestErrorCodes(t *testing.T) {
	table := map[string]string{}
	for _, row := range rows(t, "7")[1:] {
		table[row[0]] = row[1] + " " + row[2]
	}
	for code := range chat.Codes {
		want := strconv.Itoa(code.Num()) + " no"
		if code.Retryable() {
			want = strconv.Itoa(code.Num()) + " yes"
		}
		if got := table[string(code)]; got != want {
			t.Errorf("docs/protocol.md §7 has %q for %s, package chat has %q", got, code, want)
		}
		delete(table, string(code))
	}
	for code := range table {
		t.Errorf("docs/protocol.md §7 has %s, package chat has not", code)
	}
}

// docs/protocol.md §8 and package wire name the same close codes, and agree
// on which are to come back from.
func TestCloseCodes(t *testing.T) {
	documented := map[int]string{}
	for _, row := range rows(t, "8")[1:] {
		code, err := strconv.Atoi(row[0])
		if err != nil {
			t.Fatalf("row %v: %v", row, err)
		}
		documented[code] = row[1]
	}
	for name, code := range closeCodes(t) {
		want := "no"
		switch {
		case code == int(wire.CloseNormal):
			want = "–"
		case wire.CloseCode(code).Resumable():
			want = "yes"
		}
		if got := documented[code]; got != want {
			t.Errorf("docs/protocol.md §8 has %q for %d (%s), package wire has %q", got, code, name, want)
		}
		delete(documented, code)
	}
	for code := range documented {
		t.Errorf("docs/protocol.md §8 has %d, package wire has not", code)
	}
}

// closeCodes reads the constants of type CloseCode from the source: Go has no
// other list of them.
func closeCodes(t *testing.T) map[string]int {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../wire/close.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]int{}
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.CONST {
			continue
		}
		for _, spec := range gen.Specs {
			value := spec.(*ast.ValueSpec)
			if typ, ok := value.Type.(*ast.Ident); !ok || typ.Name != "CloseCode" {
				continue
			}
			code, err := strconv.Atoi(value.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes[value.Names[0].Name] = code
		}
	}
	if len(codes) == 0 {
		t.Fatal("no close codes in wire/close.go")
	}
	return codes
}

// docs/protocol.md §9 says what the code does. The limits that no constant
// outside a package names are held by the tests of their behaviour.
func TestLimits(t *testing.T) {
	limits := map[string]string{}
	for _, row := range rows(t, "9")[1:] {
		limits[row[0]] = row[1]
	}
	defaults := config.Default()
	for what, want := range map[string]string{
		"room id":                     fmt.Sprintf("%d bytes", chat.MaxRoomIDBytes),
		"`user_id`":                   fmt.Sprintf("%d bytes", chat.MaxUserIDBytes),
		"`username`":                  fmt.Sprintf("%d bytes", chat.MaxUserNameBytes),
		"`content`":                   thousands(chat.MaxContentBytes) + " bytes of UTF-8",
		"`nonce`":                     fmt.Sprintf("%d characters", chat.MaxNonceBytes),
		"`id` of a command":           fmt.Sprintf("%d bytes", wire.MaxRequestIDBytes),
		"frame of a client":           thousands(chat.MaxFrameBytes) + " bytes",
		"JSON nesting":                strconv.Itoa(wire.MaxDepth),
		"JSON members of a frame":     strconv.Itoa(wire.MaxKeys),
		"typing":                      fmt.Sprintf("1 event in 2 s while unchanged, expires after %.0f s", wire.TypingExpiry.Seconds()),
		"`history`":                   fmt.Sprintf("%d, at most 200, and 192 KiB", defaults.History.OnConnect),
		"heartbeat":                   fmt.Sprintf("the server pings every %s; %s of silence", seconds(defaults.WS.PingInterval), seconds(defaults.WS.IdleTimeout)),
		"one write to a client":       seconds(defaults.WS.WriteTimeout) + " in which it takes less than 16 KiB",
		"connections of a user":       strconv.Itoa(defaults.Limits.ConnectionsPerUser),
		"connections from an address": thousands(defaults.Limits.ConnectionsPerAddress),
		"handshakes of an address":    fmt.Sprintf("%d/s, and %d at once", defaults.Limits.Handshakes.Count, defaults.Limits.Handshakes.Burst),
	} {
		what = strings.Trim(what, "`")
		if got := limits[what]; got != want {
			t.Errorf("docs/protocol.md §9 has %q for %s, the code has %q", got, what, want)
		}
	}
}

// docs/protocol.md §20 too.
func TestLimitsOfV1(t *testing.T) {
	limits := map[string]string{}
	for _, row := range rows(t, "20")[1:] {
		limits[row[0]] = row[1]
	}
	for what, want := range map[string]string{
		"JSON members of a frame":     strconv.Itoa(wire.MaxRequestKeys),
		"rooms of one command":        strconv.Itoa(wire.MaxRooms),
		"events of one `history`":     fmt.Sprintf("%d, and 192 KiB", wire.MaxHistory),
		"`history` of a subscription": fmt.Sprintf("%d, and 192 KiB", wire.MaxHistory),
		"token":                       thousands(wire.MaxTokenBytes) + " bytes",
	} {
		what = strings.Trim(what, "`")
		if got := limits[what]; got != want {
			t.Errorf("docs/protocol.md §20 has %q for %s, the code has %q", got, what, want)
		}
	}
}

func thousands(n int) string { return fmt.Sprintf("%d,%03d", n/1000, n%1000) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.0f s", d.Seconds()) }

// The sections of docs/protocol.md that the code cites exist.
func TestSectionsCited(t *testing.T) {
	text := specification(t)
	var have []string
	for _, m := range regexp.MustCompile(`(?m)^##+ (\d+(?:\.\d+)?)\.? `).FindAllStringSubmatch(text, -1) {
		have = append(have, m[1])
	}
	cited := regexp.MustCompile(`protocol\.md\s+(?:// )?(§[\d.]+(?:(?:, | and | to )§[\d.]+)*)`)
	for _, source := range goFiles(t, "../..") {
		for _, m := range cited.FindAllStringSubmatch(source.text, -1) {
			for _, n := range regexp.MustCompile(`\d+(?:\.\d+)?`).FindAllString(m[1], -1) {
				if !slices.Contains(have, n) {
					t.Errorf("%s cites docs/protocol.md §%s, which there is not", source.path, n)
				}
			}
		}
	}
	// And those that the page itself cites.
	for _, m := range regexp.MustCompile(`(?:RFC \d+ )?§(\d+(?:\.\d+)?)`).FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(m[0], "RFC") && !slices.Contains(have, m[1]) {
			t.Errorf("docs/protocol.md cites §%s, which there is not", m[1])
		}
	}
}
