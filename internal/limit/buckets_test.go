package limit

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rate := Rate{10, time.Second, 3}
		var b Bucket
		want := func(n int, wantOK bool, wantWait time.Duration) {
			t.Helper()
			if ok, wait := b.Allow(rate, n); ok != wantOK || wait != wantWait {
				t.Errorf("Allow(%d) = %v, %v, want %v, %v", n, ok, wait, wantOK, wantWait)
			}
		}
		for range 3 {
			want(1, true, 0)
		}
		want(1, false, 100*time.Millisecond)
		want(2, false, 200*time.Millisecond)
		time.Sleep(100*time.Millisecond - 1)
		want(1, false, 1)
		time.Sleep(1)
		want(1, true, 0) // exactly when it was said
		want(1, false, 100*time.Millisecond)
		time.Sleep(time.Hour)
		want(99, true, 0) // as much as the burst, and a pause saves up no more
		want(1, false, 100*time.Millisecond)
		rate = Rate{}
		want(1, true, 0)
	})
}

// Whatever is asked for when, no more is given in a time than the rate and
// one burst allow, and whoever waits as told is let through.
func TestBucketsKeepTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBuckets[string](Rate{50, time.Second, 100})
		began, given := time.Now(), 0
		for i := range 20_000 {
			ok, wait := b.Allow("ana", 1)
			if ok {
				given++
			} else if i%7 == 0 {
				time.Sleep(wait)
				if ok, _ := b.Allow("ana", 1); !ok {
					t.Fatalf("refused after the wait of %v that it had named", wait)
				}
				given++
			}
			time.Sleep(time.Millisecond)
		}
		if most := 100 + int(time.Since(began).Seconds()*50) + 1; given > most || given < most-10 {
			t.Errorf("%d were given in %v, want about %d and no more", given, time.Since(began), most)
		}
		if ok, _ := b.Allow("bob", 100); !ok {
			t.Error("another key is limited too")
		}
	})
}

func TestFullBucketsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBuckets[int](Rate{1, time.Second, 10})
		for key := range 10_000 {
			b.Allow(key, 1)
		}
		b.Allow(-1, 10)
		if got := b.Len(); got != 10_001 {
			t.Fatalf("%d buckets, want %d", got, 10_001)
		}
		time.Sleep(2 * time.Second) // all are full but the last
		for key := range 1000 {
			b.Allow(20_000+key, 1) // reaches every shard
		}
		if got := b.Len(); got != 1001 {
			t.Errorf("%d buckets, want the 1000 new ones and the one in use", got)
		}
		if ok, _ := b.Allow(-1, 3); ok {
			t.Error("the bucket in use was forgotten")
		}
	})
}

// However many keys come, what is remembered is bounded; keys that find no
// place are limited together, and those that have one are not.
func TestBucketsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBuckets[int](Rate{10, time.Hour, 10})
		b.Allow(-1, 1)
		const crowd = 2 * MaxBuckets
		given := 0
		for key := range crowd {
			if ok, _ := b.Allow(key, 1); ok {
				given++
			}
		}
		if got := b.Len(); got != MaxBuckets {
			t.Errorf("%d buckets, want %d", got, MaxBuckets)
		}
		if want := MaxBuckets - 1 + shards*10; given != want {
			t.Errorf("%d of %d keys were let through, want %d", given, crowd, want)
		}
		if ok, _ := b.Allow(-1, 9); !ok {
			t.Error("a key that was there before is limited by the others")
		}
		time.Sleep(time.Hour)
		if ok, _ := b.Allow(crowd, 10); !ok {
			t.Error("a new key finds no place after all the others are forgotten")
		}
	})
}

func TestBucketsTogether(t *testing.T) {
	b := NewBuckets[string](Rate{1, time.Hour, 100})
	var group sync.WaitGroup
	var mu sync.Mutex
	given := 0
	for range 8 {
		group.Go(func() {
			for range 50 {
				if ok, _ := b.Allow("ana", 1); ok {
					mu.Lock()
					given++
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	if given != 100 {
		t.Errorf("%d were given to all together, want 100", given)
	}
}

func TestPlaces(t *testing.T) {
	p := NewPlaces[string](2)
	a, ok1 := p.Take("ana")
	_, ok2 := p.Take("ana")
	if !ok1 || !ok2 {
		t.Fatal("the places of ana are not given")
	}
	if _, ok := p.Take("ana"); ok {
		t.Error("ana has a third place of two")
	}
	bob, ok := p.Take("bob")
	if !ok {
		t.Error("bob has no place")
	}
	p.GiveBack(a)
	p.GiveBack(0) // none
	if _, ok := p.Take("ana"); !ok {
		t.Error("a place that was given back is not there")
	}
	p.GiveBack(bob)
	if len(p.taken) != 1 {
		t.Errorf("%d keys are counted, want ana alone", len(p.taken))
	}
	free := NewPlaces[string](0)
	for range 10 {
		if place, ok := free.Take("ana"); !ok || place != 0 {
			t.Fatalf("without a limit Take = %d, %v", place, ok)
		}
	}
}

func BenchmarkAllow(b *testing.B) {
	buckets := NewBuckets[string](Rate{1_000_000, time.Second, 1_000_000})
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("user-%d", i)
		buckets.Allow(keys[i], 1)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		buckets.Allow(keys[i%len(keys)], 1)
		i++
	}
}

func TestAllowAllocatesNothing(t *testing.T) {
	buckets := NewBuckets[string](Rate{1_000_000, time.Second, 1_000_000})
	buckets.Allow("ana", 1)
	if n := testing.AllocsPerRun(1000, func() { buckets.Allow("ana", 1) }); n != 0 {
		t.Errorf("Allow on a key that is known makes %v allocations, want none", n)
	}
}
