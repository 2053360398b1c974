package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

var errNotConnected = errors.New("redis: not connected yet")

// run connects, and then looks at the servers until ctx ends.
func (c *Client) run(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for found := false; ; {
		err := errNotConnected
		if !found {
			found, err = c.connect()
		}
		if found {
			err = c.ask(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		c.note(err)
		closeOnce(c.tried)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// closeOnce closes a channel that one goroutine alone closes.
func closeOnce(ch chan struct{}) {
	select {
	case <-ch:
	default:
		close(ch)
	}
}

// connect makes both clients, which from then on find lost servers by
// themselves.
func (c *Client) connect() (bool, error) {
	commands, err := dial(c.option)
	if err != nil {
		return false, err
	}
	listening, err := dial(c.option)
	if err != nil {
		commands.Close()
		return false, err
	}
	c.commands.set(commands)
	c.listening.set(listening)
	close(c.connected)
	return true, nil
}

// dial makes a client that knows what kind of servers it speaks to.
func dial(option rueidis.ClientOption) (rueidis.Client, error) {
	client, err := rueidis.NewClient(option)
	if err != nil {
		if client != nil {
			client.Close()
		}
		return nil, fmt.Errorf("redis: connect: %w", err)
	}
	if isSentinel(client) {
		client.Close()
		return nil, errSentinel
	}
	return client, nil
}

var errSentinel = errors.New("redis: connect: this is a Sentinel; write its URL with ?master_set= and the name of the master that it watches over")

// isSentinel reports whether a client speaks to a Sentinel, which answers PING,
// and nothing else that is asked of a Redis.
func isSentinel(client rueidis.Client) bool {
	if client.Mode() != rueidis.ClientModeStandalone {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	answer, err := client.Do(ctx, client.B().Role().Build()).ToArray() // whoever may not ask is no less connected
	if err != nil || len(answer) == 0 {
		return false
	}
	role, _ := answer[0].ToString()
	return role == "sentinel"
}

// ask has every server say that it is there.
func (c *Client) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	nodes := c.commands.Nodes()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []string
	)
	for addr, node := range nodes {
		wg.Go(func() {
			if err := node.Do(ctx, node.B().Ping().Build()).Error(); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Sprintf("redis: %s: %v", addr, err))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(errs) == 0 {
		return nil
	}
	return errors.New(slices.Min(errs))
}
