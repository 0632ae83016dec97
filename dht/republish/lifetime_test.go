package republish

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/dhttest"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// known is the configuration of a publisher that recorded the lifetime of its record.
func (p *publisher) known(life time.Duration) Config {
	c := p.config()
	c.Own.Lifetime = func(pointer.Record) time.Duration { return life }
	return c
}

// A node that starts 2 minutes before the end of the own record renews it for the
// lifetime that it was published with, once, and then in the middle of that.
func TestALateStartRenewsForTheLifetimeAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life = 48 * time.Hour
		m := newModel(lawtest.Size(150, 500), 1)
		p := newPublisher(t, m, life)
		time.Sleep(life - 2*time.Minute)
		start(t, p.known(life))
		advance(time.Second)
		require.Equal(t, []time.Duration{life}, p.lives())
		advance(life/2 - time.Minute)
		require.Len(t, p.lives(), 1)
		advance(2 * time.Minute)
		require.Equal(t, []time.Duration{life, life}, p.lives())
		require.True(t, m.resolves(p.key.Pointer()))
	})
}

// The owner's record was signed under a clock that was years ahead. When the clock
// is right again, the record is renewed at once, so that its end is right as well.
func TestARecordFromTheFutureIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life = 48 * time.Hour
		var clock dhttest.Clock
		m := newModel(lawtest.Size(150, 500), 1)
		p := newPublisher(t, m, 10*365*24*time.Hour+life)
		clock.Sleep(10 * 365 * 24 * time.Hour)
		c := p.known(life)
		c.Now = clock.Now
		start(t, c)
		advance(time.Hour)
		require.Empty(t, p.lives(), "the clock and the record agree")
		clock.Sleep(-10 * 365 * 24 * time.Hour)
		advance(2 * time.Minute)
		require.Equal(t, []time.Duration{life}, p.lives())
		require.WithinDuration(t, time.Now().Add(life), p.held().Expires(), 3*time.Minute)
		advance(time.Hour)
		require.Len(t, p.lives(), 1)
	})
}
