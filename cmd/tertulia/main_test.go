package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/alecthomas/kong"
	"go.uber.org/goleak"

	"tertulia/internal/services/servicetest"
)

// actAs makes the test binary another program: "main" is tertulia itself,
// "stubborn" a command that does not stop when it is asked to.
const actAs = "TEST_ACT_AS"

func TestMain(m *testing.M) {
	switch os.Getenv(actAs) {
	case "main":
		main()
	case "stubborn":
		stubborn()
	}
	goleak.VerifyTestMain(servicetest.M{M: m})
}

func stubborn() {
	ctx, cancel := context.WithCancel(context.Background())
	watchSignals(cancel)
	fmt.Println("started")
	<-ctx.Done()
	fmt.Println("asked to stop")
	select {}
}

// program returns the test binary as a program of its own, in a folder of
// its own and without settings of whoever runs the tests.
func program(t *testing.T, as string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "TERTULIA_") }), actAs+"="+as)
	cmd.Dir = t.TempDir()
	return cmd
}

// tertulia runs one command in this process, with env for its environment.
func tertulia(ctx context.Context, env []string, args ...string) (code exitCode, stdout, stderr string) {
	var out, errOut bytes.Buffer
	code = run(ctx, args, IO{In: strings.NewReader(""), Out: &out, Err: &errOut, Env: env, Name: "tertulia"})
	return code, out.String(), errOut.String()
}

// leaves are the commands that can be run.
func leaves(t *testing.T) []*kong.Node {
	t.Helper()
	parser, _, err := newParser(IO{Out: new(bytes.Buffer), Err: new(bytes.Buffer)}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model.Leaves(false)
}

func TestEveryCommandHelps(t *testing.T) {
	for _, command := range leaves(t) {
		path := strings.Fields(command.Path())
		for _, flag := range []string{"-h", "--help"} {
			code, stdout, stderr := tertulia(t.Context(), nil, append(path, flag)...)
			if code != exitOK || stderr != "" {
				t.Errorf("%s %s = %d with %q on stderr, want 0 and nothing", command.Path(), flag, code, stderr)
			}
			if example := "\n    tertulia " + command.Path(); !strings.Contains(stdout, "\nExample") || !strings.Contains(stdout, "tertulia "+command.Path()) {
				t.Errorf("%s %s has no example like %q:\n%s", command.Path(), flag, example, stdout)
			}
			if strings.Contains(stdout, "\x1b") {
				t.Errorf("%s %s writes escape codes into a pipe", command.Path(), flag)
			}
		}
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		name   string
		args   []string
		code   exitCode
		stderr string
	}{
		{"unknown command", []string{"sreve"}, exitUsage, "tertulia: unexpected argument sreve, did you mean \"serve\"?\nhint: see tertulia --help\n"},
		{"unknown flag", []string{"serve", "--lisen", "x"}, exitUsage, "tertulia: unknown flag --lisen, did you mean \"--listen\"?\nhint: see tertulia serve --help\n"},
		{"half a command", []string{"config"}, exitUsage, "tertulia: expected one of \"init\", \"check\", \"show\"\nhint: see tertulia config --help\n"},
		{"bad value", []string{"serve", "--history-on-connect", "many"}, exitUsage, "tertulia: --history-on-connect: \"many\" is not a whole number\nhint: the keys and their values: tertulia config init\n"},
		{"missing file", []string{"serve", "--config", "nowhere.toml"}, exitUsage, "tertulia: nowhere.toml: cannot be read: no such file or directory\nhint: the keys and their values: tertulia config init\n"},
	} {
		code, stdout, stderr := tertulia(t.Context(), nil, test.args...)
		if code != test.code || stdout != "" || stderr != test.stderr {
			t.Errorf("%s: %d with stdout %q, stderr\n%s\nwant %d with none,\n%s", test.name, code, stdout, stderr, test.code, test.stderr)
		}
	}
}

func TestAloneItHelps(t *testing.T) {
	code, stdout, stderr := tertulia(t.Context(), nil)
	if code != exitOK || !strings.Contains(stdout, "Usage: tertulia <command>") || stderr != "" {
		t.Errorf("tertulia = %d with stdout %q, stderr %q, want 0 and help", code, stdout, stderr)
	}
}

func TestExitCodes(t *testing.T) {
	refused := errorWithHint(exitRefused, "", "refused")
	for _, test := range []struct {
		name string
		err  error
		want exitCode
	}{
		{"no error", nil, exitOK},
		{"any error", errors.New("broken"), exitFailure},
		{"refused", refused, exitRefused},
		{"refused, wrapped", fmt.Errorf("chat: %w", refused), exitRefused},
		{"the outer code counts", errorWithHint(exitFailure, "", "chat: %w", refused), exitFailure},
	} {
		if got := codeOf(test.err); got != test.want {
			t.Errorf("%s: code %d, want %d", test.name, got, test.want)
		}
	}
}

// Each code has its row in docs/operations.md.
func TestExitCodesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []exitCode{exitOK, exitFailure, exitUsage, exitNotFound, exitRefused, exitUnreachable, exitInterrupted} {
		if row := fmt.Sprintf("\n| %d | ", code); !strings.Contains(string(page), row) {
			t.Errorf("docs/operations.md has no row for exit code %d", code)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, _, stderr := tertulia(ctx, nil, "healthcheck", "--listen", "127.0.0.1:1")
	if code != exitInterrupted || stderr != "" {
		t.Errorf("interrupted command = %d with %q, want %d and silence", code, stderr, exitInterrupted)
	}
}

// The first signal asks a command to stop, the second ends it.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	cmd := program(t, "stubborn")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	for _, want := range []string{"started", "asked to stop"} {
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("the command said %q, want %q", lines.Text(), want)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != int(exitInterrupted) {
		t.Errorf("the command ended with %v, want exit code %d", err, exitInterrupted)
	}
}
