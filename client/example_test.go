package client_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

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

// A message is sent, and comes back as everybody in the room gets it.
func Example() {
	url, stop := serve()
	defer stop()
	ctx := context.Background()

	c, err := client.Dial(ctx, url, client.WithUser(chat.User{ID: "1", Name: "Juan"}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	room := c.Room("general")
	if err := room.Subscribe(ctx); err != nil {
		fmt.Println(err)
		return
	}
	sent, err := room.Send(ctx, "¡Hola!") // stored when it returns
	if err != nil {
		fmt.Println(err)
		return
	}
	for event, err := range room.Events(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if m, ok := event.(client.Message); ok {
			fmt.Println(m.Seq == sent.Seq, m.From.Name, m.Content)
			break
		}
	}
	// Output: true Juan ¡Hola!
}

// A bot that answers, in all of its rooms, and goes on after a restart where
// it stopped.
func ExampleWithStore() {
	url, stop := serve()
	defer stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dir, err := os.MkdirTemp("", "tertulia-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	bot, err := client.Dial(ctx, url, client.WithUser(chat.User{ID: "bot", Name: "Bot"}),
		client.WithStore(client.NewFileStore(filepath.Join(dir, "bot.json"))))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bot.Close()
	for _, id := range []chat.RoomID{"a", "b"} {
		if err := bot.Room(id).Subscribe(ctx); err != nil {
			fmt.Println(err)
			return
		}
	}
	ana, err := client.Dial(ctx, url, client.WithUser(chat.User{ID: "2", Name: "Ana"}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ana.Close()
	ana.Room("b").Post("¿Hay alguien?")

	for event, err := range bot.Events(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		m, ok := event.(client.Message)
		if !ok || m.From.ID == "bot" {
			continue
		}
		sent, err := bot.Room(m.Room).Send(ctx, "Aquí estoy, "+m.From.Name)
		fmt.Println(m.Room, sent.Seq, err)
		break
	}
	// Output: b 2 <nil>
}

// A post that nobody waits for: its handle says how far it has come.
func ExampleRoom_Post() {
	url, stop := serve()
	defer stop()
	ctx := context.Background()
	c, err := client.Open(url, client.WithUser(chat.User{ID: "1", Name: "Juan"})) // does not wait for the server
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	post := c.Room("general").Post("Hola")
	empty := c.Room("general").Post(" ")
	_, err = post.Wait(ctx)
	fmt.Println(post.State(), err)
	_, err = empty.Result()
	fmt.Println(empty.State(), err)
	// Output:
	// sent <nil>
	// failed empty_content: The message is empty.
}

// The newest messages, backwards, as many as the program wants.
func ExampleRoom_History() {
	url, stop := serve()
	defer stop()
	ctx := context.Background()
	c, err := client.Dial(ctx, url, client.WithUser(chat.User{ID: "1", Name: "Juan"}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	room := c.Room("general")
	for _, text := range []string{"uno", "dos", "tres"} {
		if _, err := room.Send(ctx, text); err != nil {
			fmt.Println(err)
			return
		}
	}
	for m, err := range room.History(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(m.Seq, m.Content)
		if m.Seq == 2 {
			break
		}
	}
	// Output:
	// 3 tres
	// 2 dos
}
