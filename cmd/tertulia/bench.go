//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tertulia/internal/bench"
)

// BenchCmd holds the load scenarios and the flags that they share.
type BenchCmd struct {
	Spawn  bool   `xor:"target" help:"Measure a private server: default settings, a free port, an empty data folder, removed afterwards."`
	Server string `xor:"target" placeholder:"URL" help:"Measure a running server, such as ws://127.0.0.1:8000. It must be on a loopback address."`
	PID    int    `name:"pid" placeholder:"ID" help:"The process of that server, whose processor time and memory are read."`
	JSON   bool   `help:"Write JSON."`

	All       BenchAllCmd       `cmd:"" help:"Every scenario as docs/performance.md has it, with the targets."`
	Idle      BenchIdleCmd      `cmd:"" help:"Memory and processor time of connections that do nothing."`
	Fanout    BenchFanoutCmd    `cmd:"" help:"One large room, one member speaking."`
	Ack       BenchAckCmd       `cmd:"" help:"Many senders, each waiting for its messages to be stored."`
	Rooms     BenchRoomsCmd     `cmd:"" help:"Many small rooms with steady talk."`
	Reconnect BenchReconnectCmd `cmd:"" help:"All clients come back at once."`
	Cluster   BenchClusterCmd   `cmd:"" help:"What PostgreSQL, Redis and a second node cost."`
}

func (BenchCmd) Help() string {
	return `Examples:

    tertulia bench all --spawn
    tertulia bench fanout --spawn --members 200`
}

// phaseFlags are how long a load is kept up.
type phaseFlags struct {
	Warm     time.Duration `default:"1s" help:"Load before the measuring begins."`
	Duration time.Duration `default:"3s" help:"Load while measuring; at most 5m."`
}

func (f phaseFlags) times() bench.Times { return bench.Times{Warm: f.Warm, Measure: f.Duration} }

// Validate is called by the parser.
func (f phaseFlags) Validate() error {
	if f.Warm < 0 || f.Duration <= 0 || f.Warm+f.Duration > maxLoadTime {
		return fmt.Errorf("--warm and --duration come to more than nothing and at most %v", maxLoadTime)
	}
	return nil
}

const (
	maxLoadTime = 5 * time.Minute
	// maxScenarioTime bounds a scenario with two phases of load and its
	// connecting; nothing runs on because a server hangs.
	maxScenarioTime = 2*maxLoadTime + 3*time.Minute
)

// BenchIdleCmd is bench.Idle.
type BenchIdleCmd struct {
	Connections int           `default:"10000" help:"Connections to open."`
	RoomsOf     int           `default:"10" help:"Members of each room."`
	Settle      time.Duration `default:"10s" help:"How long the server is left alone before its memory is read."`
}

func (BenchIdleCmd) Help() string {
	return `Opens connections, leaves the server alone, and reads its memory. Then every member posts once, and it is read again.

Examples:

    tertulia bench idle --spawn
    tertulia bench idle --spawn --connections 1000 --settle 2s`
}

func (c *BenchIdleCmd) Run(ctx context.Context, io IO, b *BenchCmd) error {
	return b.run(ctx, io, c.scenario())
}

func (c *BenchIdleCmd) scenario() bench.Scenario {
	return bench.Idle{Connections: c.Connections, RoomsOf: c.RoomsOf, Settle: min(c.Settle, maxLoadTime)}
}

// BenchFanoutCmd is bench.Fanout.
type BenchFanoutCmd struct {
	Members  int     `default:"1000" help:"Members of the room, the speaker included."`
	Inflight int     `default:"32" help:"Messages under way: the next is posted when every member has the oldest."`
	Size     int     `default:"64" help:"Bytes of a message."`
	Rate     float64 `default:"20" help:"Messages a second of the second phase. 0 leaves it out."`
	phaseFlags
}

func (BenchFanoutCmd) Help() string {
	return `One member posts, all get it. A message counts when every member has it. The second phase shows what a delivery costs where nothing waits that could be written together with it.

Examples:

    tertulia bench fanout --spawn
    tertulia bench fanout --server ws://127.0.0.1:8000 --pid 4711 --members 200`
}

func (c *BenchFanoutCmd) Run(ctx context.Context, io IO, b *BenchCmd) error {
	return b.run(ctx, io, c.scenario())
}

func (c *BenchFanoutCmd) scenario() bench.Scenario {
	return bench.Fanout{Members: c.Members, Inflight: c.Inflight, Size: c.Size, Rate: c.Rate, Times: c.times()}
}

// BenchAckCmd is bench.Ack.
type BenchAckCmd struct {
	Senders  int     `default:"100" help:"Senders, each in a room of its own."`
	Inflight int     `default:"16" help:"Messages of a sender that are not yet acknowledged."`
	Size     int     `default:"64" help:"Bytes of a message."`
	Rate     float64 `default:"5000" help:"Messages a second, over all senders, of the second phase. 0 leaves it out."`
	phaseFlags
}

func (BenchAckCmd) Help() string {
	return `A message is acknowledged when it is on stable storage. In the second phase latency counts from the instant at which a message was due, so that a server that falls behind cannot hide it.

Examples:

    tertulia bench ack --spawn
    tertulia bench ack --spawn --senders 10 --inflight 1 --rate 0`
}

func (c *BenchAckCmd) Run(ctx context.Context, io IO, b *BenchCmd) error {
	return b.run(ctx, io, c.scenario())
}

func (c *BenchAckCmd) scenario() bench.Scenario {
	return bench.Ack{Senders: c.Senders, Inflight: c.Inflight, Size: c.Size, Rate: c.Rate, Times: c.times()}
}

// BenchRoomsCmd is bench.Rooms.
type BenchRoomsCmd struct {
	Rooms   int     `default:"500" help:"Rooms."`
	Members int     `default:"10" help:"Members of each room."`
	Rate    float64 `default:"2000" help:"Messages a second, over all rooms."`
	Size    int     `default:"64" help:"Bytes of a message."`
	phaseFlags
}

func (BenchRoomsCmd) Help() string {
	return `One member of each room posts, at even intervals over all rooms. A message counts when every member of its room has it.

Examples:

    tertulia bench rooms --spawn
    tertulia bench rooms --spawn --rooms 50 --rate 500`
}

func (c *BenchRoomsCmd) Run(ctx context.Context, io IO, b *BenchCmd) error {
	return b.run(ctx, io, c.scenario())
}

func (c *BenchRoomsCmd) scenario() bench.Scenario {
	return bench.Rooms{Rooms: c.Rooms, Members: c.Members, Rate: c.Rate, Size: c.Size, Times: c.times()}
}

// BenchReconnectCmd is bench.Reconnect.
type BenchReconnectCmd struct {
	Clients int `default:"5000" help:"Clients, spread over the rooms."`
	Rooms   int `default:"500" help:"Rooms."`
	History int `default:"50" help:"Messages that each client reads when it is back; at most 64."`
	Size    int `default:"64" help:"Bytes of a message."`
}

func (BenchReconnectCmd) Help() string {
	return `Fills the rooms, cuts all clients off without a word, and has all of them come back at once and read the history.

Examples:

    tertulia bench reconnect --spawn
    tertulia bench reconnect --spawn --clients 500 --rooms 50`
}

func (c *BenchReconnectCmd) Run(ctx context.Context, io IO, b *BenchCmd) error {
	return b.run(ctx, io, c.scenario())
}

func (c *BenchReconnectCmd) scenario() bench.Scenario {
	return bench.Reconnect{Clients: c.Clients, Rooms: c.Rooms, History: c.History, Size: c.Size}
}

// BenchAllCmd is bench.Published.
type BenchAllCmd struct{}

func (BenchAllCmd) Help() string {
	return `Runs every scenario with the settings of docs/performance.md and puts the targets beside what was measured. A target that is missed does not make the command fail: times depend on the machine.

Examples:

    tertulia bench all --spawn
    tertulia bench all --spawn --json > figures.json`
}

func (c *BenchAllCmd) Run(ctx context.Context, io IO, b *BenchCmd) error {
	return b.run(ctx, io, bench.Published()...)
}

// BenchClusterCmd is bench.Clustered.
type BenchClusterCmd struct {
	Stage string `enum:"all,postgres,redis,nodes,restart" default:"all" help:"What is measured: one node on PostgreSQL, the same with Redis, two nodes, a rolling restart of three, or all of it."`
}

func (BenchClusterCmd) Help() string {
	return `Starts private servers on a private PostgreSQL and Redis, which must be installed, and measures storing without and with Redis, what goes between two nodes, and a rolling restart of three.

Examples:

    tertulia bench cluster --spawn
    tertulia bench cluster --spawn --stage restart
    tertulia bench cluster --spawn --json > figures.json`
}

func (c *BenchClusterCmd) Run(ctx context.Context, io IO, b *BenchCmd) error {
	if !b.Spawn {
		return errorWithHint(exitUsage, "tertulia bench cluster --spawn", "a cluster is measured on servers of its own: --spawn")
	}
	out, err := b.begin(io)
	if err != nil {
		return err
	}
	for _, stage := range bench.Clustered() {
		if c.Stage != "all" && c.Stage != stage.Name {
			continue
		}
		for _, s := range stage.Scenarios {
			report, err := measureCluster(ctx, stage.Setup, s)
			if err != nil {
				return err
			}
			if err := out.add(report); err != nil {
				return err
			}
		}
	}
	return out.end()
}

func measureCluster(ctx context.Context, setup bench.Setup, s bench.Scenario) (report bench.Report, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, maxScenarioTime, errOverdue)
	defer cancel()
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	cluster, err := bench.SpawnCluster(ctx, program, setup)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	report, err = s.Run(ctx, cluster.Target)
	return report.On(setup), err
}

// run measures the scenarios one after another, each on a server of its own
// if servers are spawned.
func (b *BenchCmd) run(ctx context.Context, io IO, scenarios ...bench.Scenario) error {
	if !b.Spawn && (b.Server == "" || b.PID == 0) {
		return errorWithHint(exitUsage, "tertulia bench all --spawn", "say which server to measure: --spawn, or --server and --pid")
	}
	out, err := b.begin(io)
	if err != nil {
		return err
	}
	for _, s := range scenarios {
		report, err := b.measure(ctx, s)
		if err != nil {
			return err
		}
		if err := out.add(report); err != nil {
			return err
		}
	}
	return out.end()
}

// output writes reports: for people as they come, as JSON all at the end.
type output struct {
	to   io.Writer
	json bool
	all  bench.Report
}

// begin says on what the figures that follow were taken.
func (b *BenchCmd) begin(io IO) (*output, error) {
	return &output{to: io.Out, json: b.JSON}, b.writeSetting(io)
}

func (o *output) add(r bench.Report) error {
	o.all = append(o.all, r...)
	if o.json {
		return nil
	}
	if err := r.WriteTable(o.to); err != nil {
		return err
	}
	_, err := fmt.Fprintln(o.to)
	return err
}

func (o *output) end() error {
	if !o.json {
		return nil
	}
	return json.MarshalWrite(o.to, o.all, jsontext.WithIndent("  "))
}

// writeSetting says on what the figures that follow were taken.
func (b *BenchCmd) writeSetting(io IO) error {
	if b.JSON {
		return nil
	}
	server := "server at " + b.Server
	if b.Spawn {
		disk, err := bench.DataDisk()
		if err != nil {
			return err
		}
		server = "servers with default settings, data on " + disk
	}
	_, err := fmt.Fprintf(io.Out, "%s/%s, %d CPUs, %s\n\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), server)
	return err
}

var errOverdue = errors.New("the scenario has not ended in time")

func (b *BenchCmd) measure(ctx context.Context, s bench.Scenario) (report bench.Report, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, maxScenarioTime, errOverdue)
	defer cancel()
	if !b.Spawn {
		target, err := bench.NewTarget(b.Server, b.PID)
		if err != nil {
			return nil, errorWithHint(exitUsage, "the server's own log names its address; its process id is in `pidof tertulia`", "%w", err)
		}
		return s.Run(ctx, target)
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	server, err := bench.Spawn(ctx, program)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	return s.Run(ctx, server.Target)
}
