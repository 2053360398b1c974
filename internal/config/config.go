// Package config is the server's configuration: one struct, and everything
// that is derived from it.
//
// The tags of [Config] are the only place where a key is written down. From
// them come the flags of the command line, the TERTULIA_ variables, the keys
// of the TOML file, the file that `tertulia config init` writes and the table
// in docs/operations.md. A value is taken from the flags, else from the
// environment, else from the file, else it is the default; whatever its
// source, it is read by the same parser and judged by the same sentence.
package config

import (
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"tertulia/chat"
	"tertulia/internal/limit"
)

// Config is the whole configuration. [Load] returns it valid.
//
// Tags: key is the name in the file, from which the flag and the variable
// follow ([Key.Flag], [Key.Env]); default is in the text form of a variable;
// min and max bound numbers and durations, oneof lists the words allowed. The
// order here is the order of the file, so plain keys stand before sections.
type Config struct {
	Listen  string   `key:"listen" default:"127.0.0.1:8000" help:"Address and port to listen on. Port 0 takes a free one."`
	DataDir string   `key:"data_dir" default:"./tertulia_data" help:"Folder that holds the messages, unless database.url is set. It is made if missing, readable by its owner only."`
	Origins []string `key:"origins" default:"" help:"Web origins, such as https://chat.example.org, whose pages may connect besides the server's own. A server in open mode that lets nobody else in takes every page."`

	TrustedProxies []netip.Prefix `key:"trusted_proxies" default:"" help:"Addresses or networks, such as 10.0.0.0/8, of proxies that are believed when they say for whom they ask (X-Forwarded-For, -Proto and -Host, or Forwarded)."`

	Database Database
	Redis    Redis
	TLS      TLS
	Auth     Auth
	Rooms    Rooms
	History  History
	WS       WS
	Presence Presence
	Limits   Limits
	Shutdown Shutdown
	Log      Log
	Metrics  Metrics
}

// Database says where the messages are, if not in a folder of this machine.
type Database struct {
	URL    Secret `key:"database.url" default:"" help:"The PostgreSQL database that holds the messages, such as postgres://tertulia:PASSWORD@db.example/tertulia, instead of the folder data_dir. Better in a file than here: TERTULIA_DATABASE_URL_FILE names it."`
	Schema string `key:"database.schema" default:"tertulia" help:"The schema in the database that is this server's. Several installations may share a database."`

	Connections         int  `key:"database.connections" default:"8" min:"1" max:"1000" help:"Reads that the database does for this node at one time, each over a connection of its own. The writers have theirs beside them."`
	Writers             int  `key:"database.writers" default:"4" min:"1" max:"16" help:"Batches of messages that this node stores at one time, each over a connection of its own. Two more are for whatever else is written."`
	AllowWeakDurability bool `key:"database.allow_weak_durability" default:"false" help:"Start on a database that may forget what it has stored if it crashes (fsync, full_page_writes or synchronous_commit off)."`
}

// Shared reports whether the messages are in a database, which other nodes
// may use too.
func (d *Database) Shared() bool { return d.URL != "" }

// Redis says how the nodes on one database hear of each other at once.
type Redis struct {
	URLs             []Secret `key:"redis.urls" default:"" help:"The Redis between the nodes that share a database, such as redis://USER:PASSWORD@redis.example:6379, or rediss:// for TLS; several for the nodes of a Redis Cluster, or, each with ?master_set=NAME, for the Sentinels of the master of that name. Needed for more than one node. Better in a file than here: TERTULIA_REDIS_URLS_FILE names it."`
	SentinelUser     string   `key:"redis.sentinel_user" default:"" help:"The user as whom nodes come to the Sentinels that redis.urls names, if these want one."`
	SentinelPassword Secret   `key:"redis.sentinel_password" default:"" help:"The password of the Sentinels, if they have one; the one in redis.urls is the master's. Better in a file than here: TERTULIA_REDIS_SENTINEL_PASSWORD_FILE names it."`

	Prefix  string `key:"redis.prefix" default:"tertulia:" help:"What all keys and channels in Redis begin with. The nodes of one installation have the same one, and no other installation has."`
	Content bool   `key:"redis.content" default:"true" help:"Send messages to the other nodes through Redis, and keep the newest there. false keeps what users write out of Redis: the other nodes are told that there is something, and read it in the database."`
	CAFile  string `key:"redis.ca_file" default:"" help:"PEM file of who vouches for the certificates of Redis (rediss://). Empty is whom the system trusts."`
}

// TLS says whether the server speaks TLS itself, and as whom.
type TLS struct {
	Cert string `key:"tls.cert" default:"" help:"File with the certificate and those that lead to its root, in PEM. With it the server speaks https and wss only. It is read again when it changes."`
	Key  string `key:"tls.key" default:"" help:"File with the private key of tls.cert, in PEM. It is read again when it changes."`
}

// On reports whether the server speaks TLS.
func (t TLS) On() bool { return t.Cert != "" }

// Auth says who is believed to be whom.
type Auth struct {
	Mode                  string `key:"auth.mode" default:"open" oneof:"open,token" help:"How users are known. open believes the user_id and username in the URL; token asks for a token."`
	AllowOpenOnAnyAddress bool   `key:"auth.allow_open_on_any_address" default:"false" help:"Serve in open mode on an address that others can reach too. Whoever reaches it can speak under any name."`
	Issuer
	ServiceKeys []Secret `key:"auth.service_keys" default:"" help:"Keys of 32 characters or more with which an application's back end may do everything, in the name of any user. Better in a file than here: TERTULIA_AUTH_SERVICE_KEYS_FILE names it."`

	// Issuers are those of the sections [[auth.issuers]], beside the one above;
	// each has the keys of an Issuer. See [Auth.AllIssuers].
	Issuers []Issuer
}

// Issuer is somebody whose tokens are taken.
type Issuer struct {
	HS256Secret Secret        `key:"auth.hs256_secret" default:"" help:"The secret of 32 bytes or more that tokens are signed with by HS256. Better in a file than here: TERTULIA_AUTH_HS256_SECRET_FILE names it."`
	PublicKeys  []string      `key:"auth.public_keys" default:"" help:"PEM files of the public keys that tokens are signed with by RS256, ES256 or EdDSA."`
	JWKSURL     string        `key:"auth.jwks_url" default:"" help:"Where the issuer of the tokens publishes its keys, https or on this machine."`
	Algorithms  []string      `key:"auth.algorithms" default:"" help:"Algorithms that tokens may be signed with, of HS256, RS256, ES256, EdDSA. Empty allows those that fit the keys."`
	Name        string        `key:"auth.issuer" default:"" help:"What the iss of a token must be. Empty takes any, if there is one issuer only."`
	Audience    []string      `key:"auth.audience" default:"" help:"What the aud of a token must have one of. Empty takes any."`
	MaxLifetime time.Duration `key:"auth.max_lifetime" default:"24h" min:"60s" max:"24h" help:"The longest time that a token may be good for."`
	UserPrefix  string        `key:"auth.user_prefix" default:"" help:"What stands before the sub of a token in the user id, so that the users of several issuers have different ids."`
}

// The values of [Auth].Mode.
const (
	AuthOpen  = "open"
	AuthToken = "token"
)

// Rooms says which rooms there are.
type Rooms struct {
	AutoCreate bool          `key:"rooms.auto_create" default:"true" help:"Let the first message to an unknown room make it."`
	Initial    []chat.RoomID `key:"rooms.initial" default:"1" help:"Rooms that exist without having been made."`
}

// History says what a client is given of the past, and how much of it there
// is.
type History struct {
	OnConnect int `key:"history.on_connect" default:"50" min:"0" max:"200" help:"Messages of the past that a client gets when it connects. 0 sends none."`
	// KeepAge and KeepEvents hold for rooms that have no bounds of their own.
	KeepAge    time.Duration `key:"history.keep_age" default:"0s" min:"0s" max:"876000h" help:"How long the events of a room are kept, in whole seconds, unless the room says otherwise. What is older is deleted for good. 0s keeps them for ever."`
	KeepEvents int           `key:"history.keep_events" default:"0" min:"0" max:"1000000000" help:"How many events of a room are kept, unless the room says otherwise. The oldest beyond that are deleted for good. 0 keeps all."`
}

// WS holds the times of a WebSocket connection.
type WS struct {
	PingInterval time.Duration `key:"ws.ping_interval" default:"25s" min:"1s" max:"10m" help:"How often a connection is pinged. Keep it below the idle limit of any proxy in between, often 60s."`
	IdleTimeout  time.Duration `key:"ws.idle_timeout" default:"60s" min:"2s" max:"1h" help:"A connection from which nothing came for this long, not even the answer to a ping, is closed. Longer than ws.ping_interval."`
	WriteTimeout time.Duration `key:"ws.write_timeout" default:"10s" min:"100ms" max:"5m" help:"A connection for which bytes wait is closed if it takes less than 16 KiB of them within this time."`
}

// Presence says when somebody counts as gone.
type Presence struct {
	Grace time.Duration `key:"presence.grace" default:"10s" min:"0s" max:"10m" help:"How long a user whose connection broke still counts as present. 0s says user_left at once."`
}

// Limits bounds what clients may take. Limits on single frames are part of
// the protocol and not configurable. [Config.Local] says when the limits on
// single users and addresses do not apply.
type Limits struct {
	Connections           int        `key:"limits.connections" default:"0" min:"0" max:"10000000" help:"Connections at one time. 0 sets no limit beyond the number of files the system lets the server open."`
	ConnectionsPerUser    int        `key:"limits.connections_per_user" default:"50" min:"0" max:"10000000" help:"Connections of one user at one time. 0 sets no limit."`
	ConnectionsPerAddress int        `key:"limits.connections_per_address" default:"1000" min:"0" max:"10000000" help:"Connections from one address (IPv6: one /64) at one time. Raise it if more users than that come through one address. 0 sets no limit."`
	Handshakes            limit.Rate `key:"limits.handshakes" default:"5/s burst 20" help:"Connections that one address (IPv6: one /64) may begin."`
	Commands              limit.Rate `key:"limits.commands" default:"50/s burst 100" help:"Commands on one connection. A page of history counts as 5."`
	Posts                 limit.Rate `key:"limits.posts" default:"10/s burst 30" help:"Messages that one user may post."`
	RoomPosts             limit.Rate `key:"limits.room_posts" default:"100/s" help:"Messages that all users together may post in one room."`
	RoomsMade             limit.Rate `key:"limits.rooms_made" default:"20/h" help:"Rooms that one user may make."`
	Requests              limit.Rate `key:"limits.requests" default:"20/s burst 60" help:"Requests of one user to the API over HTTP."`
	AnonymousRequests     limit.Rate `key:"limits.anonymous_requests" default:"20/s burst 60" help:"Requests to the API over HTTP from one address (IPv6: one /64) that come from no known user."`
}

// Shutdown says how the server ends.
type Shutdown struct {
	Drain time.Duration `key:"shutdown.drain" default:"20s" min:"0s" max:"10m" help:"How long the server takes at most to send its clients away when it is asked to stop."`
}

// Log says what is logged, and how it is written.
type Log struct {
	Level  slog.Level `key:"log.level" default:"info" oneof:"debug,info,warn,error" help:"The least important lines that are logged. The text of messages is never logged."`
	Format string     `key:"log.format" default:"auto" oneof:"auto,text,json" help:"How log lines are written. auto writes text on a terminal and JSON otherwise."`
}

// The values of [Log].Format.
const (
	LogAuto = "auto"
	LogText = "text"
	LogJSON = "json"
)

// Metrics says who may see /metrics.
type Metrics struct {
	Access string `key:"metrics.access" default:"loopback" oneof:"loopback,token,off" help:"Who may read /metrics. loopback: programs on this machine, unless through a proxy that says so. token: whoever has metrics.token. off: nobody."`
	Token  Secret `key:"metrics.token" default:"" help:"What the reader of /metrics sends as a bearer token, at least 16 bytes. Better given as a file, TERTULIA_METRICS_TOKEN_FILE."`
}

// The values of [Metrics].Access.
const (
	MetricsLoopback = "loopback"
	MetricsToken    = "token"
	MetricsOff      = "off"
)

// minTokenBytes keeps a token from being guessed.
const minTokenBytes = 16

// Default returns the configuration in which every key has its default.
func Default() Config {
	var c Config
	for _, k := range keys {
		if err := k.set(&c, k.defaultItems()); err != nil {
			panic("config: default of " + k.Name + ": " + err.Error()) // the tags above are wrong; no input leads here
		}
	}
	return c
}

// Local reports whether everybody who is served sits at this machine: users
// are believed, and nobody else is let in. Then every page may connect, and
// no user is limited.
func (c *Config) Local() bool {
	return c.Auth.Mode == AuthOpen && !c.Auth.AllowOpenOnAnyAddress && c.ListensOnLoopback()
}

// ListensOnLoopback reports whether only this machine can reach c.Listen. A
// host name other than localhost counts as reachable by others.
func (c *Config) ListensOnLoopback() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	return err == nil && isLoopback(host)
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
