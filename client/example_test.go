package client_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/client"
	"tertulia/internal/config"
	"tertulia/internal/server"
)

// serve runs a server on a free port with an empty data folder, and returns
// its address and what stops it.
func serve() (url string, stop func()) {
	dir, err := os.MkdirTemp("", "tertulia-example-")
	if err != nil {
		panic(err)
	}
	cfg := config.Default()
	cfg.Listen = "127.0.0.1:0"
	cfg.DataDir = filepath.Join(dir, "data")
	srv, err := server.New(context.Background(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	return "ws://" + srv.Addr().String(), func() {
		cancel()
		if err := <-ended; err != nil {
			panic(err)
		}
		os.RemoveAll(dir)
	}
}

// must says what an example came to.
func must(err error) {
	if err != nil {
		fmt.Println("error:", err)
	}
}

func await(holds func() bool) {
	for !holds() {
		time.Sleep(time.Millisecond)
	}
}

func dial(ctx context.Context, url string, use func(*client.Room) error) error {
	room, err := client.Dial(ctx, client.Options{
		URL:  url, // such as ws://127.0.0.1:8000
		Room: "general",
		User: chat.User{ID: "1", Name: "Juan"},
	})
	if err != nil {
		return err
	}
	defer room.Close()
	return use(room)
}

func ExampleRoom_Send() {
	url, stop := serve()
	defer stop()
	ctx := context.Background()
	must(dial(ctx, url, func(room *client.Room) error {
		sent, err := room.Send(ctx, "Hola")
		if err != nil {
			return err
		}
		fmt.Printf("message %d is stored\n", sent.Seq)
		return nil
	}))
	// Output: message 1 is stored
}

func ExampleRoom_Events() {
	url, stop := serve()
	defer stop()
	ctx := context.Background()
	must(dial(ctx, url, func(room *client.Room) error {
		room.Post("Buenas")
		room.Post("¿Hay alguien?")
		go func() { // ends the example
			await(func() bool { return room.Cursor().Seq == 2 })
			room.Close()
		}()
		for event, err := range room.Events(ctx) {
			if err != nil {
				return err
			}
			switch e := event.(type) {
			case client.Message:
				fmt.Printf("%s: %s\n", e.From.Name, e.Content)
			case client.Gap:
				fmt.Printf("messages %d to %d are gone (%s)\n", e.From, e.To, e.Reason)
			}
		}
		return nil
	}))
	// Output:
	// Juan: Buenas
	// Juan: ¿Hay alguien?
}

func save(file string, count int, cursor chat.Cursor) error {
	next := file + ".next"
	if err := os.WriteFile(next, fmt.Appendf(nil, "%d %s", count, cursor), 0o600); err != nil {
		return err
	}
	return os.Rename(next, file)
}

func load(file string) (count int, cursor chat.Cursor, err error) {
	state, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, chat.Cursor{}, nil // the first run
	}
	if err != nil {
		return 0, chat.Cursor{}, err
	}
	n, after, _ := strings.Cut(string(state), " ")
	if count, err = strconv.Atoi(n); err != nil {
		return 0, chat.Cursor{}, err
	}
	cursor, err = chat.ParseCursor(after)
	return count, cursor, err
}

// countMessages counts until ctx ends.
func countMessages(ctx context.Context, url, file string) error {
	counter := chat.User{ID: "counter", Name: "Counter"}
	count, cursor, err := load(file)
	if err != nil {
		return err
	}
	room, err := client.Open(client.Options{URL: url, Room: "general", User: counter, Cursor: cursor})
	if err != nil {
		return err
	}
	defer room.Close()
	for event, err := range room.Events(ctx) {
		if err != nil {
			return err
		}
		if m, ok := event.(client.Message); ok {
			count++
			if err := save(file, count, m.Cursor); err != nil {
				return err
			}
		}
	}
	return nil
}

// The counting program ends twice in the middle of things, and counts each
// message once.
func Example_cursor() {
	url, stop := serve()
	defer stop()
	file := filepath.Join(os.TempDir(), "tertulia-example-"+strconv.Itoa(os.Getpid()))
	defer os.Remove(file)
	ctx := context.Background()
	must(dial(ctx, url, func(room *client.Room) error {
		for total := 3; total <= 9; total += 3 {
			for range 3 {
				if _, err := room.Send(ctx, "x"); err != nil {
					return err
				}
			}
			running, kill := context.WithCancel(ctx)
			go func() {
				await(func() bool { n, _, _ := load(file); return n >= total })
				kill()
			}()
			if err := countMessages(running, url, file); !errors.Is(err, context.Canceled) {
				return err
			}
			count, _, err := load(file)
			if err != nil {
				return err
			}
			fmt.Println(count)
		}
		return nil
	}))
	// Output:
	// 3
	// 6
	// 9
}

func ExampleRoom_Post() {
	url, stop := serve()
	defer stop()
	must(dial(context.Background(), url, func(room *client.Room) error {
		posts := []*client.Outgoing{room.Post("uno"), room.Post("dos"), room.Post("tres")}
		for _, post := range posts {
			<-post.Done()
			switch sent, err := post.Result(); {
			case err == nil:
				fmt.Printf("%s is message %d\n", post.Text(), sent.Seq)
			case errors.Is(err, client.ErrUnknown):
				fmt.Printf("%s may be stored; ask again with nonce %s\n", post.Text(), post.Nonce())
			default:
				fmt.Printf("%s was not stored: %v\n", post.Text(), err)
			}
		}
		return nil
	}))
	// Output:
	// uno is message 1
	// dos is message 2
	// tres is message 3
}

func ExampleRoom_PostAs() {
	url, stop := serve()
	defer stop()
	must(dial(context.Background(), url, func(room *client.Room) error {
		for range 2 {
			post := room.PostAs("order-4711-confirmed", "Order 4711 is confirmed.")
			<-post.Done()
			sent, err := post.Result()
			if err != nil {
				return err
			}
			fmt.Println(sent.Seq, sent.Duplicate)
		}
		return nil
	}))
	// Output:
	// 1 false
	// 1 true
}

func ExampleRefusedError() {
	url, stop := serve()
	defer stop()
	_, err := client.Dial(context.Background(), client.Options{
		URL:  url,
		Room: "general",
		User: chat.User{ID: "1", Name: "Juan"},
		// The server knows 200 messages of history at most.
		History: 1000,
	})
	var refused *client.RefusedError
	if errors.As(err, &refused) {
		fmt.Println("not welcome:", refused.Code)
	}
	// Output: not welcome: 4500
}

// What README.md shows is what the examples run.
func TestReadmeIsRun(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	run := flush(string(source))
	blocks := strings.Split(string(readme), "```go\n")[1:]
	if len(blocks) < 8 {
		t.Errorf("README.md has %d examples, want at least 8", len(blocks))
	}
	for _, block := range blocks {
		code, _, closed := strings.Cut(block, "```\n")
		if !closed || !strings.Contains(run, flush(code)) {
			t.Errorf("example_test.go does not run this example of README.md:\n%s", code)
		}
	}
}

// flush returns code without its indentation.
func flush(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		b.WriteString(strings.TrimLeft(line, "\t"))
	}
	return b.String()
}
