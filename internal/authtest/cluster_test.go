package authtest

import (
	"testing"

	"tertulia/internal/oncluster"
)

// Whoever may do something at one node may do it at another, and whoever may
// not, nowhere: rights are lost at once, wherever they are taken away.
func TestOnCluster(t *testing.T) { oncluster.Run(t, nil) }
