package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// sentinelEvery is how often the Sentinels are asked who is the master, beside
// what they tell by themselves.
const sentinelEvery = 5 * time.Second

// server is what one URL says.
type server struct {
	addr           string
	tls            bool
	user, password string
	database       int
	masterSet      string
}

// optionOf turns the configuration into rueidis's words.
func optionOf(cfg *Config) (rueidis.ClientOption, error) {
	var option rueidis.ClientOption
	if len(cfg.URLs) == 0 {
		return option, errors.New("redis: no URL")
	}
	if strings.ContainsAny(cfg.Prefix, "{}") {
		return option, errors.New("redis: the prefix has a brace; braces say what shares a slot in a Redis Cluster")
	}
	var first server
	for i, u := range cfg.URLs {
		s, err := parse(u)
		if err != nil {
			return option, fmt.Errorf("redis: URL %d: %w", i+1, err)
		}
		option.InitAddress = append(option.InitAddress, s.addr)
		s.addr = ""
		if i == 0 {
			first = s
		} else if s != first {
			return option, fmt.Errorf("redis: URL %d: only host and port may differ from the first URL's", i+1)
		}
	}
	if len(cfg.URLs) > 1 && first.database != 0 && first.masterSet == "" {
		return option, errors.New("redis: a Redis Cluster has no databases: leave the number out of the URLs")
	}
	option.Username, option.Password, option.SelectDB = first.user, first.password, first.database
	option.Dialer = net.Dialer{Timeout: dialTimeout, KeepAlive: pingEvery}
	option.ConnWriteTimeout = answerTimeout
	option.ReadBufferEachConn, option.WriteBufferEachConn = bufferBytes, bufferBytes
	option.PipelineMultiplex = -1 // one connection, which keeps the order
	option.DisableCache = true
	option.DisableRetry = true
	option.ClientSetInfo = rueidis.DisableClientSetInfo
	var err error
	if option.TLSConfig, err = tlsOf(cfg, first.tls); err != nil {
		return option, err
	}
	if first.masterSet != "" {
		option.Sentinel = rueidis.SentinelOption{
			Dialer: option.Dialer, TLSConfig: option.TLSConfig, MasterSet: first.masterSet, TopologyRefreshInterval: sentinelEvery,
			Username: cfg.SentinelUser, Password: cfg.SentinelPassword,
		}
	}
	return option, nil
}

// parse reads one URL. Its errors have nothing of the URL in them but what is
// wrong.
func parse(text string) (server, error) {
	u, err := url.Parse(text)
	if err != nil {
		return server{}, errors.New("this is no URL; write redis://host:6379") // url's own error shows the password
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" {
		return server{}, errors.New("the URL must begin with redis:// or, for TLS, rediss://")
	}
	if u.Hostname() == "" {
		return server{}, errors.New("the URL has no host")
	}
	port := u.Port()
	if port == "" {
		port = "6379"
	}
	s := server{addr: net.JoinHostPort(u.Hostname(), port), tls: u.Scheme == "rediss", user: u.User.Username()}
	s.password, _ = u.User.Password()
	if s.user != "" && s.password == "" {
		return server{}, errors.New("the URL has a user without a password; a password alone is written redis://:password@host")
	}
	if path := strings.Trim(u.Path, "/"); path != "" {
		if s.database, err = strconv.Atoi(path); err != nil || s.database < 0 {
			return server{}, errors.New("the path of the URL must be the number of a database")
		}
	}
	for key := range u.Query() {
		if key != "master_set" {
			return server{}, fmt.Errorf("the URL has %q; only master_set is known", key)
		}
	}
	s.masterSet = u.Query().Get("master_set")
	if s.masterSet == "" && u.Query().Has("master_set") {
		return server{}, errors.New("master_set has no name; write the one of sentinel monitor in sentinel.conf")
	}
	return s, nil
}

// tlsOf returns how to speak TLS, nil for not at all. The name in the
// certificate must be the host that is connected to.
func tlsOf(cfg *Config, on bool) (*tls.Config, error) {
	if !on {
		if cfg.CAFile != "" {
			return nil, errors.New("redis: there is a CA file, but the URLs do not begin with rediss://")
		}
		return nil, nil
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CAFile == "" {
		return secure, nil
	}
	text, err := os.ReadFile(cfg.CAFile)
	if err != nil {
		return nil, fmt.Errorf("redis: CA file: %w", err)
	}
	secure.RootCAs = x509.NewCertPool()
	if !secure.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("redis: CA file %s: there is no certificate in PEM in it", cfg.CAFile)
	}
	return secure, nil
}
