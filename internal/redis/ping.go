package redis

import "context"

// Ping has every server say now that it is there. The error is in words for an
// operator.
func (c *Client) Ping(ctx context.Context) error {
	if _, err := c.Up(); err != nil {
		return err
	}
	return c.ask(ctx)
}
