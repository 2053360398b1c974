package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"tertulia/chat"
	"tertulia/client"
)

// ConnectFlags are the flags of every command that talks to a server.
type ConnectFlags struct {
	Server    string        `placeholder:"URL" env:"TERTULIA_SERVER" help:"Server to connect to; ws://, wss://, http:// or https://. ws://127.0.0.1:8000 if nothing is said."`
	Token     string        `placeholder:"TOKEN" env:"TERTULIA_TOKEN" help:"Token for a server in token mode. Others on this machine can see it in the list of processes: better use --token-file."`
	TokenFile string        `placeholder:"FILE" env:"TERTULIA_TOKEN_FILE" help:"Read the token from this file, again for each connection."`
	UserID    string        `name:"user-id" placeholder:"ID" env:"TERTULIA_USER_ID" help:"Who you are, for a server in open mode. Else the variable USER_ID, else your name."`
	Username  string        `placeholder:"NAME" env:"TERTULIA_USERNAME" help:"The name that others see, for a server in open mode. Else the variable USERNAME, else that of your login."`
	Timeout   time.Duration `default:"30s" help:"How long to try to reach the server."`
}

const defaultServer = "ws://127.0.0.1:8000"

// Validate is called by the parser.
func (f *ConnectFlags) Validate() error {
	switch {
	case f.Timeout <= 0:
		return errors.New("--timeout is longer than nothing")
	case f.Token != "" && f.TokenFile != "":
		return errors.New("--token and --token-file exclude each other")
	}
	return nil
}

// address is the server's, without a slash at its end.
func (f *ConnectFlags) address() string {
	return strings.TrimSuffix(cmp.Or(f.Server, defaultServer), "/")
}

// identity is who the user is, from the flags and the environment. Without a
// word about it, everybody on one machine is who they are logged in as.
func (f *ConnectFlags) identity(env []string) chat.User {
	name := cmp.Or(f.Username, variable(env, "USERNAME"), variable(env, "USER"), "guest")
	id := cmp.Or(f.UserID, variable(env, "USER_ID"), name)
	return chat.User{ID: chat.UserID(id), Name: name}
}

// variable returns the value of an environment variable; the last one counts.
func variable(env []string, name string) (value string) {
	for _, entry := range env {
		if n, v, _ := strings.Cut(entry, "="); n == name {
			value = v
		}
	}
	return value
}

// options are those of the client: who asks.
func (f *ConnectFlags) options(env []string) []client.Option {
	switch {
	case f.Token != "":
		return []client.Option{client.WithToken(func(context.Context) (string, error) { return f.Token, nil })}
	case f.TokenFile != "":
		return []client.Option{client.WithToken(func(context.Context) (string, error) { return readToken(f.TokenFile) })}
	}
	return []client.Option{client.WithUser(f.identity(env))}
}

func readToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), nil
}

// dial connects within the timeout.
func (f *ConnectFlags) dial(ctx context.Context, io IO, opts ...client.Option) (*client.Client, error) {
	limited, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	c, err := client.Dial(limited, f.address(), append(f.options(io.Env), opts...)...)
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		return nil, f.unreachable(strings.TrimPrefix(sentence(err), context.DeadlineExceeded.Error()))
	case isRefusal(err):
		return nil, refusal(err)
	}
	return nil, errorWithHint(exitUsage, "see tertulia --help", "%s", sentence(err))
}

// api is the server's API, and a context that ends with the timeout.
func (f *ConnectFlags) api(ctx context.Context, io IO) (*client.API, context.Context, context.CancelFunc, error) {
	api, err := client.NewAPI(f.address(), f.options(io.Env)...)
	if err != nil {
		return nil, nil, nil, errorWithHint(exitUsage, "see tertulia --help", "%s", sentence(err))
	}
	limited, cancel := context.WithTimeout(ctx, f.Timeout)
	return api, limited, cancel, nil
}

// asked makes the error of an API call that of a command.
func (f *ConnectFlags) asked(ctx context.Context, err error) error {
	_, isNet := errors.AsType[net.Error](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case isNet || ctx.Err() != nil:
		return f.unreachable(sentence(err))
	}
	return refusal(err)
}

// unreachable is the end when the server could not be reached in time.
func (f *ConnectFlags) unreachable(why string) error {
	return errorWithHint(exitUnreachable, "is it running? check with: curl "+httpURL(f.address(), "/health"),
		"cannot reach %s: %s", f.address(), cmp.Or(why, "no answer within "+f.Timeout.String()))
}

// httpURL is a server's address for plain requests.
func httpURL(server, path string) string {
	u, err := url.Parse(server)
	if err != nil { // the client has refused it already
		return server + path
	}
	u.Scheme = strings.Replace(u.Scheme, "ws", "http", 1)
	return u.String() + path
}

// roomID checks a room's id before anything is asked.
func roomID(s string) (chat.RoomID, error) {
	id, err := chat.ParseAnyRoomID(s)
	if err != nil {
		return "", errorWithHint(exitUsage, "a room id has 1 to 64 letters, digits and _ . : - #", "%s", sentence(err))
	}
	return id, nil
}

// isRefusal reports whether the server has said no.
func isRefusal(err error) bool {
	_, byServer := errors.AsType[*client.RefusedError](err)
	_, word := errors.AsType[*chat.Error](err)
	_, removed := errors.AsType[*client.RemovedError](err)
	_, status := errors.AsType[*client.HandshakeError](err)
	return byServer || word || removed || status
}

// refusal is the end when the server does not want this client, or refuses
// what it asks for. Other errors stay what they are.
func refusal(err error) error {
	if !isRefusal(err) {
		return err
	}
	code, why := exitRefused, neutralised(err.Error())
	if e, ok := errors.AsType[*client.RefusedError](err); ok {
		why = neutralised(cmp.Or(e.Reason, e.Error()))
	}
	if word, ok := errors.AsType[*chat.Error](err); ok {
		why = neutralised(fmt.Sprintf("%s (%s)", word.Message, word.Code))
		code = refusalCode(word.Code)
	}
	return errorWithHint(code, "", "the server refused: %s", why)
}

func refusalCode(c chat.Code) exitCode {
	switch c {
	case chat.RoomNotFound, chat.MessageNotFound, chat.UserNotFound, chat.MemberNotFound:
		return exitNotFound
	}
	return exitRefused
}

// sentence says an error to a person: without the codes of programs, and of
// network errors only what went wrong.
func sentence(err error) string {
	if e, ok := errors.AsType[*chat.Error](err); ok {
		return neutralised(e.Message)
	}
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		return e.Err.Error()
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Err.Error()
	}
	return neutralised(err.Error())
}
