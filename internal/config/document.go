package config

import (
	"fmt"
	"strings"
)

// File returns a file that sets every key to its default and says what each
// one does.
func File() string {
	var b strings.Builder
	b.WriteString("# Configuration of a Tertulia server. Every key has its default here.\n" +
		"# A variable of the environment comes before this file, and a flag before both.\n")
	current := ""
	for _, k := range keys {
		section, word := k.section()
		if section != current {
			fmt.Fprintf(&b, "\n[%s]\n", section)
			current = section
		}
		b.WriteString("\n")
		for _, line := range wrap(k.Help, 90) {
			fmt.Fprintf(&b, "# %s\n", line)
		}
		if values := k.values(); values != "" {
			fmt.Fprintf(&b, "# Values: %s\n", values)
		}
		fmt.Fprintf(&b, "%s = %s\n", word, k.literal(k.defaultItems()))
		if k.Name == issuersFollow {
			b.WriteString(issuersExample())
		}
	}
	return b.String()
}

// Table returns the keys as a table in Markdown.
func Table() string {
	var b strings.Builder
	b.WriteString("| key | default | values | what it does |\n| --- | --- | --- | --- |\n")
	for _, k := range keys {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", k.Name, k.literal(k.defaultItems()), k.values(), k.Help)
		if k.Name == issuersFollow {
			fmt.Fprintf(&b, "| `[[%s]]` | none |  | %s |\n", issuersName, issuersHelp)
		}
	}
	return b.String()
}

// wrap breaks text into lines of at most width bytes.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
