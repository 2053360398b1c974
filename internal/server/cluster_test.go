package server

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"tertulia/internal/config"
	"tertulia/internal/oncluster"
	"tertulia/internal/services/servicetest"
)

// places has what stands for the folders of tests in a cluster.
var places sync.Map // string to place

type place struct{ database, redis, prefix string }

// nodesOf returns the configurations of the nodes of a server. In a cluster
// they are three, and a folder is a database and a prefix in Redis: who starts
// on it again finds what was there.
func nodesOf(t *testing.T, cfg config.Config) []config.Config {
	t.Helper()
	if !oncluster.Now() {
		return []config.Config{cfg}
	}
	oncluster.Asked(t)
	known, ok := places.Load(cfg.DataDir)
	if !ok {
		known = place{servicetest.Database(t), "redis://" + servicetest.Redis(t).Addr, servicetest.Prefix()}
		places.Store(cfg.DataDir, known)
	}
	at := known.(place)
	all := make([]config.Config, 3)
	for i := range all {
		all[i] = cfg
		all[i].DataDir = filepath.Join(cfg.DataDir, fmt.Sprint("node", i+1))
		all[i].Database.URL, all[i].Redis.URLs, all[i].Redis.Prefix = config.Secret(at.database), []config.Secret{config.Secret(at.redis)}, at.prefix
	}
	return all
}

// What a server is to clients it is as several nodes too, with each client at
// another one.
func TestOnCluster(t *testing.T) {
	oncluster.Run(t, oncluster.Excuses{
		"it starts no server":                                                 {"TestLimitsAreForOthers", "TestGrace"},
		"it is about a node on PostgreSQL already":                            {"TestOnPostgres", "TestOnRedis", "TestNodeThatCannotStart", "TestRedisFaults", "TestSentinel", "TestNodesThatCannotReadEachOther", "TestContentStaysOutOfRedis", "TestReplicaTakesOverInRedisCluster"},
		"a node counts what happens at it, and whoever collects adds up":      {"TestMetrics", "TestMetricsOff"},
		"handshakes are limited by each node":                                 {"TestHandshakesAreLimited"},
		"each node answers this from what it was built with, and asks nobody": {"TestDocumentsAreServed", "TestAnswersHaveTheHeadersForBrowsers", "TestRoutes"},
		"certificates are each node's own":                                    {"TestTLS", "TestCertificateIsReplaced", "TestStrictTransportSecurity", "TestUnusableCertificate"},
		"a node drains by itself; package crashtest restarts them one after the other": {
			"TestDrain", "TestDrainIsLimited",
		},
		"the folder, and the store that breaks, are the embedded one's": {"TestSecondServerOnOneFolder", "TestPortTaken", "TestBrokenStoreEndsTheServer"},
		"nginx stands there before one server, or a page knows one origin; before several it does in packages cluster and clustertest": {
			"TestBehindNginx", "TestPageFollowsAStream",
		},
	})
}
