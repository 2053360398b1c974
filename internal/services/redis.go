package services

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Redis is one Redis server that keeps nothing on disk.
type Redis struct {
	Process

	password string // with which Command comes; "" for none
}

// StartRedis starts a server that works in dir, which is made if missing.
// settings are lines of redis.conf such as "requirepass secret".
func StartRedis(ctx context.Context, dir string, settings ...string) (*Redis, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	return startRedis(ctx, dir, addr, append([]string{"port " + port}, settings...))
}

// StartRedisTLS is StartRedis with a server that speaks TLS and nothing else.
// cert and key are files of PEM; clients need no certificate.
func StartRedisTLS(ctx context.Context, dir, cert, key string, settings ...string) (*Redis, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	return startRedis(ctx, dir, addr, append([]string{"port 0", "tls-port " + port, "tls-cert-file " + cert, "tls-key-file " + key,
		"tls-ca-cert-file " + cert, "tls-auth-clients no"}, settings...))
}

// startRedis starts a server; args stand behind the name of its file.
func startRedis(ctx context.Context, dir, addr string, settings []string, args ...string) (*Redis, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, missing("redis-server", "redis-server")
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lines := append([]string{"bind 127.0.0.1", "dir " + dir, "daemonize no"}, settings...)
	if len(args) == 0 {
		lines = append([]string{`save ""`, "appendonly no"}, lines...)
	}
	path := filepath.Join(dir, "redis.conf")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	r := &Redis{password: passwordIn(settings), Process: Process{
		Addr: addr,
		command: func() *exec.Cmd {
			cmd := exec.Command(program, append([]string{path}, args...)...)
			cmd.Dir = dir
			return cmd
		},
		ready: func(ctx context.Context) error {
			nc, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
			if err != nil {
				return err
			}
			return nc.Close()
		},
	}}
	return r, r.start(ctx)
}

// passwordIn returns what requirepass is set to, or "".
func passwordIn(settings []string) (password string) {
	for _, line := range settings {
		if word, ok := strings.CutPrefix(line, "requirepass "); ok {
			password = word
		}
	}
	return password
}

// Close ends the server in an orderly way.
func (r *Redis) Close() { r.end(syscall.SIGTERM) }

// clusterSlots is the number of hash slots of every Redis Cluster.
const clusterSlots = 16384

// StartRedisCluster starts a Redis Cluster of three masters without replicas
// and waits until each of them says that the cluster is whole. The servers
// need no password.
func StartRedisCluster(ctx context.Context, dir string, settings ...string) ([]*Redis, error) {
	const masters = 3
	var links [masters]string
	var nodes []*Redis
	stop := func(err error) ([]*Redis, error) {
		for _, n := range nodes {
			n.Close()
		}
		return nil, err
	}
	for i := range masters {
		n, link, err := startMember(ctx, filepath.Join(dir, fmt.Sprint(i)), settings)
		if err != nil {
			return stop(err)
		}
		nodes, links[i] = append(nodes, n), link
	}
	for i, n := range nodes {
		_, port, _ := net.SplitHostPort(n.Addr)
		from, to := i*clusterSlots/masters, (i+1)*clusterSlots/masters-1
		if _, err := n.Command(ctx, fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", from, to)); err != nil {
			return stop(err)
		}
		if i == 0 {
			continue
		}
		if _, err := nodes[0].Command(ctx, "CLUSTER MEET 127.0.0.1 "+port+" "+links[i]); err != nil {
			return stop(err)
		}
	}
	for _, n := range nodes {
		if err := n.awaitCluster(ctx, masters); err != nil {
			return stop(err)
		}
	}
	return nodes, nil
}

// startMember starts a server that may become part of a Redis Cluster; link is
// the port between it and the others.
func startMember(ctx context.Context, dir string, settings []string) (n *Redis, link string, err error) {
	addr, err := FreeAddr() // by default the port and 10,000, which may be none
	if err != nil {
		return nil, "", err
	}
	_, link, _ = net.SplitHostPort(addr)
	// A failed master takes its own slots with it and no others.
	lines := append([]string{"cluster-enabled yes", "cluster-port " + link, "cluster-node-timeout 2000", "cluster-require-full-coverage no"}, settings...)
	n, err = StartRedis(ctx, dir, lines...)
	return n, link, err
}

// StartRedisReplica adds a replica of one master to a Redis Cluster and waits
// until it would take its place.
func StartRedisReplica(ctx context.Context, dir string, masters []*Redis, of *Redis, settings ...string) (*Redis, error) {
	id, err := of.Command(ctx, "CLUSTER MYID")
	if err != nil {
		return nil, err
	}
	n, link, err := startMember(ctx, dir, settings)
	if err != nil {
		return nil, err
	}
	if err := n.replicate(ctx, link, masters, of, strings.TrimSpace(id)); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// replicate joins the cluster as a replica of the master with that id, which
// all others have to hear of too.
func (r *Redis) replicate(ctx context.Context, link string, masters []*Redis, of *Redis, id string) error {
	_, port, _ := net.SplitHostPort(r.Addr)
	if _, err := of.Command(ctx, "CLUSTER MEET 127.0.0.1 "+port+" "+link); err != nil {
		return err
	}
	if err := r.awaitCluster(ctx, len(masters)); err != nil {
		return err
	}
	if _, err := r.Command(ctx, "CLUSTER REPLICATE "+id); err != nil {
		return err
	}
	if err := r.await(ctx, "INFO replication", "role:slave", "master_link_status:up"); err != nil {
		return err
	}
	for _, m := range masters {
		if err := m.await(ctx, "CLUSTER NODES", "slave "+id); err != nil {
			return err
		}
	}
	return nil
}

// awaitCluster waits until the node knows all masters and their slots.
func (r *Redis) awaitCluster(ctx context.Context, masters int) error {
	return r.await(ctx, "CLUSTER INFO", "cluster_state:ok", fmt.Sprintf("cluster_size:%d\r\n", masters), fmt.Sprintf("cluster_slots_ok:%d\r\n", clusterSlots))
}

// Command sends one inline command over a connection of its own and returns the
// answer, which is a simple or a bulk string. It comes with the password that
// the server was started with.
func (r *Redis) Command(ctx context.Context, command string) (string, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.Addr)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
	login := ""
	if r.password != "" {
		login = "AUTH " + r.password + "\r\n"
	}
	if _, err := fmt.Fprintf(nc, "%s%s\r\n", login, command); err != nil {
		return "", err
	}
	in := bufio.NewReader(nc)
	if r.password != "" {
		if head, err := in.ReadString('\n'); err != nil || head != "+OK\r\n" {
			return "", fmt.Errorf("AUTH: %q, %w", head, err)
		}
	}
	head, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	if head[0] == '-' {
		return "", fmt.Errorf("%s: %s", command, strings.TrimSpace(head))
	}
	var size int
	if _, err := fmt.Sscanf(head, "$%d", &size); err != nil || size < 0 {
		return head, nil // a simple string, or the bulk string that is none
	}
	text := make([]byte, size)
	for n := 0; n < size; {
		m, err := in.Read(text[n:])
		if err != nil {
			return "", err
		}
		n += m
	}
	return string(text), nil
}
