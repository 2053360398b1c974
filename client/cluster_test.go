package client_test

import (
	"testing"

	"tertulia/internal/config"
	"tertulia/internal/oncluster"
	"tertulia/internal/services/servicetest"
)

// configsOf returns the configuration of a server or, in a cluster, those of
// its three nodes.
func configsOf(t testing.TB, cfg config.Config) []config.Config {
	t.Helper()
	if !oncluster.Now() {
		return []config.Config{cfg}
	}
	oncluster.Asked(t)
	cfg.Database.URL = config.Secret(servicetest.Database(t))
	cfg.Redis.URLs = []config.Secret{config.Secret("redis://" + servicetest.Redis(t).Addr)}
	cfg.Redis.Prefix = servicetest.Prefix()
	return []config.Config{cfg, cfg, cfg}
}

// What a client promises beside one server it does among several nodes, with
// each of its connections to another one.
func TestOnCluster(t *testing.T) {
	oncluster.Run(t, oncluster.Excuses{
		"it holds the client's side of the protocol, and has no server": {
			"TestBackoffVectors", "TestCloseVectors", "TestErrorVectors", "TestFrameVectors", "TestConversationVectors",
			"TestCursorMovesWithDurableEvents", "TestFaultsOfTheServer", "TestUnknownFramesAreIgnored", "TestPostsOverACut", "TestRefusedForTheMoment",
			"TestOutboxIsBounded", "TestRequestsOverACut", "TestWaits", "TestExpiredCredential", "TestLiveness", "TestOffline", "TestSubscribeMany",
			"TestRemoved", "TestPresence", "TestTyping", "TestTargets",
			"TestRenewal", "TestRenewalTimes", "TestNoRenewal", "TestRenewalFails", "TestRenewalWithTheSameToken", "TestSources",
			"TestReaderInOrder", "TestReaderInAnotherLog", "TestReaderAfterTrimming", "TestReaderFallsBehind", "TestReaderEnds", "TestReaderFrom",
		},
		"it is about what the client keeps on disk and in memory": {
			"TestStores", "TestFileStoreRefusesOtherFiles", "TestPostThatCannotBeKept", "TestOutgoing",
		},
	})
}
